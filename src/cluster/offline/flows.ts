// Many questions at once, and whether the answers are the expected ones: the FLOWS file of `podwire trace --flows`, a list (YAML
// or JSON) of {name, from, to, protocol, expect?}. `from` is an address, perhaps with a port, or a Pod as `namespace/name`.
import { parse } from 'yaml';
import { endpointText } from '../../kernel/what-if/text.ts';
import type { TraceAnswer, TraceEndpoint } from '../../kernel/what-if/types.ts';
import type { AskedTrace } from '../trace-question.ts';

export interface ExpectedAnswer {
  readonly verdict?: string;
  /** As `address:port`, in any order. */
  readonly endpoints?: readonly string[];
  readonly masquerade?: boolean;
}

export interface FlowQuestion {
  readonly name: string;
  readonly asked: AskedTrace;
  readonly expect: ExpectedAnswer | undefined;
}

const PROTOCOLS = ['tcp', 'udp', 'sctp', 'icmp'] as const;

/** Throws TypeError naming the flow and the field. */
export function parseFlows(text: string): FlowQuestion[] {
  const value: unknown = parse(text);
  if (!Array.isArray(value)) throw new TypeError('expected a list of flows');
  return value.map((item, i) => flowOf(item, i));
}

function flowOf(item: unknown, index: number): FlowQuestion {
  if (item === null || typeof item !== 'object') throw new TypeError(`flow ${index + 1}: expected an object`);
  const fields = item as Record<string, unknown>;
  const name = typeof fields.name === 'string' ? fields.name : `flow ${index + 1}`;
  const text = (field: string, fallback?: string): string => {
    const value = fields[field] ?? fallback;
    if (typeof value !== 'string' || value === '') throw new TypeError(`${name}: ${field}: expected a text`);
    return value;
  };
  const protocol = PROTOCOLS.find((p) => p === text('protocol', 'tcp').toLowerCase());
  if (!protocol) throw new TypeError(`${name}: protocol: expected tcp, udp, sctp or icmp`);
  const from = fields.pod === undefined ? text('from') : text('pod');
  const sender = from.includes('/') ? { pod: from } : { from };
  return { name, asked: { ...sender, to: text('to'), protocol }, expect: expectOf(name, fields.expect) };
}

function expectOf(name: string, value: unknown): ExpectedAnswer | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value !== 'object') throw new TypeError(`${name}: expect: expected an object`);
  const { verdict, endpoints, masquerade } = value as Record<string, unknown>;
  if (endpoints && !Array.isArray(endpoints)) throw new TypeError(`${name}: expect.endpoints: expected a list`);
  return {
    ...(typeof verdict === 'string' ? { verdict } : {}),
    ...(endpoints ? { endpoints: (endpoints as unknown[]).map(expectedEndpoint) } : {}),
    ...(typeof masquerade === 'boolean' ? { masquerade } : {}),
  };
}

/** Endpoints may also be written as an answer has them. */
function expectedEndpoint(value: unknown): string {
  if (typeof value === 'string') return value;
  return endpointText(value as TraceEndpoint);
}

/** One line for each thing that does not hold. LOCAL is one of the ways of NONE: kube-proxy does not send it anywhere. */
export function differences(expect: ExpectedAnswer, answer: TraceAnswer): string[] {
  const out: string[] = [];
  const verdict = answer.verdict === 'LOCAL' && expect.verdict === 'NONE' ? 'NONE' : answer.verdict;
  if (expect.verdict !== undefined && verdict !== expect.verdict)
    out.push(`verdict ${answer.verdict}, expected ${expect.verdict} (${answer.reason})`);
  if (expect.endpoints) {
    const found = answer.endpoints.map(endpointText).sort().join(' ');
    const wanted = [...expect.endpoints].sort().join(' ');
    if (found !== wanted) out.push(`endpoints ${found || 'none'}, expected ${wanted || 'none'}`);
  }
  if (expect.masquerade !== undefined && answer.masquerade !== expect.masquerade)
    out.push(`masquerade ${answer.masquerade}, expected ${expect.masquerade}`);
  return out;
}
