// Whether two results of an IPVS scenario's event are equal.
import type { Json, Result } from './ipvs-replay-file.ts';

/** The oracle's own seconds vary by this much from play to play. */
const SECONDS_SLACK = 2;

/** Equal but for what the oracle itself leaves open: ports that NAT chose at random, and the seconds left of a timer. */
export function same(expected: Result, got: Result, ports: ReadonlySet<number>): boolean {
  const texts = [expected, got].map((result) => JSON.stringify(normal(result, expected, ports)));
  return texts[0] === texts[1] && sameSeconds(expected, got);
}

/** In one order; without the counters that the oracle was not asked for. */
function normal(result: Result, expected: Result, ports: ReadonlySet<number>): Json {
  const out: Record<string, Json> = {};
  for (const key of Object.keys(result).sort()) {
    const value = result[key]!;
    if (key === 'c' && !('c' in expected)) continue;
    if (key === 'error')
      out[key] = true; // worded by errno there
    else if (key === 'as' || key === 'reply_to') out[key] = split(value as string)[0];
    else if (key === 'reply') out[key] = withoutRandom(value as string, ports);
    else if (key === 'steps') out[key] = (value as Result[]).map((step, i) => normal(step, stepOf(expected, i), ports));
    else if (key === 'conns') out[key] = sorted(value).map((row) => row.slice(0, 5));
    else if (key !== 'late') out[key] = value;
  }
  return out;
}

/** A server's own port, or its service's, or one that NAT chose. */
function withoutRandom(source: string, ports: ReadonlySet<number>): string {
  const [addr, port] = split(source);
  return ports.has(port) ? source : addr;
}

function stepOf(result: Result, i: number): Result {
  return (result['steps'] as Result[] | undefined)?.[i] ?? {};
}

function sameSeconds(expected: Result, got: Result): boolean {
  if (!('conns' in expected) || !('conns' in got)) return true;
  const [a, b] = [sorted(expected['conns']!), sorted(got['conns']!)];
  return a.every((row, i) => Math.abs((row[5] as number) - (b[i]![5] as number)) <= SECONDS_SLACK);
}

function sorted(conns: Json): Json[][] {
  return [...(conns as Json[][])].sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
}

/** An address and a port. */
export function split(hostPort: string): [string, number] {
  const at = hostPort.lastIndexOf(':');
  return [hostPort.slice(0, at), Number(hostPort.slice(at + 1))];
}
