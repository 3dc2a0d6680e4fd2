// The three modes side by side, of both families: for generated Services and packets (test/support/service-mix.ts) they agree wherever
// Kubernetes says they must. Where upstream's modes differ the difference is named here, with what the one that stands alone does
// instead. Each mode does with IPv6 what it does with IPv4, and what test/support/expected-verdict.ts has worked out for itself.
//
// Every Service is dual-stack: ClusterIPs, NodePorts, load balancers with and without source ranges, externalIPs; both policies; ready,
// unready and terminating endpoints, here and elsewhere, none at all; affinity; TCP, UDP, SCTP, several ports. Asked by a Pod, by an
// endpoint itself, by the Node, by somebody outside and by one whom the source ranges keep out.
import t from 'tap';
import type { EndpointSlice } from '../../../src/api/discovery-v1.ts';
import { compareModes } from '../../../src/cluster/offline/compare-modes.ts';
import { readObjects } from '../../../src/cluster/offline/objects.ts';
import { OfflineNode } from '../../../src/cluster/offline/offline-node.ts';
import type { TraceAnswer } from '../../../src/kernel/what-if/types.ts';
import { SeededRng } from '../../../src/lib/rng.ts';
import { PROXY_MODES, type ProxyMode } from '../../../src/proxy/config.ts';
import { type Circumstances, expectedVerdict } from '../../support/expected-verdict.ts';
import { dualStack, inIPv6 } from '../../support/in-ipv6.ts';
import { fc } from '../../support/property.ts';
import { type Mix, NODE_IPS, type WideQuestion, wideMix } from '../../support/service-mix.ts';

t.setTimeout(0); // a loaded machine takes long over it; the runner has its own limit

const SERVICES = 10;
/** MODES_RUNS=1000 for a long run. */
const RUNS = Number(process.env['MODES_RUNS'] ?? 8);

interface Config extends Circumstances {
  readonly fields: Readonly<Record<string, unknown>>;
}

/** Of the KubeProxyConfiguration, by turns. */
const USUAL: Config = { fields: {}, masqueradeAll: false, knowsPods: true, nodePortIPs: undefined };
const CONFIGS: readonly Config[] = [
  USUAL,
  { ...USUAL, fields: { iptables: { masqueradeAll: true } }, masqueradeAll: true },
  { ...USUAL, fields: { clusterCIDR: '' }, knowsPods: false },
  takingAt(...NODE_IPS),
  takingAt(NODE_IPS[1]),
];

function takingAt(...nodePortIPs: string[]): Config {
  return { ...USUAL, fields: { nodePortAddresses: nodePortIPs.flatMap((ip) => both(`${ip}/32`)) }, nodePortIPs };
}

/** Upstream's known differences: why, of which questions, which mode stands alone, and what it does. */
const DIFFERENCES: readonly {
  readonly why: string;
  readonly of: (q: WideQuestion, config: Config) => boolean;
  readonly alone: Partial<Record<ProxyMode, RegExp>>;
}[] = [
  {
    why: 'a wrong port of a ClusterIP: nftables and IPVS refuse it, iptables lets it pass by',
    of: (q) => q.target === 'wrongPort',
    alone: { iptables: /^NONE/ },
  },
  {
    why: 'an address of the Service network that nobody has: nftables drops it',
    of: (q) => q.target === 'unallocated',
    alone: { nftables: /^DROP/ },
  },
  {
    why: 'NodePorts: nftables answers on the primary address only',
    of: (q, { nodePortIPs }) => q.target === 'secondary' && !nodePortIPs,
    alone: { nftables: /^NONE/ },
  },
  {
    why: 'NodePorts that nobody is behind: iptables refuses at all addresses, those that take no NodePorts, too',
    of: (q, { nodePortIPs }) => isNodePort(q) && nodePortIPs !== undefined && !nodePortIPs.includes(q.to),
    alone: { iptables: /^(REJECT|DROP)/ },
  },
  {
    why: 'health-check node ports: nftables has no rule that lets them in',
    of: (q) => q.target === 'healthCheck',
    alone: { nftables: /^NONE/ },
  },
  {
    why: 'a Local policy without local endpoints: IPVS uses those of policy Cluster',
    of: (q) => q.hasEndpoints && !q.hasLocal && isLocalPolicy(q) && !isInternalOnly(q),
    alone: { ipvs: /^DNAT/ },
  },
  {
    why: 'internalTrafficPolicy Local without local endpoints, and nothing external: IPVS has none to use and refuses',
    of: (q) => q.hasEndpoints && !q.hasLocal && isLocalPolicy(q) && isInternalOnly(q),
    alone: { ipvs: /^REJECT/ },
  },
  {
    why: 'externalTrafficPolicy Local for Pods and the Node itself: IPVS has no short cut to all endpoints',
    of: (q) => isExternal(q) && q.spec.externalTrafficPolicy === 'Local' && isInside(q),
    alone: { ipvs: /^DNAT/ },
  },
  {
    why: "no endpoints behind an external address: iptables has no refusal on the Node's own way out",
    of: (q) => (q.target === 'externalIP' || q.target === 'loadBalancer') && !q.hasEndpoints && q.client === 'node',
    alone: { iptables: /^NONE/ },
  },
  {
    why: 'source ranges of a load balancer without endpoints: only nftables looks at them first',
    of: (q) => q.target === 'loadBalancer' && hasRanges(q) && !q.hasEndpoints,
    alone: { nftables: /^(DROP|REJECT)/, ipvs: /^(DROP|REJECT)/ },
  },
  {
    why: "source ranges for the Node's own connections: IPVS asks on the way in only",
    of: (q) => q.target === 'loadBalancer' && hasRanges(q) && q.client === 'node',
    alone: { ipvs: /^DNAT/ },
  },
];

function isInside(q: WideQuestion): boolean {
  return q.client === 'pod' || q.client === 'hairpin' || q.client === 'node';
}

function isExternal(q: WideQuestion): boolean {
  return ['externalIP', 'loadBalancer', 'nodePort', 'secondary'].includes(q.target);
}

function isNodePort({ target }: WideQuestion): boolean {
  return target === 'nodePort' || target === 'secondary';
}

function isInternalOnly({ spec }: WideQuestion): boolean {
  return spec.type === 'ClusterIP' && (spec.externalIPs ?? []).length === 0;
}

function isLocalPolicy(q: WideQuestion): boolean {
  return (isExternal(q) ? q.spec.externalTrafficPolicy : q.spec.internalTrafficPolicy) === 'Local';
}

function hasRanges(q: WideQuestion): boolean {
  return (q.spec.loadBalancerSourceRanges ?? []).length > 0;
}

/** What the modes must agree on: what becomes of the packet, who may get it and how likely, and from whom it seems to come. */
function essence({ verdict, endpoints, masquerade }: TraceAnswer): string {
  if (verdict !== 'DNAT') return verdict === 'LOCAL' ? 'NONE' : verdict;
  const texts = endpoints.map((e) => `${e.address} ${e.port} ${e.probability.toFixed(6)}`).sort();
  return `DNAT ${masquerade ? 'masqueraded' : 'kept'} ${texts.join(', ')}`;
}

/** A Node of both families, with all of a mix in both. */
function nodesOf({ objects }: Mix<WideQuestion>, config: object): Record<ProxyMode, OfflineNode> {
  const addresses = [...NODE_IPS, ...NODE_IPS.map(inIPv6)].map((address) => ({ type: 'InternalIP', address }));
  const common = [
    {
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name: 'test-node', labels: { 'topology.kubernetes.io/zone': 'zone-a' } },
      status: { addresses },
    },
    {
      apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
      kind: 'KubeProxyConfiguration',
      clusterCIDR: both('10.244.0.0/16').join(),
      ...config,
    },
    {
      apiVersion: 'networking.k8s.io/v1',
      kind: 'ServiceCIDR',
      metadata: { name: 'all' },
      spec: { cidrs: both('10.96.0.0/16') },
    },
  ];
  const items = [...common, ...objects.flatMap(dualStack)];
  const read = readObjects([{ name: 'mix', text: JSON.stringify({ apiVersion: 'v1', kind: 'List', items }) }]);
  const [ipvs, iptables, nftables] = (['ipvs', 'iptables', 'nftables'] as const).map((m) => new OfflineNode(read, m));
  return { ipvs: ipvs!, iptables: iptables!, nftables: nftables! };
}

function slicesByService({ objects }: Mix<WideQuestion>): Map<string, EndpointSlice[]> {
  const slices = new Map<string, EndpointSlice[]>();
  for (const object of objects) {
    if (object.kind !== 'EndpointSlice') continue;
    const service = object.metadata.labels!['kubernetes.io/service-name']!;
    slices.set(service, [...(slices.get(service) ?? []), object as EndpointSlice]);
  }
  return slices;
}

function both(text: string): [string, string] {
  return [text, inIPv6(text)];
}

t.test('the three modes agree, but for what is known, and the families with each other', (t) => {
  const differed = new Set<string>();
  let questions = 0;
  fc.assert(
    fc.property(fc.noShrink(fc.integer({ min: 0, max: 0x7fffffff })), (seed) => {
      const mix = wideMix(new SeededRng(seed), SERVICES);
      const config = CONFIGS[seed % CONFIGS.length]!;
      const nodes = nodesOf(mix, config.fields);
      const slices = slicesByService(mix);
      for (const q of mix.questions) {
        questions++;
        const asked = { from: q.from, to: q.to, toPort: q.port, protocol: q.protocol };
        const asked6 = { ...asked, from: inIPv6(q.from), to: inIPv6(q.to) };
        const what = `${q.service} ${q.target} from ${q.client}, ${q.protocol}`;
        const byMode = {
          ipvs: nodes.ipvs.explain(asked),
          iptables: nodes.iptables.explain(asked),
          nftables: nodes.nftables.explain(asked),
        };
        const unnamed = compareModes(byMode).find((d) => d.known === undefined);
        if (unnamed) throw new Error(`${what}: no name for ${JSON.stringify(unnamed)}; ${JSON.stringify(q.spec)}`);
        const answers = PROXY_MODES.map((mode) => {
          const said = essence(byMode[mode]);
          const said6 = essence(nodes[mode].explain(asked6));
          if (said6 !== inIPv6(said)) throw new Error(`${what}, ${mode}: ${said}; in IPv6 ${said6}`);
          const due = expectedVerdict(q, slices.get(q.service) ?? [], mode, config);
          if (said !== due) throw new Error(`${what}, ${mode}: ${said}; due is ${due}; ${JSON.stringify(q.spec)}`);
          return { mode, said };
        });
        const known = DIFFERENCES.filter((d) => d.of(q, config));
        const usual = answers.filter(({ mode }) => !known.some((d) => d.alone[mode]));
        const must = new Set(usual.map((a) => a.said));
        if (must.size > 1) throw new Error(`${what}: ${JSON.stringify(answers)}; ${JSON.stringify(q.spec)}`);
        for (const { mode, said } of answers) {
          if (must.has(said)) continue;
          const names = known.filter((d) => d.alone[mode]?.test(said));
          if (names.length === 0) throw new Error(`${what}: ${mode} alone says ${said}; ${JSON.stringify(q.spec)}`);
          for (const d of names) differed.add(d.why);
        }
      }
      for (const node of Object.values(nodes)) node.close();
    }),
    { seed: 20, numRuns: RUNS },
  );
  for (const { why } of DIFFERENCES) t.ok(differed.has(why), `known, and seen: ${why}`);
  t.comment(`${RUNS} mixes of Services, ${questions} questions of each family to each mode`);
  t.end();
});
