// The real kernel as judge of the iptables and nftables modes: our own text, loaded with iptables-restore and nft -f into a
// namespace that forwards between real clients and real servers. What becomes of their connections must be what our what-if
// engine says over the same rules: who answers, how often, from whom the server sees it come, who is refused, who hears nothing.
import { spawnSync } from 'node:child_process';
import t, { type Test } from 'tap';
import type { TraceAnswer } from '../../src/kernel/what-if/types.ts';
import { SeededRng } from '../../src/lib/rng.ts';
import type { Attempt, Tally } from '../support/judge-client.ts';
import { judgeWorld } from '../support/judge-world.ts';
import { canUseNetns, sh } from '../support/netns.ts';
import { type Manifest, ObjectBench } from '../support/objects.ts';
import {
  CLIENTS,
  type Client,
  ENDPOINTS,
  MIX_BENCH,
  NODE_IPS,
  type Question,
  serviceMix,
} from '../support/service-mix.ts';

const SEED = Number(process.env['SEED'] ?? 15);
const TRIES = 8;
const SERIOUS_TRIES = 5000;
/** Endpoints of the Services whose distribution is looked at closely. */
const SERIOUS = [3, 7];

interface Case extends Question {
  readonly id: number;
  readonly tries: number;
  readonly answer: TraceAnswer;
}

const MODES = [
  {
    mode: 'nftables',
    tool: 'nft',
    text: (b: ObjectBench) => b.netlink.nftList(),
    load: ['nft', '-f', '-'],
    otherwise: { nodePortAddresses: NODE_IPS.map((ip) => `${ip}/32`), nftables: { masqueradeAll: true } },
  },
  {
    mode: 'iptables',
    tool: 'iptables-restore',
    text: (b: ObjectBench) => b.netlink.iptablesSave(),
    load: ['iptables-restore'],
    otherwise: { nodePortAddresses: [`${NODE_IPS[1]}/32`], clusterCIDR: '' },
  },
] as const;

t.setTimeout(0); // a loaded machine takes long over it; the runner has its own limit

/** In its usual configuration, where distributions are looked at too, and in another one, with other Services. */
const RUNS = MODES.flatMap(({ otherwise, ...tools }) => [
  { ...tools, config: MIX_BENCH.config, seed: SEED, services: 14, serious: SERIOUS.map(seriousService) },
  { ...tools, config: { ...MIX_BENCH.config, ...otherwise }, seed: SEED + 1000, services: 8, serious: [] },
]);
/** Cases by verdict, in all runs, and whether any was masqueraded, any not. */
const seen = new Map<string, number>();
const sources = new Set<boolean>();

for (const { mode, tool, text, load, config, seed, services, serious } of RUNS) {
  t.test(`${mode}, ${JSON.stringify(config)}: the real kernel does what we say (seed ${seed})`, async (t) => {
    const test = t as unknown as Test;
    if (!canUseNetns(test, tool, 'sysctl')) return;
    const bench = new ObjectBench({ ...MIX_BENCH, mode, config });
    const mix = serviceMix(new SeededRng(seed), services);
    bench.apply(...mix.objects, ...serious.flatMap((s) => s.objects));
    bench.sync();
    const world = await judgeWorld(test);
    const rules = text(bench);
    const loaded = spawnSync('ip', ['netns', 'exec', world.node, ...load], { input: rules, encoding: 'utf8' });
    t.equal(loaded.status, 0, `${tool} takes our text: ${loaded.stderr}`);
    if (mode === 'nftables')
      t.equal(sh(`ip netns exec ${world.node} nft list ruleset`), rules, 'and nft prints it as we do');

    const questions: (Question & { tries?: number })[] = [
      // With affinity, one address of a Service: its others share the choice.
      ...mix.questions.filter((q) => q.spec.sessionAffinity !== 'ClientIP' || q.target === 'clusterIP'),
      ...serious.map((s) => s.question),
    ];
    const cases = questions.map((q, id): Case => {
      const answer = bench.explain({ from: q.from, to: q.to, toPort: q.port, protocol: q.protocol });
      return { ...q, id, answer, tries: q.tries ?? (answer.verdict === 'DNAT' ? TRIES : 2) };
    });
    bench.close();
    const tallies = await world.run({
      pod: attemptsOf(cases, 'pod'),
      outside: attemptsOf(cases, 'outside'),
      blocked: attemptsOf(cases, 'blocked'),
      node: attemptsOf(cases, 'node'),
    });
    for (const kind of ['DNAT', 'REJECT', 'DROP', 'LOCAL', 'NONE', 'ACCEPT'] as const) {
      const some = cases.filter((c) => c.answer.verdict === kind);
      const wrong = some.flatMap((c) => faultsOf(c, tallies.get(c.id)!));
      t.same(wrong, [], `${kind}: ${some.length} cases`);
    }
    for (const { answer } of cases) {
      seen.set(answer.verdict, (seen.get(answer.verdict) ?? 0) + 1);
      if (answer.verdict === 'DNAT') sources.add(answer.masquerade);
    }
    for (const c of cases.filter((c) => c.tries === SERIOUS_TRIES)) distribution(test, c, tallies.get(c.id)!);
  });
}

t.test('all that there is to judge occurred', (t) => {
  if (seen.size === 0) {
    t.plan(0, 'no namespaces here');
    return;
  }
  for (const kind of ['DNAT', 'REJECT', 'DROP', 'NONE', 'ACCEPT'] as const)
    t.ok((seen.get(kind) ?? 0) >= 4, `${kind}: ${seen.get(kind) ?? 0} cases`);
  t.equal(sources.size, 2, 'masqueraded and not');
  t.end();
});

function attemptsOf(cases: readonly Case[], client: Client): Attempt[] {
  return cases
    .filter((c) => c.client === client)
    .map(({ id, to, port, protocol, tries, spec, answer }) => ({
      id,
      from: CLIENTS[client],
      to,
      port,
      protocol,
      tries,
      serial: spec.sessionAffinity === 'ClientIP',
      timeoutMs: answer.verdict === 'DROP' || answer.verdict === 'NONE' ? 600 : 60_000,
    }));
}

/** What the kernel did otherwise than we say. */
function faultsOf(c: Case, { outcomes }: Tally): string[] {
  const { answer, client } = c;
  const what = `${c.service} ${c.target} from ${client}: ${c.to}:${c.port}/${c.protocol}`;
  const faults: string[] = [];
  const endpoints = new Set(answer.endpoints.map((e) => `${e.address}:${e.port}`));
  for (const [outcome, n] of Object.entries(outcomes)) {
    const [server, source] = outcome.split(' ');
    // A datagram that OUTPUT does not let pass is an error of the system call, dropped or rejected.
    const isForbidden = outcome === 'EPERM' && client === 'node' && c.protocol === 'udp';
    const isNodes = NODE_IPS.some((ip) => ip === c.to);
    const fine = {
      DNAT: endpoints.has(server!) && (source !== CLIENTS[client]) === answer.masquerade,
      REJECT: outcome === 'refused' || isForbidden,
      DROP: outcome === 'timeout' || isForbidden,
      LOCAL: outcome === 'refused', // nobody listens on the Node
      NONE: outcome === (isNodes ? 'refused' : 'timeout'), // routed on, to nobody
      ACCEPT: outcome === 'refused', // nor there
    }[answer.verdict];
    if (!fine) faults.push(`${what}: ${n} times ${outcome}; we say ${describe(answer)}`);
  }
  if (c.spec.sessionAffinity === 'ClientIP' && Object.keys(outcomes).length > 1)
    faults.push(`${what}: affinity, but ${JSON.stringify(outcomes)}`);
  return faults;
}

function describe({ verdict, endpoints, masquerade }: TraceAnswer): string {
  return `${verdict} ${endpoints.map((e) => e.address).join()}${masquerade ? ' masqueraded' : ''}`;
}

function distribution(t: Test, { answer, tries, service }: Case, { outcomes }: Tally): void {
  const seen = new Map<string, number>();
  for (const [outcome, n] of Object.entries(outcomes)) seen.set(outcome.split(' ')[0]!, n);
  let chiSquare = 0;
  for (const { address, port, probability } of answer.endpoints) {
    const expected = tries * probability;
    chiSquare += ((seen.get(`${address}:${port}`) ?? 0) - expected) ** 2 / expected;
  }
  const limit = chiSquareLimit(answer.endpoints.length - 1);
  t.ok(chiSquare < limit, `${service}: ${tries} connections, chi-square ${chiSquare.toFixed(2)} < ${limit.toFixed(2)}`);
  t.equal(seen.size, answer.endpoints.length, 'every endpoint is used, and no other');
}

/** Exceeded by chance once in a million (Wilson and Hilferty's approximation). */
function chiSquareLimit(df: number): number {
  const z = 4.75;
  return df * (1 - 2 / (9 * df) + z * Math.sqrt(2 / (9 * df))) ** 3;
}

/** A Service with `n` endpoints, asked thousands of times. */
function seriousService(n: number): {
  objects: readonly Manifest[];
  question: Question & { tries: number };
} {
  const name = `serious${n}`;
  const clusterIP = `10.96.2.${n}`;
  const spec = { clusterIP, ports: [{ name: 'p', port: 80, protocol: 'TCP' as const }] };
  return {
    objects: [
      { apiVersion: 'v1', kind: 'Service', metadata: { namespace: 'mix', name }, spec },
      {
        apiVersion: 'discovery.k8s.io/v1',
        kind: 'EndpointSlice',
        metadata: { namespace: 'mix', name: `${name}-1`, labels: { 'kubernetes.io/service-name': name } },
        addressType: 'IPv4',
        endpoints: ENDPOINTS.slice(0, n).map((a) => ({ addresses: [a], conditions: { ready: true } })),
        ports: [{ name: 'p', port: 8080, protocol: 'TCP' }],
      },
    ],
    question: {
      client: 'pod',
      from: CLIENTS.pod,
      target: 'clusterIP',
      to: clusterIP,
      port: 80,
      protocol: 'tcp',
      service: name,
      spec,
      hasEndpoints: true,
      hasLocal: false,
      tries: SERIOUS_TRIES,
    },
  };
}
