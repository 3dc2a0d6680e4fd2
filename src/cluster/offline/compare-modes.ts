// What the proxy modes do to one packet, side by side. Where they differ and the real ones are known to, the difference is named.
import { endpointText, percent } from '../../kernel/what-if/text.ts';
import type { TraceAnswer, TraceVerdict } from '../../kernel/what-if/types.ts';
import type { ProxyMode } from '../../proxy/config.ts';

export type AnswersByMode = Readonly<Record<ProxyMode, TraceAnswer>>;

export interface ModeDifference {
  readonly field: 'verdict' | 'endpoints' | 'masquerade';
  readonly values: Readonly<Record<ProxyMode, string>>;
  /** Why the real ones differ here too; absent when that is not known. */
  readonly known?: string;
}

type Verdicts = Readonly<Record<ProxyMode, TraceVerdict>>;

/** After reference kube-proxy's own notes on its modes; the first that applies. */
const KNOWN: readonly (readonly [applies: (v: Verdicts, a: AnswersByMode) => boolean, why: string])[] = [
  [
    (v) => v.ipvs === 'DNAT' && (v.iptables === 'DROP' || v.nftables === 'DROP'),
    "IPVS mode sends to any endpoint when a Local policy has no local one, and has source ranges for what the Node itself sends only when that has the load balancer's address as source; the others drop",
  ],
  [
    (v) => v.ipvs === 'REJECT' && v.iptables === 'DROP' && v.nftables === 'DROP',
    'IPVS mode refuses when a Service inside the cluster has a Local policy and no local endpoint; the others drop',
  ],
  [
    (v) => v.nftables === 'REJECT' && isUntouched(v.iptables),
    'iptables mode leaves alone what the others reject: ports of a ClusterIP that no Service has, and what the Node itself sends to an external address without endpoints',
  ],
  [
    (v) => v.nftables === 'DROP' && isUntouched(v.iptables),
    'nftables mode drops what is for an unallocated address of the Service network; the others route it on',
  ],
  [
    (v) => v.iptables === 'ACCEPT' && v.nftables !== 'ACCEPT',
    'nftables mode has no rule that accepts health-check node ports: its table could not override others',
  ],
  [
    (v) => !isUntouched(v.iptables) && (isUntouched(v.nftables) || isUntouched(v.ipvs)),
    'by default iptables mode takes NodePorts on all addresses, IPVS mode on all but loopback, nftables mode on the primary one',
  ],
  [
    (v) => v.nftables === 'DROP' && v.iptables === 'REJECT',
    'nftables mode looks at the source ranges of a load balancer first, the others at whether there are endpoints',
  ],
  [
    (v, a) =>
      v.ipvs === 'DNAT' && v.iptables === 'DNAT' && `${endpointTexts(a.ipvs)}` !== `${endpointTexts(a.iptables)}`,
    'externalTrafficPolicy Local has a short cut to all endpoints for Pods and the Node itself, which IPVS mode lacks',
  ],
  [
    (v) => v.ipvs === 'LOCAL' || (v.ipvs === 'REJECT' && isUntouched(v.iptables)),
    'in IPVS mode Service addresses are on kube-ipvs0, so the Node itself answers for what no virtual server takes',
  ],
  [
    (v, a) => isUntouched(v.ipvs) && a.ipvs.masquerade,
    "IPVS mode knows node ports by their number alone: it masquerades what is for one on any of the Node's addresses, those that take none, too",
  ],
  [
    (v, a) => v.ipvs === v.iptables && !a.ipvs.masquerade && a.iptables.masquerade,
    "IPVS mode masquerades a ClusterIP's traffic only by its source; iptables mode by what it was sent to, too",
  ],
];

export function compareModes(answers: AnswersByMode): ModeDifference[] {
  const out: ModeDifference[] = [];
  const verdicts: Verdicts = map(answers, (a) => a.verdict);
  const known = KNOWN.find(([applies]) => applies(verdicts, answers))?.[1];
  const add = (field: ModeDifference['field'], text: (answer: TraceAnswer) => string): void => {
    const values = map(answers, text);
    if (new Set(Object.values(values)).size > 1) out.push({ field, values, ...(known ? { known } : {}) });
  };
  add('verdict', (a) => (a.verdict === 'LOCAL' ? 'NONE' : a.verdict));
  add('endpoints', (a) => endpointTexts(a).join(', '));
  add('masquerade', (a) => String(a.masquerade));
  return out;
}

/** Sorted: the modes list endpoints in orders of their own. */
export function endpointTexts({ endpoints }: TraceAnswer): string[] {
  return endpoints.map((e) => `${endpointText(e)} ${percent(e.probability)}`).sort();
}

function isUntouched(verdict: TraceVerdict): boolean {
  return verdict === 'NONE' || verdict === 'LOCAL';
}

function map<T>(answers: AnswersByMode, fn: (answer: TraceAnswer) => T): Record<ProxyMode, T> {
  return { ipvs: fn(answers.ipvs), iptables: fn(answers.iptables), nftables: fn(answers.nftables) };
}
