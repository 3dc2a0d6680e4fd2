// Compares a scenario's results with those of the emulated kernel, where the oracle left open when its kernel's clock ticked.
//
// What is to expire with the next tick (a connection that a SYN put aside, those of a deleted real server) still counts, and is still
// found, until that tick; and the kernel's timers fire on ticks of a grid, coarser the longer they are (conn.ts), that began when the
// guest was booted. Neither is in the results, and the oracle itself answers differently from play to play. So a scenario agrees
// if its results are those of some run of ticks: at most one between two looks at the kernel, and the grid at some offset.

import { type MakeWorld, Player, type Ticks } from './ipvs-replay.ts';
import { same } from './ipvs-replay-compare.ts';
import type { Scenario } from './ipvs-replay-file.ts';

export interface Difference {
  readonly scenario: string;
  /** Index of the event. */
  readonly event: number;
  readonly what: string;
  readonly expected: string;
  readonly got: string;
}

/** Of one scenario. */
export interface Outcome {
  readonly events: number;
  /** Of the run of ticks that agrees longest. */
  readonly differences: Difference[];
  /** Whether it took a certain run of ticks. */
  readonly placedTicks: boolean;
}

const NO_TICKS: Ticks = { before: new Set(), atStart: 0, lagUs: 0 };
/** How far back from a difference a tick is looked for, in moments. */
const LOOK_BACK = 96;
/** Plays of one scenario at most, in each of the ways below; and events played, in no fewer plays than the last. */
const PLAYS = 200;
const FAR_PLAYS = 800;
const EVENTS = 100_000;
const FEWEST_PLAYS = 32;
/** What an event took beyond the waiting, which adds up where timers run. */
const LAGS_US = [0, 250, 1000, 2500];
/** Offsets of the clock in the grids of the timers of up to 5 s, 40 s and 5 minutes: 8, 64 and 512 ticks. */
const FINE = [0, 4, 2, 6, 1, 3, 5, 7];
const COARSE = FINE.map((n) => n * 8);
const COARSEST = COARSE.map((n) => n * 8);
const OFFSETS = [...COARSE.flatMap((coarse) => FINE.map((fine) => coarse + fine)), ...COARSEST];

export function replay(scenario: Scenario, makeWorld: MakeWorld): Outcome {
  const events = scenario.events.filter((event) => !isToolOutput(event)).length;
  const differences = play(scenario, makeWorld, NO_TICKS).differences;
  if (differences.length === 0) return { events, differences, placedTicks: false };
  const found = new Search(scenario, makeWorld).best();
  const { differences: fewer } = play(scenario, makeWorld, found);
  if (fewer.length >= differences.length) return { events, differences, placedTicks: false };
  return { events, differences: fewer, placedTicks: true };
}

/** The text of the ipvsadm program there: no decision of the kernel's, and not compared. */
function isToolOutput(event: object): boolean {
  return 'ipvsadm' in event;
}

interface Run {
  readonly ticks: Ticks;
  readonly differences: Difference[];
  /** Moments up to the end of the first event that differs, and the last tick before. */
  readonly moments: number;
  readonly lastTick: number;
}

function play(scenario: Scenario, makeWorld: MakeWorld, ticks: Ticks, firstOnly = false): Run {
  const player = new Player(scenario, makeWorld, ticks);
  const differences: Difference[] = [];
  let moments = 0;
  let lastTick = 0;
  try {
    for (const [i, event] of scenario.events.entries()) {
      if (isToolOutput(event)) continue;
      const tickBefore = player.lastTick;
      const got = player.play(event);
      const expected = scenario.results[i]!;
      if (same(expected, got, player.ports)) continue;
      if (differences.length === 0) {
        moments = player.moments;
        lastTick = Math.max(tickBefore, player.lastTick === moments ? 0 : player.lastTick);
      }
      differences.push({
        scenario: scenario.id,
        event: i,
        what: JSON.stringify(event),
        expected: JSON.stringify(expected),
        got: JSON.stringify(got),
      });
      if (firstOnly) break;
    }
  } finally {
    player.close();
  }
  return { ticks, differences, moments, lastTick };
}

/** Depth first: where a run differs, a tick more is tried, the latest place first. */
class Search {
  readonly #scenario: Scenario;
  readonly #makeWorld: MakeWorld;
  #plays = 0;
  #best: Run | undefined;
  /** The first differences of all plays. */
  readonly #firsts = new Set<string>();

  constructor(scenario: Scenario, makeWorld: MakeWorld) {
    this.#scenario = scenario;
    this.#makeWorld = makeWorld;
  }

  /** A tick is looked for since the last wait; then, where timers run, with all offsets and lags, and before the wait, too. */
  best(): Ticks {
    if (this.#found([0], 0, PLAYS, false) || !hasTimers(this.#scenario)) return this.#best!.ticks;
    if (this.#found(OFFSETS, 0, PLAYS, false) || this.#found(OFFSETS, 0, PLAYS, true)) return this.#best!.ticks;
    for (const lagUs of LAGS_US)
      if (agrees(this.#play({ before: new Set(), atStart: 0, lagUs }))) return this.#best!.ticks;
    // Where no tick, offset or lag changes what comes out, it is not the time's doing.
    if (this.#firsts.size > 1 && !LAGS_US.some((lagUs) => this.#found(OFFSETS, lagUs, PLAYS, false))) {
      LAGS_US.some((lagUs) => this.#found(OFFSETS, lagUs, FAR_PLAYS, true));
    }
    return this.#best!.ticks;
  }

  #found(offsets: readonly number[], lagUs: number, plays: number, far: boolean): boolean {
    const most = Math.min(this.#plays + plays, Math.max(FEWEST_PLAYS, EVENTS / this.#scenario.events.length));
    for (const atStart of offsets) {
      if (this.#plays >= most && this.#best) return false;
      if (this.#extends(this.#play({ before: new Set(), atStart, lagUs }), most, far)) return true;
    }
    return false;
  }

  #play(ticks: Ticks): Run {
    this.#plays++;
    const run = play(this.#scenario, this.#makeWorld, ticks, true);
    this.#firsts.add(`${run.differences[0]?.event} ${run.differences[0]?.got}`);
    if (!this.#best || isLonger(run, this.#best)) this.#best = run;
    return run;
  }

  /** Whether the run, or one with more ticks, agrees to the end. */
  #extends(run: Run, plays: number, far: boolean): boolean {
    if (agrees(run)) return true;
    const first = Math.max(far ? 0 : run.lastTick, run.moments - LOOK_BACK);
    for (let m = run.moments; m > first && this.#plays < plays; m--) {
      if (run.ticks.before.has(m)) continue;
      const next = this.#play({ ...run.ticks, before: new Set([...run.ticks.before, m]) });
      if (isLonger(next, run) && this.#extends(next, plays, far)) return true;
    }
    return false;
  }
}

function agrees(run: Run): boolean {
  return run.differences.length === 0;
}

function isLonger(a: Run, b: Run): boolean {
  return agrees(a) || (!agrees(b) && a.differences[0]!.event > b.differences[0]!.event);
}

/** Whether a scenario waits long enough for timers that a grid makes late. */
function hasTimers({ events, gap_ms: gapMs = 0 }: Scenario): boolean {
  let waitsS = 0;
  for (const event of events) waitsS += Number(event['sleep'] ?? 0) + gapMs / 1000;
  return waitsS >= 0.5;
}
