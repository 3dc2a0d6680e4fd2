// traceroute, worded as Debian's: traceroute [-n] [-q PROBES] [-w WAIT] [-m MAX_TTL] [-I] [-p PORT] HOST
// UDP probes to rising ports by default, ICMP echo with -I.

import { formatIPv4 } from '../../tcpip-ts/wire/address.ts';
import { ICMP_DEST_UNREACH, ICMP_PORT_UNREACH, ICMP_TIME_EXCEEDED } from '../../tcpip-ts/wire/icmpv4.ts';
import type { ProcessContext, Program } from '../workloads/program.ts';
import { parseArguments } from './arguments.ts';
import { resolve } from './resolver.ts';

const SPEC = { n: false, q: true, w: true, m: true, I: false, p: true, f: true };
const FIRST_PORT = 33434;
const PACKET_BYTES = 60;
const FLAGS: Readonly<Record<number, string>> = { 0: '!N', 1: '!H', 2: '!P', 4: '!F' };

/** What came back for one probe. */
interface Answer {
  readonly from: number;
  readonly ms: number;
  /** The destination itself answered, or nothing lies behind what did. */
  readonly last: boolean;
  readonly flag: string;
}

type Probe = (ttl: number, sequence: number, waitMs: number) => Promise<Answer | undefined>;

export const traceroute: Program = async (ctx) => {
  const { options, operands, problem } = parseArguments(ctx.argv.slice(1), SPEC);
  const [target] = operands;
  if (problem || target === undefined) {
    ctx.stderr.write(problem ? `Bad option \`${problem.option}' (argc 1)\n` : 'Specify "host" missing argument.\n');
    return 2;
  }
  const addresses = await resolve(ctx, target).catch(() => undefined);
  if (!addresses) {
    ctx.stderr.write(
      `${target}: Name or service not known\nCannot handle "host" cmdline arg \`${target}' on position 1 (argc 1)\n`,
    );
    return 2;
  }
  const number = (name: string, otherwise: number): number => Number(options.get(name)?.at(-1) ?? otherwise);
  const daddr = addresses[0]!;
  const maxTtl = number('m', 30);
  ctx.stdout.write(
    `traceroute to ${target} (${formatIPv4(daddr)}), ${maxTtl} hops max, ${PACKET_BYTES} byte packets\n`,
  );
  const prober = options.has('I') ? icmpProber(ctx, daddr) : udpProber(ctx, daddr, number('p', FIRST_PORT));
  const showNames = !options.has('n');
  try {
    let sequence = 0;
    for (let ttl = number('f', 1); ttl <= maxTtl && !ctx.signal.aborted; ttl++) {
      let line = String(ttl).padStart(2);
      let shown: number | undefined;
      let last = false;
      for (let q = 0; q < number('q', 3); q++) {
        const answer = await prober.probe(ttl, sequence++, number('w', 5) * 1000);
        if (!answer) {
          line += ' *';
          continue;
        }
        const address = formatIPv4(answer.from);
        if (answer.from !== shown) line += showNames ? `  ${address} (${address})` : `  ${address}`;
        shown = answer.from;
        line += `  ${answer.ms.toFixed(3)} ms${answer.flag ? ` ${answer.flag}` : ''}`;
        last ||= answer.last;
      }
      ctx.stdout.write(`${line}\n`);
      if (last) break;
    }
    return 0;
  } finally {
    prober.close();
  }
};

function classify(type: number, code: number): { last: boolean; flag: string } {
  if (type === ICMP_TIME_EXCEEDED) return { last: false, flag: '' };
  if (type === ICMP_DEST_UNREACH && code === ICMP_PORT_UNREACH) return { last: true, flag: '' };
  return { last: true, flag: FLAGS[code] ?? `!<${code}>` };
}

/** Makes a probe out of "send" and a place where the answer is reported. */
function expecting(
  ctx: ProcessContext,
  send: (ttl: number, sequence: number) => number,
): { probe: Probe; answered: (key: number, from: number, last: boolean, flag: string) => void } {
  const waiting = new Map<number, (from: number, last: boolean, flag: string) => void>();
  return {
    answered: (key, from, last, flag) => waiting.get(key)?.(from, last, flag),
    probe: (ttl, sequence, waitMs) =>
      new Promise((resolve) => {
        const startUs = ctx.clock.nowUs();
        const timer = ctx.clock.after(waitMs * 1000, () => finish(undefined));
        const finish = (answer: Answer | undefined): void => {
          timer.cancel();
          waiting.delete(key);
          resolve(answer);
        };
        const key = send(ttl, sequence);
        waiting.set(key, (from, last, flag) => finish({ from, last, flag, ms: (ctx.clock.nowUs() - startUs) / 1000 }));
      }),
  };
}

function udpProber(ctx: ProcessContext, daddr: number, firstPort: number): { probe: Probe; close: () => void } {
  const socket = ctx.stack.udp.bind();
  const { probe, answered } = expecting(ctx, (ttl, sequence) => {
    socket.ttl = ttl;
    socket.send(new Uint8Array(PACKET_BYTES - 28), daddr, firstPort + sequence);
    return firstPort + sequence;
  });
  socket.onError = (_errno, { reporter, dport, type, code }) => {
    const { last, flag } = classify(type, code);
    answered(dport, reporter, last, flag);
  };
  return { probe, close: () => socket.close() };
}

function icmpProber(ctx: ProcessContext, daddr: number): { probe: Probe; close: () => void } {
  const endpoint = ctx.stack.icmp.openPing();
  const { probe, answered } = expecting(ctx, (ttl, sequence) => {
    endpoint.send({ daddr, seq: sequence + 1, ttl, payload: new Uint8Array(PACKET_BYTES - 28) });
    return sequence + 1;
  });
  endpoint.onReply = ({ saddr, seq }) => answered(seq, saddr, true, '');
  endpoint.onError = ({ reporter, seq, type, code }) => {
    const { last, flag } = classify(type, code);
    answered(seq, reporter, last, flag);
  };
  return { probe, close: () => endpoint.close() };
}
