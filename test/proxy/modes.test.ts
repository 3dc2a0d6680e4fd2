// The three modes side by side: for generated Services and packets they agree wherever Kubernetes says they must, and each
// kernel does with a real packet what the what-if engine says of it. Where upstream's modes differ, the difference is named.
import t from 'tap';
import type { TraceAnswer } from '../../src/kernel/what-if/types.ts';
import { SeededRng } from '../../src/lib/rng.ts';
import type { ProxyMode } from '../../src/proxy/config.ts';
import type { Lab } from '../support/kernel.ts';
import { ObjectBench } from '../support/objects.ts';
import { ip, type Parsed, parse, tcp, udp } from '../support/packet.ts';
import { fc } from '../support/property.ts';
import { CLIENTS, ENDPOINTS, MIX_BENCH, type Question, serviceMix, surroundings } from '../support/service-mix.ts';

const MODES = ['iptables', 'nftables', 'ipvs'] as const;
const SERVICES = 10;

/** Upstream's known differences: why, of which questions, and which mode stands alone. */
const DIFFERENCES: readonly {
  readonly why: string;
  readonly of: (q: Question) => boolean;
  readonly alone: ProxyMode[];
}[] = [
  {
    why: 'a wrong port of a ClusterIP: nftables and IPVS refuse it, iptables lets it pass by',
    of: (q) => q.target === 'wrongPort',
    alone: ['iptables'],
  },
  {
    why: 'an address of the Service network that nobody has: nftables drops it',
    of: (q) => q.target === 'unallocated',
    alone: ['nftables'],
  },
  {
    why: 'NodePorts: nftables answers on the primary address only',
    of: (q) => q.target === 'secondary',
    alone: ['nftables'],
  },
  {
    why: 'a Local policy without local endpoints: IPVS uses the others',
    of: (q) => q.hasEndpoints && !q.hasLocal && isLocalPolicy(q),
    alone: ['ipvs'],
  },
  {
    why: 'externalTrafficPolicy Local for Pods and the Node itself: IPVS has no short cut to all endpoints',
    of: (q) => isExternal(q) && q.spec.externalTrafficPolicy === 'Local' && (q.client === 'pod' || q.client === 'node'),
    alone: ['ipvs'],
  },
  {
    why: "no endpoints behind an external address: iptables has no refusal on the Node's own way out",
    of: (q) => (q.target === 'externalIP' || q.target === 'loadBalancer') && !q.hasEndpoints && q.client === 'node',
    alone: ['iptables'],
  },
  {
    why: 'source ranges of a load balancer without endpoints: only nftables looks at them first',
    of: (q) => q.target === 'loadBalancer' && hasRanges(q) && !q.hasEndpoints,
    alone: ['nftables', 'ipvs'],
  },
  {
    why: "source ranges for the Node's own connections: IPVS asks on the way in only",
    of: (q) => q.target === 'loadBalancer' && hasRanges(q) && q.client === 'node',
    alone: ['ipvs'],
  },
];

function isExternal(q: Question): boolean {
  return q.target !== 'clusterIP' && q.target !== 'wrongPort' && q.target !== 'unallocated';
}

function isLocalPolicy(q: Question): boolean {
  return (isExternal(q) ? q.spec.externalTrafficPolicy : q.spec.internalTrafficPolicy) === 'Local';
}

function hasRanges(q: Question): boolean {
  return (q.spec.loadBalancerSourceRanges ?? []).length > 0;
}

/** What the modes must agree on: what becomes of the packet, who may get it and how likely, and from whom it seems to come. */
function essence({ verdict, endpoints, masquerade }: TraceAnswer): string {
  if (verdict !== 'DNAT') return verdict === 'LOCAL' ? 'NONE' : verdict;
  const texts = endpoints.map((e) => `${e.address}:${e.port} ${e.probability.toFixed(6)}`).sort();
  return `DNAT ${masquerade ? 'masqueraded' : 'kept'} ${texts.join(', ')}`;
}

function ask(bench: ObjectBench, q: Question): TraceAnswer {
  return bench.explain({ from: CLIENTS[q.client], to: q.to, toPort: q.port, protocol: q.protocol });
}

t.test('the three modes agree, but for what is known', (t) => {
  const differed = new Set<string>();
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 0x7fffffff }), (seed) => {
      const mix = serviceMix(new SeededRng(seed), SERVICES);
      const benches = MODES.map((mode) => {
        const bench = new ObjectBench({ ...MIX_BENCH, mode });
        bench.apply(...mix.objects);
        bench.sync();
        return { mode, bench };
      });
      for (const q of mix.questions) {
        const known = DIFFERENCES.filter((d) => d.of(q));
        const alone = new Set(known.flatMap((d) => d.alone));
        const answers = benches.map(({ mode, bench }) => ({ mode, essence: essence(ask(bench, q)) }));
        const must = answers.filter(({ mode }) => !alone.has(mode));
        const said = new Set(must.map((a) => a.essence));
        if (said.size > 1)
          throw new Error(
            `${q.service} ${q.target} from ${q.client}: ${JSON.stringify(answers)}; ${JSON.stringify(q.spec)}`,
          );
        if (answers.some((a) => !said.has(a.essence))) for (const d of known) differed.add(d.why);
      }
      for (const { bench } of benches) bench.close();
    }),
    { seed: 20, numRuns: 12 },
  );
  for (const { why } of DIFFERENCES) t.ok(differed.has(why), `known, and seen: ${why}`);
  t.end();
});

/** What became of a packet. */
function observe(lab: Lab, q: Question, sport: number): string {
  const segment =
    q.protocol === 'tcp' ? tcp({ sport, dport: q.port, flags: 'S' }) : udp({ sport, dport: q.port }, 'who?');
  const from = CLIENTS[q.client];
  const packet = ip({ saddr: from, daddr: q.to }, segment);
  const origin = q.client === 'pod' ? 'pod' : 'net';
  if (q.client === 'node') lab.send(packet);
  else lab.from(origin, packet);
  const local = lab.local.splice(0).map((bytes) => parse(bytes, 'ip'));
  const got = [...['pod', 'net', ...ENDPOINTS.map((_, i) => `e${i}`)].flatMap((name) => lab.take(name)), ...local];
  if (got.length === 0) return 'DROP';
  if (got.length > 1) return `${got.length} packets`;
  const [only] = got as [Parsed];
  if (only.icmp?.type === 3 && only.icmp.code === 3) return 'REJECT';
  if (only.ip!.daddr === q.to) return 'NONE';
  const port = only.tcp?.dport ?? only.udp?.dport;
  return `${only.ip!.daddr}:${port} ${only.ip!.saddr === from ? 'kept' : 'masqueraded'}`;
}

for (const mode of MODES) {
  t.test(`${mode}: a packet meets the fate that the what-if engine tells`, (t) => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 0x7fffffff }), (seed) => {
        const mix = serviceMix(new SeededRng(seed), SERVICES);
        const lab = surroundings();
        const bench = new ObjectBench({ ...MIX_BENCH, mode, lab });
        bench.apply(...mix.objects);
        bench.sync();
        let sport = 20_000;
        for (const q of mix.questions) {
          const answer = ask(bench, q);
          lab.clock.advance(2e6); // icmp_ratelimit
          const seen = observe(lab, q, sport++);
          const { verdict, endpoints, masquerade } = answer;
          const how = masquerade ? 'masqueraded' : 'kept';
          const told = verdict === 'DNAT' ? endpoints.map((e) => `${e.address}:${e.port} ${how}`) : [verdict];
          if (told.includes(seen) || (told[0] === 'LOCAL' && seen === 'NONE')) continue;
          throw new Error(`${q.service} ${q.target} from ${q.client}: ${seen}; told ${told.join(', ')}`);
        }
        const { faults } = lab;
        bench.close();
        if (faults.length > 0) throw new Error(faults.join('\n'));
      }),
      { seed: 21, numRuns: 6 },
    );
    t.pass('for every generated packet');
    t.end();
  });
}
