// Many questions at once, and whether the answers are the expected ones: the FLOWS file of `podwire trace --flows`, a list (YAML
// or JSON) of {name, from, to, protocol, expect?}. `from` is an address, perhaps with a port, or a Pod as `namespace/name`; `to` has
// its port after a colon or in a field `port`. `expectByMode` says what is expected instead in a proxy mode. `source` and `dest` stand for `from` and `to`, as upstream's own tables call them.
import { LineCounter, parseDocument } from 'yaml';
import { ManifestError } from '../../api/manifest.ts';
import { endpointText } from '../../kernel/what-if/text.ts';
import { type TraceAnswer, type TraceEndpoint, VERDICTS } from '../../kernel/what-if/types.ts';
import { PROXY_MODES, type ProxyMode } from '../../proxy/config.ts';
import { type AskedTrace, splitHostPort } from '../trace-question.ts';

export interface ExpectedAnswer {
  readonly verdict?: string;
  /** As `address:port`, in any order. */
  readonly endpoints?: readonly string[];
  readonly masquerade?: boolean;
}

export interface FlowQuestion {
  readonly name: string;
  /** Absent when the question makes no sense; then `error` says why. */
  readonly asked?: AskedTrace;
  readonly error?: string;
  readonly expect?: ExpectedAnswer | undefined;
  /** What is expected instead in a proxy mode. */
  readonly expectByMode?: Partial<Record<ProxyMode, ExpectedAnswer>>;
  /** Fields of `expect` that nothing is compared with. */
  readonly unknown: readonly string[];
}

const PROTOCOLS = ['tcp', 'udp', 'sctp', 'icmp'] as const;

const EXPECTED = ['verdict', 'endpoints', 'masquerade'] as const;

/** Throws ManifestError: no YAML, or no list. What is wrong with one flow does not keep the others from being answered. */
export function parseFlows(text: string, file: string): FlowQuestion[] {
  const lineCounter = new LineCounter();
  const document = parseDocument(text, { prettyErrors: false, lineCounter });
  const [wrong] = document.errors;
  if (wrong) {
    const { line, col } = lineCounter.linePos(wrong.pos[0]);
    throw new ManifestError(file, line, col, wrong.message);
  }
  const value: unknown = document.toJS();
  if (!Array.isArray(value)) throw new ManifestError(file, 1, 1, 'expected a list of flows');
  return value.map(flowOf);
}

function flowOf(item: unknown, index: number): FlowQuestion {
  const fields = (item !== null && typeof item === 'object' ? item : {}) as Record<string, unknown>;
  const name = typeof fields.name === 'string' ? fields.name : `flow ${index + 1}`;
  try {
    if (fields !== item) throw new TypeError('expected an object');
    const expect = expectOf('expect', fields.expect);
    const byMode = PROXY_MODES.map((mode) => [mode, expectOf(`expectByMode.${mode}`, inMode(fields, mode))] as const);
    const expectByMode = Object.fromEntries(byMode.filter(([, expected]) => expected !== undefined));
    return { name, asked: askedOf(fields), expect, expectByMode, unknown: unknownIn(fields) };
  } catch (error) {
    return { name, error: (error as TypeError).message, unknown: [] };
  }
}

function askedOf(fields: Record<string, unknown>): AskedTrace {
  const text = (field: string, value: unknown): string => {
    if (typeof value !== 'string' || value === '') throw new TypeError(`${field}: expected a text`);
    return value;
  };
  const protocol = PROTOCOLS.find((p) => p === text('protocol', fields.protocol ?? 'tcp').toLowerCase());
  if (!protocol) throw new TypeError('protocol: expected tcp, udp, sctp or icmp');
  const from = text('from', fields.pod ?? fields.from ?? fields.source);
  const to = text('to', fields.to ?? fields.dest);
  const port = fields.port ?? undefined;
  const sender = from.includes('/') ? { pod: from } : { from };
  return { ...sender, to: port === undefined ? to : `${bracketed(to)}:${String(port)}`, protocol };
}

function bracketed(host: string): string {
  return host.includes(':') && !host.startsWith('[') ? `[${host}]` : host;
}

function inMode({ expectByMode }: Record<string, unknown>, mode: ProxyMode): unknown {
  if (expectByMode === undefined || expectByMode === null) return undefined;
  if (typeof expectByMode !== 'object') throw new TypeError('expectByMode: expected an object');
  return (expectByMode as Record<string, unknown>)[mode];
}

/** As paths. */
function unknownIn(fields: Record<string, unknown>): string[] {
  const modes = (fields.expectByMode ?? {}) as Record<string, object>;
  const others = Object.keys(modes).filter((mode) => !PROXY_MODES.some((m) => m === mode));
  const within = (path: string, value: unknown): string[] =>
    Object.keys(value ?? {}).flatMap((field) => (EXPECTED.some((e) => e === field) ? [] : [`${path}.${field}`]));
  return [
    ...within('expect', fields.expect),
    ...others.map((mode) => `expectByMode.${mode}`),
    ...PROXY_MODES.flatMap((mode) => within(`expectByMode.${mode}`, modes[mode])),
  ];
}

function expectOf(path: string, value: unknown): ExpectedAnswer | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value !== 'object' || Array.isArray(value)) throw new TypeError(`${path}: expected an object`);
  const { verdict, endpoints, masquerade } = value as Record<string, unknown>;
  const said = verdict === undefined || verdict === null ? undefined : String(verdict).toUpperCase();
  if (said !== undefined && !VERDICTS.some((v) => v === said))
    throw new TypeError(`${path}.verdict: expected ${VERDICTS.join(', ')}, not ${String(verdict)}`);
  if (endpoints && !Array.isArray(endpoints)) throw new TypeError(`${path}.endpoints: expected a list`);
  if (masquerade !== undefined && masquerade !== null && typeof masquerade !== 'boolean')
    throw new TypeError(`${path}.masquerade: expected true or false`);
  return {
    ...(said !== undefined ? { verdict: said } : {}),
    ...(endpoints ? { endpoints: (endpoints as unknown[]).map((endpoint) => expectedEndpoint(path, endpoint)) } : {}),
    ...(typeof masquerade === 'boolean' ? { masquerade } : {}),
  };
}

/** Endpoints may also be written as an answer has them; an IPv6 address may do without its brackets. */
function expectedEndpoint(path: string, value: unknown): string {
  if (typeof value !== 'string') {
    const { address, port } = (value ?? {}) as Partial<TraceEndpoint>;
    if (typeof address !== 'string' || port === undefined)
      throw new TypeError(`${path}.endpoints: expected ADDRESS:PORT, or an object with address and port`);
    return endpointText({ address, port });
  }
  const [address, port] = splitHostPort(value, true);
  return port === undefined ? value : endpointText({ address, port });
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
