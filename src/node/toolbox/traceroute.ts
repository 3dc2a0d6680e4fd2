// traceroute, worded as Dmitry Butskoy's 2.1 (Debian's): traceroute [-In4] [-f FIRST_TTL] [-m MAX_TTL] [-q PROBES] [-w MAX,HERE,NEAR]
// [-N SIMULTANEOUS] [-p PORT] HOST [PACKETLEN]. UDP probes to rising ports, ICMP echo with -I. Left out: TCP and the other methods.
// Theory of operation: up to 16 probes are under way at once. A probe is given up MAX seconds after it left, but sooner once
// another probe of its hop (HERE times what that took) or a later one (NEAR times) has been answered. Lines are written in order.
import { formatIPv4 } from '../../tcpip-ts/wire/address.ts';
import { ICMP_DEST_UNREACH, ICMP_PORT_UNREACH, ICMP_TIME_EXCEEDED } from '../../tcpip-ts/wire/icmpv4.ts';
import type { ProcessContext, Program } from '../workloads/program.ts';
import { type ParsedArguments, parseArguments } from './arguments.ts';
import { lookup, ResolveError, reverseLookup } from './dns/resolver.ts';
import { exitBySignal, sleepMs } from './wait.ts';

const SPEC = { n: false, q: true, w: true, m: true, I: false, p: true, f: true, N: true, 4: false, V: false };
const ALIASES = {
  ...{ first: 'f', icmp: 'I', 'max-hops': 'm', 'sim-queries': 'N', port: 'p', wait: 'w', queries: 'q', version: 'V' },
};
const VALUE_NAMES: Readonly<Record<string, string>> = {
  ...{ f: 'first_ttl', m: 'max_ttl', N: 'squeries', p: 'port', w: 'MAX,HERE,NEAR', q: 'nqueries' },
};
const FIRST_PORT = 33434;
const MIN_BYTES = 28;
const MAX_PROBES_PER_HOP = 10;
const FLAGS: Readonly<Record<number, string>> = {
  0: '!N',
  1: '!H',
  2: '!P',
  4: '!F',
  5: '!S',
  9: '!X',
  10: '!X',
  13: '!X',
};
/** Added to a measured time before it is multiplied. */
const PRECISION_US = 1000;

interface Options {
  readonly firstTtl: number;
  readonly maxTtl: number;
  readonly perHop: number;
  readonly simultaneous: number;
  readonly maxWaitUs: number;
  readonly hereFactor: number;
  readonly nearFactor: number;
  readonly port: number;
  readonly icmp: boolean;
  readonly numeric: boolean;
  readonly packetBytes: number;
}

export const traceroute: Program = async (ctx) => {
  const parsed = parse(ctx.argv.slice(1));
  if ('message' in parsed) {
    ctx.stderr.write(parsed.message);
    return parsed.code;
  }
  const { host, options } = parsed;
  try {
    const { addresses } = await lookup(ctx, host.text);
    const bad = outOfRange(options);
    if (bad) {
      ctx.stderr.write(`${bad}\n`);
      return 2;
    }
    return await new Route(ctx, options, addresses[0]!, host.text).run();
  } catch (error) {
    if (!(error instanceof ResolveError)) throw error;
    ctx.stderr.write(
      `${host.text}: ${error.message}\nCannot handle "host" cmdline arg \`${host.text}' on position 1 (argc ${host.position})\n`,
    );
    return 2;
  }
};

interface Stop {
  readonly code: number;
  readonly message: string;
}

function parse(args: readonly string[]): { host: { text: string; position: number }; options: Options } | Stop {
  if (args.length === 0)
    return {
      code: 0,
      message:
        'Usage:\n  traceroute [ -4InV ] [ -f first_ttl ] [ -m max_ttl ] [ -N squeries ] [ -p port ] [ -q nqueries ] [ -w MAX,HERE,NEAR ] host [ packetlen ]\n',
    };
  const parsed = parseArguments(args, SPEC, ALIASES);
  const { options, operands, operandPositions, problem } = parsed;
  const stop = (message: string): Stop => ({ code: 2, message: `${message}\n` });
  if (problem) {
    const { kind, option, letter, position } = problem;
    if (kind === 'unknown') return stop(`Bad option \`${option}' (argc ${position})`);
    return stop(`Option \`${option}' (argc ${position}) requires an argument: \`${option} ${VALUE_NAMES[letter]}'`);
  }
  if (options.has('V')) return { code: 0, message: 'Modern traceroute for Linux, version 2.1.2 (podwire)\n' };
  const bad = badValue(parsed);
  if (bad) return stop(bad);
  const [host, length] = operands;
  if (host === undefined) return stop('Specify "host" missing argument.');
  if (operands[2] !== undefined) return stop(`Extra arg \`${operands[2]}' (position 3, argc ${operandPositions[2]})`);
  if (length !== undefined && !/^\d+$/.test(length))
    return stop(`Cannot handle "packetlen" cmdline arg \`${length}' on position 2 (argc ${operandPositions[1]})`);
  const number = (name: string, otherwise: number): number => Number(options.get(name)?.at(-1) ?? otherwise);
  const [maxWaitS = 5, hereFactor = 3, nearFactor = 10] = (options.get('w')?.at(-1) ?? '')
    .split(',')
    .filter(Boolean)
    .map(Number);
  const result: Options = {
    firstTtl: number('f', 1),
    maxTtl: number('m', 30),
    perHop: number('q', 3),
    simultaneous: number('N', 16),
    maxWaitUs: maxWaitS * 1e6,
    hereFactor,
    nearFactor,
    port: number('p', FIRST_PORT),
    icmp: options.has('I'),
    numeric: options.has('n'),
    packetBytes: Math.max(MIN_BYTES, Number(length ?? 60)),
  };
  return { host: { text: host, position: operandPositions[0]! }, options: result };
}

/** Checked once the host is known, as the real one does. */
function outOfRange({ firstTtl, maxTtl, perHop }: Options): string | undefined {
  if (firstTtl < 1 || firstTtl > maxTtl) return 'first hop out of range';
  if (maxTtl > 255) return 'max hops cannot be more than 255';
  if (perHop < 1 || perHop > MAX_PROBES_PER_HOP) return `no more than ${MAX_PROBES_PER_HOP} probes per hop`;
  return undefined;
}

function badValue({ options, positions }: ParsedArguments): string | undefined {
  for (const [name, values] of options) {
    const value = values.at(-1)!;
    const fits = name === 'w' ? /^\d*\.?\d+(,\d*\.?\d+){0,2}$/ : /^\d+$/;
    if (name in VALUE_NAMES && !fits.test(value))
      return `Cannot handle \`-${name}' option with arg \`${value}' (argc ${positions.get(name)})`;
  }
  return undefined;
}

interface Probe {
  readonly sentUs: number;
  /** Undefined until answered, null when given up. */
  answer: Answer | null | undefined;
}

/** What came back for one probe. */
interface Answer {
  readonly from: number;
  readonly tookUs: number;
  /** The destination itself answered, or nothing lies behind what did. */
  readonly last: boolean;
  readonly flag: string;
}

class Route {
  readonly #ctx: ProcessContext;
  readonly #options: Options;
  readonly #daddr: number;
  readonly #target: string;
  readonly #prober: Prober;
  /** In the order they left: perHop for each TTL from firstTtl on. */
  readonly #probes: Probe[] = [];
  /** Probes from here on are not needed any more. */
  #end: number;
  #wake: () => void = () => {};

  constructor(ctx: ProcessContext, options: Options, daddr: number, target: string) {
    this.#ctx = ctx;
    this.#options = options;
    this.#daddr = daddr;
    this.#target = target;
    this.#end = (options.maxTtl - options.firstTtl + 1) * options.perHop;
    const answered = (index: number, from: number, last: boolean, flag: string): void =>
      this.#answered(index, from, last, flag);
    this.#prober = options.icmp ? icmpProber(ctx, daddr, options, answered) : udpProber(ctx, daddr, options, answered);
  }

  async run(): Promise<number> {
    const { stdout, stderr, signal } = this.#ctx;
    const { maxTtl, packetBytes, perHop, firstTtl } = this.#options;
    stdout.write(
      `traceroute to ${this.#target} (${formatIPv4(this.#daddr)}), ${maxTtl} hops max, ${packetBytes} byte packets`,
    );
    try {
      for (let index = 0; index < this.#end && !signal.aborted; index++) {
        while (this.#probes[index]?.answer === undefined && !signal.aborted) {
          if (!this.#fill()) {
            stderr.write('\nconnect: Network is unreachable\n');
            return 1;
          }
          await this.#pause();
        }
        if (index % perHop === 0) stdout.write(`\n${String(firstTtl + index / perHop).padStart(2)} `);
        stdout.write(await this.#text(index));
      }
    } finally {
      this.#prober.close();
    }
    if (signal.aborted) return exitBySignal(signal);
    stdout.write('\n');
    return 0;
  }

  /** Sends what may be under way; false when there is no route. */
  #fill(): boolean {
    const { simultaneous, perHop, firstTtl } = this.#options;
    let underWay = this.#probes.filter((p) => p.answer === undefined).length;
    for (; underWay < simultaneous && this.#probes.length < this.#end; underWay++) {
      const index = this.#probes.length;
      this.#probes.push({ sentUs: this.#ctx.clock.nowUs(), answer: undefined });
      if (this.#prober.send(index, firstTtl + Math.floor(index / perHop)) < 0) return false;
    }
    return true;
  }

  /** Until an answer comes or the next probe is to be given up. */
  async #pause(): Promise<void> {
    const nowUs = this.#ctx.clock.nowUs();
    let nextUs = Number.POSITIVE_INFINITY;
    for (const [index, probe] of this.#probes.entries()) {
      if (probe.answer !== undefined) continue;
      const dueUs = probe.sentUs + this.#waitUs(index);
      if (dueUs <= nowUs) probe.answer = null;
      nextUs = Math.min(nextUs, dueUs);
    }
    if (nextUs <= nowUs) return;
    const woken = new Promise<void>((resolve) => void (this.#wake = resolve));
    await Promise.race([sleepMs(this.#ctx, (nextUs - nowUs) / 1000), woken]);
  }

  #waitUs(index: number): number {
    const { perHop, maxWaitUs, hereFactor, nearFactor } = this.#options;
    const first = index - (index % perHop);
    const here = this.#probes.slice(first, first + perHop).find((p) => p.answer);
    const near = this.#probes.slice(index + 1).find((p) => p.answer);
    if (here?.answer && hereFactor > 0) return Math.min(maxWaitUs, (here.answer.tookUs + PRECISION_US) * hereFactor);
    if (near?.answer && nearFactor > 0) return Math.min(maxWaitUs, (near.answer.tookUs + PRECISION_US) * nearFactor);
    return maxWaitUs;
  }

  #answered(index: number, from: number, last: boolean, flag: string): void {
    const probe = this.#probes[index];
    if (!probe || probe.answer !== undefined) return;
    const { perHop } = this.#options;
    probe.answer = { from, tookUs: this.#ctx.clock.nowUs() - probe.sentUs, last, flag };
    if (last) this.#end = Math.min(this.#end, (Math.floor(index / perHop) + 1) * perHop);
    this.#wake();
  }

  async #text(index: number): Promise<string> {
    const { answer } = this.#probes[index]!;
    if (!answer) return ' *';
    const { perHop, numeric } = this.#options;
    const before = this.#probes.slice(index - (index % perHop), index).findLast((p) => p.answer);
    let text = '';
    if (before?.answer?.from !== answer.from) {
      const address = formatIPv4(answer.from);
      text = numeric ? ` ${address}` : ` ${(await reverseLookup(this.#ctx, answer.from)) ?? address} (${address})`;
    }
    return `${text}  ${(answer.tookUs / 1000).toFixed(3)} ms${answer.flag && ` ${answer.flag}`}`;
  }
}

interface Prober {
  /** Sends the probe of this index; 0 or a negative errno. */
  send(index: number, ttl: number): number;
  close(): void;
}

type Answered = (index: number, from: number, last: boolean, flag: string) => void;

function classify(type: number, code: number): { last: boolean; flag: string } {
  if (type === ICMP_TIME_EXCEEDED) return { last: false, flag: '' };
  if (type === ICMP_DEST_UNREACH && code === ICMP_PORT_UNREACH) return { last: true, flag: '' };
  return { last: true, flag: FLAGS[code] ?? `!<${code}>` };
}

function udpProber(
  { stack }: ProcessContext,
  daddr: number,
  { port, packetBytes }: Options,
  answered: Answered,
): Prober {
  const socket = stack.udp.bind();
  socket.onError = (_errno, { reporter, dport, type, code }) => {
    const { last, flag } = classify(type, code);
    answered(dport - port, reporter, last, flag);
  };
  return {
    send: (index, ttl) => {
      socket.ttl = ttl;
      return socket.send(new Uint8Array(packetBytes - MIN_BYTES), daddr, port + index);
    },
    close: () => socket.close(),
  };
}

function icmpProber({ stack }: ProcessContext, daddr: number, { packetBytes }: Options, answered: Answered): Prober {
  const endpoint = stack.icmp.openPing();
  endpoint.onReply = ({ saddr, seq }) => answered(seq - 1, saddr, true, '');
  endpoint.onError = ({ reporter, seq, type, code }) => {
    const { last, flag } = classify(type, code);
    answered(seq - 1, reporter, last, flag);
  };
  return {
    send: (index, ttl) =>
      endpoint.send({ daddr, seq: index + 1, ttl, payload: new Uint8Array(packetBytes - MIN_BYTES) }),
    close: () => endpoint.close(),
  };
}
