// Plays a transcript: commands, and what a text shows for them, as in test/fixtures/seeds.
//
//   $ kubectl ...     a command of the text, then the lines that it shows; with -it it runs under a terminal
//   > line            typed into the command above, then what the terminal shows for it
//   = reason          the output here differs from the text's, for this reason; what stands below is expected in its place
//   ~ kubectl ...     not in the text: must succeed within a while
//   ...               as an expected line: any lines, or none
//   # ...             a comment
//
// Ages, restart counts, hashes and spacing are not compared. An address of the text stands for whatever address is shown where the text
// shows it first, and from then on for the same one; a command that names an address or a generated name gets ours.
import type { Test } from 'tap';
import type { Kubectl } from './kubectl.ts';
import { eventually } from './podwire.ts';

interface Step {
  readonly kind: 'command' | 'typed' | 'preparation';
  readonly line: string;
  shown: string[];
}

const MARKS: Readonly<Record<string, Step['kind']>> = { $: 'command', '>': 'typed', '~': 'preparation' };

const ADDRESS = /\b(?!10\.96\.0\.10?\b|192\.168\.49\.2\b|0\.0\.0\.0\b)\d+\.\d+\.\d+\.\d+\b/g;
const GENERATED = /\b[a-z]+(-[a-z]+)*-[4-9bcdf]{6,10}(-[a-z0-9]{5})?\b/g;

export function parseTranscript(text: string): Step[] {
  const steps: Step[] = [];
  for (const line of text.replace(/\n$/, '').split('\n')) {
    const kind = MARKS[line[0] ?? ''];
    const last = steps.at(-1);
    if (kind && line[1] === ' ') steps.push({ kind, line: line.slice(2), shown: [] });
    else if (line.startsWith('= ') && last) last.shown = [];
    else if (!line.startsWith('# ')) last?.shown.push(line);
  }
  return steps;
}

export class Player {
  readonly #t: Test;
  readonly #kubectl: Kubectl;
  /** What the text calls so is called so here. */
  readonly #ours = new Map<string, string>();

  constructor(t: Test, kubectl: Kubectl) {
    this.#t = t;
    this.#kubectl = kubectl;
  }

  async play(steps: readonly Step[]): Promise<void> {
    for (const [i, step] of steps.entries()) {
      if (step.kind === 'typed') continue; // with its command
      const args = this.#argv(step.line);
      if (step.kind === 'preparation') {
        await eventually(step.line, async () => (await this.#kubectl.args(args)).code === 0);
        continue;
      }
      const rest = steps.slice(i + 1);
      const end = rest.findIndex((next) => next.kind !== 'typed');
      const typed = end < 0 ? rest : rest.slice(0, end);
      if (typed.length > 0) await this.#converse(step.line, args, typed);
      else await this.#command(step, args);
    }
  }

  async #command({ line, shown }: Step, args: readonly string[]): Promise<void> {
    const terminal = args.includes('-it');
    const { code, stdout, stderr } = await (terminal ? this.#kubectl.terminal(args) : this.#kubectl.args(args));
    const expected = shown.join('\n');
    this.#compare(line, expected, stdout, stderr);
    const wanted = /command terminated with exit code (\d+)/.exec(expected)?.[1] ?? '0';
    this.#t.equal(String(code), wanted, `${line}: exit code`);
  }

  async #converse(line: string, args: readonly string[], typed: readonly Step[]): Promise<void> {
    const { code } = await this.#kubectl.terminal(args, async (type, _shows, screen) => {
      // A prompt printed before kubectl has joined is not seen: then Enter brings another, as kubectl says.
      let asked = Date.now();
      let extra = false;
      await eventually(`a prompt of ${line}`, () => {
        if (/# $/.test(onScreen(screen()))) return true;
        if (Date.now() - asked < 1500) return false;
        asked = Date.now();
        extra = true;
        type('\r');
        return false;
      });
      // Each Enter brings a prompt: that of this command is the last of them.
      if (extra) {
        type('echo he"re"\r');
        await eventually(`the last prompt of ${line}`, () => /\nhere\n.*# $/s.test(onScreen(screen())));
      }
      for (const step of typed) {
        const from = onScreen(screen()).length;
        type(`${step.line}\r`);
        const answered = (): boolean => /\n.*# $/s.test(onScreen(screen()).slice(from));
        await eventually(`${step.line} is answered`, answered).catch(() => {});
        const answer = onScreen(screen()).slice(from);
        const output = answer.slice(answer.indexOf('\n') + 1, answer.lastIndexOf('\n') + 1);
        this.#compare(`${line} > ${step.line}`, step.shown.join('\n'), output, '');
      }
      type('exit\r');
    });
    this.#t.equal(code, 0, `${line}: exit code`);
  }

  #compare(what: string, expected: string, actual: string, complaint: string): void {
    const found = onScreen(actual);
    const same = matches(skeleton(expected).split('\n'), skeleton(found).split('\n'));
    if (same) this.#t.pass(what);
    else this.#t.equal(skeleton(found), skeleton(expected), `${what}${complaint ? `: ${complaint}` : ''}`);
    if (!same || expected.includes('...\n')) return;
    const [addresses, names] = [pairs(ADDRESS, expected, found), pairs(GENERATED, expected, found)];
    for (const [theirs, ours] of addresses) {
      const before = this.#ours.get(theirs);
      if (before !== undefined) this.#t.equal(ours, before, `${what}: the address is that of before`);
      this.#ours.set(theirs, ours);
    }
    for (const [theirs, ours] of names) this.#ours.set(theirs, ours);
  }

  #argv(line: string): string[] {
    const ours = line.replace(ADDRESS, (a) => this.#ours.get(a) ?? a).replace(GENERATED, (n) => this.#ours.get(n) ?? n);
    return ours.split(' ').slice(1);
  }
}

/** What a person sees: no control sequences, and of a line that was written over only its last state. */
function onScreen(text: string): string {
  return text
    .replaceAll(String.fromCharCode(0), '')
    .replace(new RegExp(`${String.fromCharCode(27)}\\[[?0-9;]*[a-zA-Z]`, 'g'), '')
    .replace(/\r+\n/g, '\n')
    .replace(/^.*\r(?=.)/gm, '');
}

/** What is compared. */
function skeleton(text: string): string {
  return text
    .replace(/\d+ \(\w+ ago\)/g, '0')
    .replace(/\b(\d+[smhd])+$/gm, 'AGE')
    .replace(/(?<=\s)(\d+[smhd])+(?=\s)/g, 'AGE')
    .replace(ADDRESS, 'ADDRESS')
    .replace(GENERATED, (name) => `${name.replace(/-[4-9bcdf]{6,10}(-[a-z0-9]{5})?$/, '')}-HASH`)
    .replace(/\b[0-9a-f]{32,128}\b/g, 'HASH')
    .replace(/:3\d{4}\//g, ':NODEPORT/')
    .replace(/\btalos-pmv-2qi\b|\bnode-1\b/g, 'NODE')
    .replace(/ from \S+ namespace$/gm, '') // kubectl 1.33 began to say this
    .replace(/\*+/g, '*')
    .replace(/v20\.\d+\.\d+|podwire \d+\.\d+\.\d+/g, 'VERSION')
    .replace(/[ \t]+/g, ' ')
    .replace(/ +$/gm, '')
    .trimEnd();
}

function matches(expected: readonly string[], found: readonly string[]): boolean {
  const [first, ...rest] = expected;
  if (first === undefined) return found.length === 0;
  if (first === '...') return found.some((_, i) => matches(rest, found.slice(i))) || matches(rest, []);
  return found[0] === first && matches(rest, found.slice(1));
}

function pairs(pattern: RegExp, expected: string, found: string): [string, string][] {
  const ours = found.match(pattern) ?? [];
  return (expected.match(pattern) ?? []).map((theirs, i) => [theirs, ours[i] ?? '']);
}
