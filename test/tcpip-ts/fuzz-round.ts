// One round of the fuzzer: two stacks with options drawn at random hold a conversation drawn at random over an Ethernet wire that
// loses and reorders, and mutated copies of their frames and plain noise arrive between. Then the wire falls silent, everything is
// closed, and half an hour passes: whatever is still held or armed is a leak. A round depends on its seed alone.
import { VirtualClock } from '../../src/lib/clock.ts';
import { type Rng, SeededRng } from '../../src/lib/rng.ts';
import { LINK_F_CSUM, LINK_F_TSO4, type Link, type LinkReceiver } from '../../src/tcpip-ts/link.ts';
import { CHECKSUM_NONE, GSO_NONE, type Skb, SkbPool } from '../../src/tcpip-ts/skb.ts';
import { Stack } from '../../src/tcpip-ts/stack.ts';
import type { Connection } from '../../src/tcpip-ts/tcp/connection.ts';
import type { TcpOptions } from '../../src/tcpip-ts/tcp/settings.ts';
import { STATE_NAMES } from '../../src/tcpip-ts/tcp/state.ts';
import { pump, Sink } from '../support/tcp-pair.ts';
import { mutate, noise } from './fuzz-mutators.ts';

const A = 0x0a000001;
const B = 0x0a000002;
const MACS = [
  [2, 0, 0, 0, 0, 1],
  [2, 0, 0, 0, 0, 2],
] as const;
const POOL = 512;
/** Frames made in a round at most; and how long it goes on, virtual time. */
const FRAMES = 3000;
const TALK_US = 3e6;

export interface RoundResult {
  /** Frames made up and handed to a stack. */
  frames: number;
  /** What they met: the TCP state of the last connection opened at that end. */
  readonly states: Map<string, number>;
  /** Nothing wrong: empty. */
  problem: string;
}

/** Kept from round to round: making one is most of a round's cost. A round gives everything back. */
let pool = new SkbPool(POOL);

class End implements Link {
  readonly kind = 'ether';
  readonly mtu: number;
  readonly features: number;
  receiver: LinkReceiver | null = null;
  onTransmit: (skb: Skb) => void = (skb) => skb.free();

  constructor(mtu: number, features: number) {
    this.mtu = mtu;
    this.features = features;
  }

  attach(receiver: LinkReceiver): void {
    this.receiver = receiver;
  }

  transmit(skb: Skb): void {
    this.onTransmit(skb);
  }

  close(): void {}
}

interface World {
  readonly rng: Rng;
  readonly clock: VirtualClock;
  readonly a: Stack;
  readonly b: Stack;
  /** Keeps a connection of either end, to be closed at the end. */
  readonly keep: (c: Connection | number) => Connection | null;
}

/** Whether the talk is still on: after it nothing new is opened. */
function isOn({ clock }: World): boolean {
  return clock.nowUs() < TALK_US;
}

/** Listens at b:80 and does as `serve` says with each connection. */
function serve({ b, keep }: World, backlog: number, onConnection: (c: Connection) => void): void {
  const listener = b.tcp.listen({ port: 80, backlog });
  if (typeof listener === 'number') return;
  listener.onConnection = (c) => {
    keep(c);
    onConnection(c);
  };
}

function open({ a, keep }: World, sport = 0): Connection | null {
  return keep(a.tcp.connect({ daddr: B, dport: 80, sport }));
}

function echo(c: Connection): void {
  const into = new Uint8Array(2000);
  c.onReadable = () => {
    for (let n = c.read(into); n > 0; n = c.read(into)) c.write(into, 0, n);
    if (c.ended) c.end();
  };
}

/** The conversations, one a round. */
const SCENES: readonly ((w: World) => void)[] = [
  function bulk(w) {
    serve(w, 8, (c) => {
      new Sink(c);
      pump(c, 60_000);
    });
    const talk = (): void => {
      const c = open(w);
      if (!c) return;
      const sink = new Sink(c);
      pump(c, 60_000);
      const onClose = c.onClose;
      c.onClose = (errno) => {
        onClose?.(errno);
        if (sink.errno !== 0 && isOn(w)) w.clock.after(1000, talk);
      };
    };
    for (let n = 1 + w.rng.below(3); n > 0; n--) talk();
  },
  function requests(w) {
    serve(w, 8, echo);
    const c = open(w);
    if (!c) return;
    const into = new Uint8Array(2000);
    let left = 40;
    const ask = () => c.write(into, 0, 1 + w.rng.below(1500));
    c.onConnect = ask;
    c.onReadable = () => {
      while (c.read(into) > 0);
      if (left-- > 0) ask();
      else c.end();
    };
  },
  function simultaneous(w) {
    for (let port = 1000; port < 1004; port++) {
      const one = w.keep(w.a.tcp.connect({ daddr: B, dport: port, sport: port }));
      const two = w.keep(w.b.tcp.connect({ daddr: A, dport: port, sport: port }));
      for (const c of [one, two]) if (c) pump(c, 3000);
    }
  },
  function stalled(w) {
    serve(w, 8, (c) => {
      w.clock.after(w.rng.below(2e6), () => new Sink(c));
    });
    const c = open(w);
    if (c) pump(c, 200_000);
  },
  function halfClosed(w) {
    serve(w, 8, (c) => {
      new Sink(c);
      w.clock.after(w.rng.below(1e6), () => pump(c, 20_000));
    });
    const c = open(w);
    if (!c) return;
    new Sink(c);
    c.end();
  },
  function reopened(w) {
    serve(w, 8, echo);
    const again = (left: number): void => {
      const c = open(w, 4000);
      if (!c || left === 0) return;
      c.onConnect = () => {
        if (w.rng.below(3) === 0) c.abort();
        else c.close();
        w.clock.after(1 + w.rng.below(200_000), () => again(left - 1));
      };
    };
    again(12);
  },
  function flooded(w) {
    serve(w, w.rng.below(4), echo);
    for (let i = 0; i < 60; i++) {
      w.clock.after(w.rng.below(1e6), () => {
        const c = open(w);
        if (c) pump(c, 1 + w.rng.below(3000));
      });
    }
  },
  function aborted(w) {
    serve(w, 8, (c) => {
      pump(c, 100_000);
      w.clock.after(w.rng.below(1e6), () => c.abort());
    });
    for (let n = 0; n < 6; n++) {
      const c = open(w);
      if (!c) continue;
      new Sink(c);
      w.clock.after(w.rng.below(1e6), () => (w.rng.below(2) ? c.abort() : c.close()));
    }
  },
  function idle(w) {
    serve(w, 8, (c) => c.setKeepAlive(true, 100, 100));
    const c = open(w);
    if (!c) return;
    c.setKeepAlive(true, 150, 100);
    c.setUserTimeout(500);
    w.clock.after(1e6, () => c.write(new Uint8Array(100)));
  },
  function datagrams(w) {
    for (const stack of [w.a, w.b]) {
      const endpoint = stack.udp.bind({ port: 53 });
      if (typeof endpoint === 'number') continue;
      endpoint.onMessage = (bytes, saddr, sport) => {
        if (bytes.length > 0 && w.rng.below(8) > 0)
          endpoint.send(bytes.subarray(w.rng.below(bytes.length)), saddr, sport);
      };
      for (let i = 0; i < 20; i++) {
        const bytes = new Uint8Array(w.rng.below(3) === 0 ? w.rng.below(20_000) : w.rng.below(400));
        w.clock.after(w.rng.below(2e6), () => endpoint.send(bytes, stack === w.a ? B : A, 53 + (i % 2)));
      }
    }
    const ping = w.a.icmp.openPing();
    for (let seq = 0; seq < 20; seq++) {
      w.clock.after(w.rng.below(2e6), () => ping.send({ daddr: B, seq, payload: new Uint8Array(w.rng.below(4000)) }));
    }
    w.clock.after(29e6, () => ping.close());
  },
];

function drawOptions(rng: Rng): Partial<TcpOptions> {
  const tiny = rng.below(4) === 0;
  return {
    timestamps: rng.below(3) > 0,
    sack: rng.below(3) > 0,
    windowScaling: rng.below(3) > 0,
    synCookies: rng.below(3) > 0,
    ecn: rng.below(3) as 0 | 1 | 2,
    congestion: rng.below(2) ? 'cubic' : 'newreno',
    ...(tiny ? { receiveBuffer: 1 + rng.below(3000), receiveBufferMax: 4000 } : {}),
    maxSynQueue: rng.below(4) ? 64 : 2,
    maxTimeWait: rng.below(4) ? 64 : 1,
  };
}

/** The state that a frame to `stack` meets, by its last connection. */
function met(stack: Stack, last: Connection | null): string {
  if (last && last.slot >= 0) return STATE_NAMES[last.state];
  if (stack.tcp.timeWait.size > 0) return 'TIME-WAIT';
  if (stack.tcp.synQueue.size > 0) return 'SYN-RECEIVED (queue)';
  for (const _ of stack.tcp.listeners()) return 'LISTEN';
  return 'CLOSED';
}

function leaks(stack: Stack, name: string): string[] {
  const { tcp, ip } = stack;
  const out: string[] = [];
  const held = (n: number, what: string): void => {
    if (n !== 0) out.push(`${name}: ${n} ${what}`);
  };
  held(tcp.connectionCount, 'connections');
  held(tcp.segments.used, 'segment records');
  held(tcp.buffers.inUse, 'bytes of buffers');
  held(tcp.fastTimers.armed, 'fast timers');
  held(tcp.slowTimers.armed, 'slow timers');
  held(tcp.timeWait.size, 'time-wait entries');
  held(tcp.synQueue.size, 'half-open connections');
  held(tcp.demux.size, 'four-tuples');
  held(ip.reassembly.pending, 'datagrams in reassembly');
  held(stack.counters.get('TcpCurrEstab'), 'connections by TcpCurrEstab');
  return out;
}

export function fuzzRound(seed: number): RoundResult {
  const result: RoundResult = { frames: 0, states: new Map(), problem: '' };
  const rng = new SeededRng(seed);
  const clock = new VirtualClock();
  const mtu = [1500, 1500, 576, 9000][rng.below(4)]!;
  const features = rng.below(3) === 0 ? LINK_F_CSUM | LINK_F_TSO4 : 0;
  const ends = [new End(mtu, features), new End(mtu, features)];
  const stacks = ends.map((end, i) => {
    const stack = new Stack({ clock, rng: new SeededRng(rng.u32()), pool, tcp: drawOptions(rng) });
    const [m0, , , , , m5] = MACS[i]!;
    stack.addInterface(end, { addr: A + i, prefixLen: 24, mac: m0 * 2 ** 40 + m5 });
    return stack;
  });
  const [a, b] = stacks as [Stack, Stack];
  const kept: Connection[] = [];
  const last: (Connection | null)[] = [null, null];
  const keep = (c: Connection | number): Connection | null => {
    if (typeof c === 'number') return null;
    kept.push(c);
    last[c.layer === a.tcp ? 0 : 1] = c;
    return c;
  };
  let isNoisy = true;

  const deliver = (to: number, skb: Skb, afterUs: number): void => {
    clock.after(afterUs, () => {
      const { receiver } = ends[to]!;
      if (receiver) receiver.receive(skb);
      else skb.free();
    });
  };
  const inject = (to: number, skb: Skb): void => {
    result.frames++;
    const state = met(stacks[to]!, last[to]!);
    result.states.set(state, (result.states.get(state) ?? 0) + 1);
    deliver(to, skb, rng.below(4000));
  };
  for (const [i, end] of ends.entries()) {
    end.onTransmit = (skb) => {
      if (isNoisy && result.frames < FRAMES) {
        for (let n = rng.below(4); n > 0 && pool.available > 64; n--) {
          const copy = pool.clone(skb);
          if (!copy) break;
          copy.checksum = CHECKSUM_NONE;
          if (rng.below(4) > 0) copy.gsoType = GSO_NONE;
          const toSender = mutate(copy, rng);
          inject(toSender ? i : 1 - i, copy);
        }
        if (rng.below(8) === 0 && pool.available > 64) {
          const skb2 = pool.alloc()!;
          noise(skb2, rng, Uint8Array.from(MACS[1 - i]!));
          inject(1 - i, skb2);
        }
      }
      skb.next = null;
      if (isNoisy && rng.below(50) === 0) skb.free();
      else deliver(1 - i, skb, 300 + (rng.below(10) === 0 ? rng.below(2000) : 0));
    };
  }
  try {
    SCENES[rng.below(SCENES.length)]!({ rng, clock, a, b, keep });
    clock.advance(TALK_US);
    isNoisy = false;
    for (const stack of stacks) for (const l of [...stack.tcp.listeners()]) l.close();
    for (const c of kept) c.close();
    clock.advance(1800e6);
    const problems = [...leaks(a, 'a'), ...leaks(b, 'b')];
    a.close();
    b.close();
    clock.advance(1e6);
    if (pool.available !== POOL) problems.push(`${POOL - pool.available} packets`);
    result.problem = problems.join(', ');
  } catch (error) {
    result.problem = (error as Error).stack ?? String(error);
  }
  if (result.problem !== '') pool = new SkbPool(POOL);
  return result;
}

export interface FuzzResult {
  frames: number;
  rounds: number;
  readonly states: Map<string, number>;
  /** Seed and problem of the first bad round. */
  failure?: { readonly round: number; readonly problem: string };
}

/** Rounds until `frames` frames were made up. Goes on after a bad one with `goOn`. */
export function fuzz(seed: number, frames: number, onBad: (round: number, problem: string) => boolean): FuzzResult {
  const rng = new SeededRng(seed);
  const result: FuzzResult = { frames: 0, rounds: 0, states: new Map() };
  while (result.frames < frames) {
    const round = rng.u32();
    const one = fuzzRound(round);
    result.rounds++;
    result.frames += one.frames;
    for (const [state, n] of one.states) result.states.set(state, (result.states.get(state) ?? 0) + n);
    if (one.problem === '') continue;
    result.failure ??= { round, problem: one.problem };
    if (!onBad(round, one.problem)) break;
  }
  return result;
}
