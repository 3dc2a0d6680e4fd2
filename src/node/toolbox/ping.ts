// ping, worded as iputils': ping [-c COUNT] [-i INTERVAL] [-W TIMEOUT] [-s SIZE] [-t TTL] [-n] [-q] DESTINATION
// Exit code 0: every request or at least one was answered; 1: none; 2: anything else.

import type { PingEndpoint } from '../../tcpip-ts/icmp/ping.ts';
import { formatIPv4, parseIPv4 } from '../../tcpip-ts/wire/address.ts';
import { ICMP_DEST_UNREACH, ICMP_TIME_EXCEEDED } from '../../tcpip-ts/wire/icmpv4.ts';
import type { ProcessContext, Program } from '../workloads/program.ts';
import { parseArguments } from './arguments.ts';
import { type ResolveError, resolve } from './resolver.ts';
import { sleepMs } from './wait.ts';

const SPEC = { c: true, i: true, W: true, w: true, s: true, t: true, n: false, q: false, 4: false };
const UNREACHABLE: Readonly<Record<number, string>> = {
  0: 'Destination Net Unreachable',
  1: 'Destination Host Unreachable',
  2: 'Destination Protocol Unreachable',
  3: 'Destination Port Unreachable',
  13: 'Packet filtered',
};

export const ping: Program = async (ctx) => {
  const { options, operands, problem } = parseArguments(ctx.argv.slice(1), SPEC);
  const [target] = operands;
  if (problem || target === undefined) {
    ctx.stderr.write(
      problem
        ? `ping: invalid option -- '${problem.option.slice(1)}'\n`
        : 'ping: usage error: Destination address required\n',
    );
    return 2;
  }
  let addresses: number[];
  try {
    addresses = await resolve(ctx, target);
  } catch (error) {
    ctx.stderr.write(`ping: ${target}: ${(error as ResolveError).message}\n`);
    return 2;
  }
  const number = (name: string, otherwise: number): number => Number(options.get(name)?.at(-1) ?? otherwise);
  const endpoint = ctx.stack.icmp.openPing();
  try {
    const session = new PingSession(ctx, endpoint, {
      target,
      daddr: addresses[0]!,
      count: number('c', Number.POSITIVE_INFINITY),
      intervalMs: number('i', 1) * 1000,
      timeoutMs: number('W', 10) * 1000,
      deadlineMs: number('w', Number.POSITIVE_INFINITY) * 1000,
      size: number('s', 56),
      ttl: number('t', 64),
      quiet: options.has('q'),
    });
    return await session.run();
  } finally {
    endpoint.close();
  }
};

interface PingOptions {
  readonly target: string;
  readonly daddr: number;
  readonly count: number;
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly deadlineMs: number;
  readonly size: number;
  readonly ttl: number;
  readonly quiet: boolean;
}

class PingSession {
  readonly #ctx: ProcessContext;
  readonly #endpoint: PingEndpoint;
  readonly #options: PingOptions;
  readonly #sentUs = new Map<number, number>();
  readonly #timesMs: number[] = [];
  #sent = 0;
  #duplicates = 0;
  #errors = 0;
  readonly #answered = new Set<number>();
  #wake: () => void = () => {};

  constructor(ctx: ProcessContext, endpoint: PingEndpoint, options: PingOptions) {
    this.#ctx = ctx;
    this.#endpoint = endpoint;
    this.#options = options;
    endpoint.onReply = ({ saddr, seq, ttl, payload }) => this.#reply(saddr, seq, ttl, payload.length + 8);
    endpoint.onError = ({ reporter, seq, type, code }) => this.#error(reporter, seq, type, code);
  }

  async run(): Promise<number> {
    const { target, daddr, count, intervalMs, timeoutMs, deadlineMs, size, ttl } = this.#options;
    const { stdout, stderr, clock, signal } = this.#ctx;
    const host = formatIPv4(daddr);
    const startUs = clock.nowUs();
    const elapsedMs = (): number => (clock.nowUs() - startUs) / 1000;
    stdout.write(`PING ${target} (${host}) ${size}(${size + 28}) bytes of data.\n`);
    while (this.#sent < count && !signal.aborted && elapsedMs() < deadlineMs) {
      const seq = ++this.#sent & 0xffff;
      this.#sentUs.set(seq, clock.nowUs());
      const error = this.#endpoint.send({ daddr, seq, ttl, payload: new Uint8Array(size) });
      if (error < 0) {
        stderr.write('ping: connect: Network is unreachable\n');
        return 2;
      }
      if (this.#sent < count) await sleepMs(this.#ctx, Math.min(intervalMs, deadlineMs - elapsedMs()));
    }
    // Answers to the last requests may still come.
    const waitMs = Math.min(timeoutMs, deadlineMs - elapsedMs());
    if (this.#outstanding() > 0 && !signal.aborted) {
      await Promise.race([
        sleepMs(this.#ctx, waitMs),
        new Promise<void>((done) => {
          this.#wake = done;
        }),
      ]);
    }
    this.#summary(target, Math.round(elapsedMs()));
    return this.#answered.size > 0 ? 0 : 1;
  }

  #reply(saddr: number, seq: number, ttl: number, bytes: number): void {
    const { quiet, target } = this.#options;
    const ms = (this.#ctx.clock.nowUs() - (this.#sentUs.get(seq) ?? this.#ctx.clock.nowUs())) / 1000;
    const again = this.#answered.has(seq);
    if (again) this.#duplicates++;
    else this.#timesMs.push(ms);
    this.#answered.add(seq);
    if (!quiet)
      this.#ctx.stdout.write(
        `${bytes} bytes from ${this.#name(saddr, target)}: icmp_seq=${seq} ttl=${ttl} time=${round(ms)} ms${again ? ' (DUP!)' : ''}\n`,
      );
    if (this.#outstanding() === 0) this.#wake();
  }

  #error(reporter: number, seq: number, type: number, code: number): void {
    this.#errors++;
    const what =
      type === ICMP_TIME_EXCEEDED
        ? 'Time to live exceeded'
        : type === ICMP_DEST_UNREACH
          ? UNREACHABLE[code]
          : undefined;
    if (!this.#options.quiet)
      this.#ctx.stdout.write(`From ${formatIPv4(reporter)} icmp_seq=${seq} ${what ?? `Bad ICMP type: ${type}`}\n`);
    this.#sentUs.delete(seq);
    if (this.#outstanding() === 0) this.#wake();
  }

  /** Requests neither answered nor refused. */
  #outstanding(): number {
    return [...this.#sentUs.keys()].filter((seq) => !this.#answered.has(seq)).length;
  }

  #name(saddr: number, target: string): string {
    const address = formatIPv4(saddr);
    return parseIPv4(target) !== undefined ? address : `${target} (${address})`;
  }

  #summary(target: string, totalMs: number): void {
    const received = this.#answered.size;
    const loss = this.#sent === 0 ? 0 : Math.round(((this.#sent - received) / this.#sent) * 1e5) / 1e3;
    const { stdout } = this.#ctx;
    stdout.write(`\n--- ${target} ping statistics ---\n`);
    stdout.write(
      `${this.#sent} packets transmitted, ${received} received, ${this.#duplicates ? `+${this.#duplicates} duplicates, ` : ''}${this.#errors ? `+${this.#errors} errors, ` : ''}${loss}% packet loss, time ${totalMs}ms\n`,
    );
    if (received > 0) {
      const times = this.#timesMs;
      const mean = times.reduce((a, b) => a + b, 0) / times.length;
      const deviation = Math.sqrt(Math.max(0, times.reduce((a, b) => a + b * b, 0) / times.length - mean * mean));
      const three = (ms: number): string => ms.toFixed(3);
      stdout.write(
        `rtt min/avg/max/mdev = ${three(Math.min(...times))}/${three(mean)}/${three(Math.max(...times))}/${three(deviation)} ms\n`,
      );
    } else {
      stdout.write('\n');
    }
  }
}

/** As iputils shows a time: three significant digits below 100 ms. */
function round(ms: number): string {
  return ms >= 100 ? ms.toFixed(0) : ms >= 10 ? ms.toFixed(1) : ms >= 1 ? ms.toFixed(2) : ms.toFixed(3);
}
