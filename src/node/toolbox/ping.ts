// ping, worded as iputils' 20221126: ping [-c COUNT] [-i INTERVAL] [-W TIMEOUT] [-w DEADLINE] [-s SIZE] [-t TTL] [-M do|dont|want]
// [-nqOD4] DESTINATION. Exit code 0: at least one answer; 1: none; 2: anything else.
// Theory of operation: requests leave by the interval; replies and errors come at any time and are written in the order they came,
// each after the name of its sender has been looked up (not with -n, nor for a numeric DESTINATION). It is over when every request
// was answered or refused, when the time to linger has passed after the last one, at the deadline, or on a signal.
import { EMSGSIZE } from '../../tcpip-ts/errno.ts';
import type { PingEndpoint, PingError, PingReply } from '../../tcpip-ts/icmp/ping.ts';
import { formatIPv4, parseIPv4 } from '../../tcpip-ts/wire/address.ts';
import { ICMP_DEST_UNREACH, ICMP_TIME_EXCEEDED } from '../../tcpip-ts/wire/icmpv4.ts';
import type { ProcessContext, Program } from '../workloads/program.ts';
import { parseArguments } from './arguments.ts';
import { lookup, ResolveError, reverseLookup } from './dns/resolver.ts';
import { exitBySignal, sleepMs } from './wait.ts';

const SPEC = {
  ...{ c: true, i: true, W: true, w: true, s: true, t: true, M: true, n: false, q: false, O: false, D: false },
  ...{ 4: false, h: false, V: false },
};
const USAGE = `
Usage
  ping [-4DhnOqV] [-c count] [-i interval] [-M do|dont|want] [-s size] [-t ttl]
       [-w deadline] [-W timeout] <destination>
`;
const UNREACHABLE: Readonly<Record<number, string>> = {
  0: 'Destination Net Unreachable',
  1: 'Destination Host Unreachable',
  2: 'Destination Protocol Unreachable',
  3: 'Destination Port Unreachable',
  5: 'Source Route Failed',
  9: 'Destination Net Prohibited',
  10: 'Destination Host Prohibited',
  13: 'Packet filtered',
};
/** A struct timeval in the payload is what iputils measures with. */
const TIMESTAMP_BYTES = 16;
const LINGER_MS = 10_000;
/** -i 0 waits for the answer, but not longer than this. */
const MIN_INTERVAL_MS = 10;
const INT_MAX = 2147483647;

interface Options {
  readonly count: number;
  readonly intervalMs: number;
  readonly lingerMs: number;
  readonly deadlineMs: number;
  readonly size: number;
  readonly ttl: number;
  readonly df: boolean;
  readonly numeric: boolean;
  readonly quiet: boolean;
  readonly reportsOutstanding: boolean;
  readonly timestamps: boolean;
}

interface Target {
  /** The canonical name, or the dotted address. */
  readonly name: string;
  readonly daddr: number;
}

/** How a ping ends before it begins. */
interface Stop {
  readonly code: number;
  readonly message: string;
}

export const ping: Program = async (ctx) => {
  const parsed = parse(ctx.argv.slice(1));
  if ('message' in parsed) {
    (parsed.code === 0 ? ctx.stdout : ctx.stderr).write(parsed.message);
    return parsed.code;
  }
  const { destination, options } = parsed;
  let target: Target;
  try {
    const { addresses, canonicalName } = await lookup(ctx, destination);
    target = { name: canonicalName, daddr: addresses[0]! };
  } catch (error) {
    if (!(error instanceof ResolveError)) throw error;
    ctx.stderr.write(`ping: ${destination}: ${error.message}\n`);
    return 2;
  }
  const endpoint = ctx.stack.icmp.openPing();
  try {
    return await new Session(ctx, endpoint, target, options).run();
  } finally {
    endpoint.close();
  }
};

function parse(args: readonly string[]): { destination: string; options: Options } | Stop {
  const { options, operands, problem } = parseArguments(args, SPEC);
  if (problem) {
    const what = problem.kind === 'unknown' ? 'invalid option' : 'option requires an argument';
    return { code: 2, message: `ping: ${what} -- '${problem.letter}'\n${USAGE}` };
  }
  if (options.has('V')) return { code: 0, message: 'ping from iputils 20221126 (podwire)\n' };
  if (options.has('h')) return { code: 2, message: USAGE };
  let invalid: string | undefined;
  const number = (name: string, otherwise: number, min: number, max: number, fractions = false): number => {
    const text = options.get(name)?.at(-1);
    if (text === undefined) return otherwise;
    if (!(fractions ? /^\d*\.?\d+$/ : /^-?\d+$/).test(text)) invalid ??= `'${text}'`;
    else if (Number(text) < min || Number(text) > max)
      invalid ??= `'${text}': out of range: ${min} <= value <= ${BigInt(max) > INT_MAX ? '9223372036854775807' : max}`;
    return Number(text);
  };
  const result: Options = {
    count: number('c', Number.POSITIVE_INFINITY, 1, Number.MAX_SAFE_INTEGER),
    intervalMs: number('i', 1, 0, INT_MAX, true) * 1000,
    lingerMs: number('W', LINGER_MS / 1000, 0, INT_MAX, true) * 1000,
    deadlineMs: number('w', Number.POSITIVE_INFINITY, 0, INT_MAX) * 1000,
    size: number('s', 56, 0, INT_MAX),
    ttl: number('t', 64, 0, 255),
    df: options.get('M')?.at(-1) === 'do',
    numeric: options.has('n') || parseIPv4(operands.at(-1) ?? '') !== undefined,
    quiet: options.has('q'),
    reportsOutstanding: options.has('O'),
    timestamps: options.has('D'),
  };
  if (invalid) return { code: 1, message: `ping: invalid argument: ${invalid}\n` };
  const destination = operands.at(-1);
  if (destination === undefined) return { code: 1, message: 'ping: usage error: Destination address required\n' };
  return { destination, options: result };
}

class Session {
  readonly #ctx: ProcessContext;
  readonly #endpoint: PingEndpoint;
  readonly #target: Target;
  readonly #options: Options;
  /** When each request left, by its 16-bit sequence number. */
  readonly #sentUs = new Map<number, number>();
  /** Neither answered nor refused. */
  readonly #outstanding = new Set<number>();
  readonly #answered = new Set<number>();
  readonly #times = new RoundTrips();
  readonly #names = new Map<number, Promise<string>>();
  #written: Promise<void> = Promise.resolve();
  #sent = 0;
  #duplicates = 0;
  #errors = 0;
  #firstUs = 0;
  #lastUs = 0;
  /** Most requests under way at once: what the summary calls pipe. */
  #pipe = 0;
  #wake: () => void = () => {};

  constructor(ctx: ProcessContext, endpoint: PingEndpoint, target: Target, options: Options) {
    this.#ctx = ctx;
    this.#endpoint = endpoint;
    this.#target = target;
    this.#options = options;
    endpoint.onReply = (reply) => this.#reply(reply);
    endpoint.onError = (error) => this.#error(error);
  }

  async run(): Promise<number> {
    const { count, intervalMs, deadlineMs, size } = this.#options;
    const { stdout, stderr, clock, signal } = this.#ctx;
    const { name, daddr } = this.#target;
    const startUs = clock.nowUs();
    const leftMs = (): number => deadlineMs - (clock.nowUs() - startUs) / 1000;
    const refusedEarly = (): boolean => deadlineMs !== Number.POSITIVE_INFINITY && this.#errors > 0;
    while (!signal.aborted && leftMs() > 0 && !refusedEarly()) {
      if (this.#times.count >= count || (deadlineMs === Number.POSITIVE_INFINITY && this.#sent >= count)) break;
      const errno = this.#send();
      if (this.#sent === 1) {
        if (errno === 0 || errno === EMSGSIZE)
          stdout.write(`PING ${name} (${formatIPv4(daddr)}) ${size}(${size + 28}) bytes of data.\n`);
        else {
          stderr.write('ping: connect: Network is unreachable\n');
          return 2;
        }
      }
      if (this.#sent < count) await this.#pause(Math.min(intervalMs || MIN_INTERVAL_MS, leftMs()), intervalMs === 0);
      else if (deadlineMs !== Number.POSITIVE_INFINITY) await this.#pause(Math.min(intervalMs, leftMs()), true);
    }
    if (deadlineMs === Number.POSITIVE_INFINITY && this.#outstanding.size > 0)
      await this.#pause(this.#lingerMs(), true);
    await this.#written;
    if (signal.aborted && signal.reason !== 'SIGINT') return exitBySignal(signal);
    this.#summary();
    return this.#times.count > 0 ? 0 : 1;
  }

  /** Sends the next request; 0 or a positive errno. */
  #send(): number {
    const { ttl, size, df, reportsOutstanding, quiet } = this.#options;
    const { clock, stderr } = this.#ctx;
    const before = this.#sent;
    if (reportsOutstanding && !quiet && this.#outstanding.has(before & 0xffff))
      this.#line(() => `no answer yet for icmp_seq=${before}`);
    const seq = ++this.#sent & 0xffff;
    this.#lastUs = clock.nowUs();
    if (this.#sent === 1) this.#firstUs = this.#lastUs;
    this.#sentUs.set(seq, this.#lastUs);
    this.#outstanding.add(seq);
    this.#answered.delete(seq); // of 65536 requests ago
    const errno = -this.#endpoint.send({ daddr: this.#target.daddr, seq, ttl, df, payload: new Uint8Array(size) });
    if (errno === EMSGSIZE) {
      stderr.write(`ping: local error: message too long, mtu=${this.#ctx.stack.interfaces[0]?.link.mtu}\n`);
      this.#errors++;
      this.#outstanding.delete(seq);
    }
    return errno;
  }

  /** For `ms`, or until nothing is outstanding when `untilAnswered`. */
  async #pause(ms: number, untilAnswered: boolean): Promise<void> {
    const waiting = [sleepMs(this.#ctx, ms)];
    if (untilAnswered && this.#outstanding.size === 0) return;
    if (untilAnswered) waiting.push(new Promise((resolve) => void (this.#wake = resolve)));
    await Promise.race(waiting);
    this.#wake = () => {};
  }

  /** How long to wait for the last answers: twice the slowest, as iputils guesses. */
  #lingerMs(): number {
    const { intervalMs, lingerMs } = this.#options;
    return this.#times.count > 0 ? Math.max(2 * this.#times.maxMs, intervalMs) : lingerMs;
  }

  #reply({ saddr, seq, ttl, payload }: PingReply): void {
    const nowUs = this.#ctx.clock.nowUs();
    const tookMs = (nowUs - (this.#sentUs.get(seq) ?? nowUs)) / 1000;
    const again = this.#answered.has(seq);
    this.#acknowledge(seq);
    if (again) this.#duplicates++;
    else this.#times.add(tookMs);
    this.#answered.add(seq);
    const time = this.#measures ? ` time=${round(tookMs)} ms` : '';
    this.#say(
      saddr,
      (from) => `${payload.length + 8} bytes from ${from}: icmp_seq=${seq} ttl=${ttl}${time}${again ? ' (DUP!)' : ''}`,
    );
    if (this.#outstanding.size === 0) this.#wake();
  }

  #error({ reporter, seq, type, code, mtu }: PingError): void {
    this.#errors++;
    this.#acknowledge(seq);
    let what = `Bad ICMP type: ${type}`;
    if (type === ICMP_TIME_EXCEEDED) what = code === 0 ? 'Time to live exceeded' : 'Frag reassembly time exceeded';
    else if (type === ICMP_DEST_UNREACH)
      what =
        code === 4
          ? `Frag needed and DF set (mtu = ${mtu})`
          : (UNREACHABLE[code] ?? `Dest Unreachable, Bad Code: ${code}`);
    this.#say(reporter, (from) => `From ${from} icmp_seq=${seq} ${what}`);
    if (this.#outstanding.size === 0) this.#wake();
  }

  #acknowledge(seq: number): void {
    this.#outstanding.delete(seq);
    this.#pipe = Math.max(this.#pipe, ((this.#sent - seq) & 0xffff) + 1);
  }

  get #measures(): boolean {
    return this.#options.size >= TIMESTAMP_BYTES;
  }

  /** A line about `addr`, when its name is known. */
  #say(addr: number, text: (from: string) => string): void {
    if (!this.#options.quiet) this.#line(async () => text(await this.#nameOf(addr)));
  }

  #line(text: () => string | Promise<string>): void {
    const stamp = this.#options.timestamps ? `[${(this.#ctx.clock.unixMs() / 1000).toFixed(6)}] ` : '';
    this.#written = this.#written.then(async () => void this.#ctx.stdout.write(`${stamp}${await text()}\n`));
  }

  #nameOf(addr: number): Promise<string> {
    const dotted = formatIPv4(addr);
    if (this.#options.numeric) return Promise.resolve(dotted);
    const known = this.#names.get(addr);
    if (known) return known;
    const name = reverseLookup(this.#ctx, addr).then(
      (found) => (found ? `${found} (${dotted})` : dotted),
      () => dotted, // told to end meanwhile
    );
    this.#names.set(addr, name);
    return name;
  }

  #summary(): void {
    const { stdout } = this.#ctx;
    const received = this.#times.count;
    const loss = this.#sent === 0 ? 0 : ((this.#sent - received) / this.#sent) * 100;
    const totalMs = Math.floor((this.#lastUs - this.#firstUs) / 1000);
    stdout.write(`\n--- ${this.#target.name} ping statistics ---\n`);
    stdout.write(
      `${this.#sent} packets transmitted, ${received} received, ${this.#duplicates ? `+${this.#duplicates} duplicates, ` : ''}${this.#errors ? `+${this.#errors} errors, ` : ''}${Number(loss.toPrecision(6))}% packet loss, time ${totalMs}ms\n`,
    );
    const parts: string[] = [];
    if (received > 0 && this.#measures) parts.push(`rtt min/avg/max/mdev = ${this.#times.spread()} ms`);
    if (this.#pipe > 1) parts.push(`pipe ${this.#pipe}`);
    if (received > 0 && this.#options.intervalMs === 0 && this.#sent > 1)
      parts.push(
        `ipg/ewma ${((this.#lastUs - this.#firstUs) / 1000 / (this.#sent - 1)).toFixed(3)}/${this.#times.ewmaMs.toFixed(3)} ms`,
      );
    stdout.write(`${parts.join(', ')}\n`);
  }
}

/** Statistics of round trip times in one pass, in milliseconds. */
class RoundTrips {
  count = 0;
  maxMs = 0;
  /** Weighted by 1/8, as iputils keeps it. */
  ewmaMs = 0;
  #minMs = Number.POSITIVE_INFINITY;
  #sum = 0;
  #squares = 0;

  add(ms: number): void {
    this.ewmaMs += this.count === 0 ? ms : (ms - this.ewmaMs) / 8;
    this.count++;
    this.maxMs = Math.max(this.maxMs, ms);
    this.#minMs = Math.min(this.#minMs, ms);
    this.#sum += ms;
    this.#squares += ms * ms;
  }

  /** min/avg/max/mdev */
  spread(): string {
    const mean = this.#sum / this.count;
    const deviation = Math.sqrt(Math.max(0, this.#squares / this.count - mean * mean));
    return [this.#minMs, mean, this.maxMs, deviation].map((ms) => ms.toFixed(3)).join('/');
  }
}

/** As iputils shows a time: three significant digits below 100 ms. */
function round(ms: number): string {
  return ms >= 99.95 ? ms.toFixed(0) : ms >= 9.995 ? ms.toFixed(1) : ms >= 1 ? ms.toFixed(2) : ms.toFixed(3);
}
