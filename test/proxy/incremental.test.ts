// A sync pays for what changed, and leaves what a proxier without memory would have written: random histories of Services and
// EndpointSlices, compared text by text with a full sync into an empty kernel, in the three modes.
import t from 'tap';
import type { EndpointSlice } from '../../src/api/discovery-v1.ts';
import type { IptablesRestoreOp, NetlinkOp, NftOp } from '../../src/kernel/netlink.ts';
import { SeededRng } from '../../src/lib/rng.ts';
import type { ProxyMode } from '../../src/proxy/config.ts';
import { ipv4 } from '../../src/tcpip-ts/wire/address.ts';
import { type Manifest, ObjectBench } from '../support/objects.ts';
import { fc } from '../support/property.ts';
import { MIX_BENCH, serviceMix } from '../support/service-mix.ts';

const MODES = ['iptables', 'nftables', 'ipvs'] as const;
const SERVICES = 8;
/** Of each Service, so many versions of it and of its slice to choose from. */
const VERSIONS = 6;

interface Step {
  readonly service: number;
  readonly action: 'service' | 'slice' | 'both' | 'delete service' | 'delete slice';
  readonly version: number;
  /** Whether a sync follows; else the next step joins it. */
  readonly sync: boolean;
}

const step: fc.Arbitrary<Step> = fc.record({
  service: fc.integer({ min: 0, max: SERVICES - 1 }),
  action: fc.constantFrom('service', 'slice', 'slice', 'both', 'delete service', 'delete slice'),
  version: fc.integer({ min: 0, max: VERSIONS - 1 }),
  sync: fc.boolean(),
});

/** Text without what depends on history: the order of blocks and of elements, and when it was written. */
function settled(bench: ObjectBench, mode: ProxyMode): string {
  const { netlink } = bench;
  const iptables = netlink.iptablesSave().replace(/^#.*\n/gm, '');
  switch (mode) {
    case 'iptables':
      return iptables;
    case 'nftables':
      return netlink
        .nftList()
        .split(/\n\n|^table ip \S+ \{$|\n\}$/m)
        .map((block) =>
          block.includes('elements = {')
            ? block
                .split(/[,{}]\s*/)
                .sort()
                .join(',')
            : block,
        )
        .sort()
        .join('\n');
    case 'ipvs': {
      const servers = netlink.ipvsServices().map((server) => {
        const dests = netlink.ipvsDests(server).map(({ addr, port, weight }) => `${addr}:${port} ${weight}`);
        return `${JSON.stringify(server)} -> ${dests.sort().join(', ')}`;
      });
      const addresses = netlink.addresses('kube-ipvs0').map(({ addr }) => addr);
      const sets = netlink.ipsetSave().split('\n');
      return [...servers.sort(), ...addresses.sort(), ...sets.sort(), iptables].join('\n');
    }
  }
}

for (const mode of MODES) {
  t.test(`${mode}: whatever the history, the rules are those of a full sync`, (t) => {
    const versions = Array.from({ length: VERSIONS }, (_, i) => serviceMix(new SeededRng(i), SERVICES).objects);
    let syncs = 0;
    const check = (steps: readonly Step[]): void => {
      const bench = new ObjectBench({ ...MIX_BENCH, mode });
      const objects = new Map<string, Manifest>();
      bench.apply(...versions[0]!);
      for (const object of versions[0]!) objects.set(keyOf(object), object);
      bench.sync();
      for (const { service, action, version, sync } of steps) {
        const name = `s${service + 1}`;
        const own = versions[version]!.filter(({ metadata }) => metadata.name!.split('-')[0] === name);
        for (const object of own) {
          const isMeant = action.endsWith(object.kind === 'Service' ? 'service' : 'slice') || action === 'both';
          if (!isMeant) continue;
          const isThere = objects.delete(keyOf(object));
          if (action.startsWith('delete')) {
            if (isThere) bench.delete(keyOf(object));
          } else {
            bench.apply(object);
            objects.set(keyOf(object), object);
          }
        }
        if (!sync) continue;
        bench.sync();
        syncs++;
      }
      bench.sync();
      bench.lab.clock.advance(2e6);
      bench.sync(); // nftables deletes emptied chains later
      const full = new ObjectBench({ ...MIX_BENCH, mode });
      full.apply(...objects.values());
      full.sync();
      const [ours, theirs] = [settled(bench, mode), settled(full, mode)];
      bench.close();
      full.close();
      if (ours !== theirs) throw new Error(firstDifference(ours, theirs));
    };
    fc.assert(fc.property(fc.array(step, { maxLength: 25 }), check), { seed: 5, numRuns: 60 });
    t.ok(syncs > 100, `${syncs} incremental syncs`);
    t.end();
  });
}

t.test(
  'iptables: one changed slice of 300 Services writes its chains and the top-level ones, with the other rules as they were',
  (t) => {
    const { bench, ops } = large('iptables', 300);
    bench.apply(sliceOf(17, ['10.244.1.1', '10.244.1.9']));
    bench.sync();
    const [filter, nat] = ops as readonly IptablesRestoreOp[];
    const names = nat!.chains!.map(({ name }) => name.replace(/-[A-Z2-7]{16}$/, ''));
    t.same(
      tally(names),
      { 'KUBE-SERVICES': 1, 'KUBE-NODEPORTS': 1, 'KUBE-SVC': 1, 'KUBE-SEP': 3 },
      '2 written, 1 emptied',
    );
    t.equal(
      filter!.chains!.reduce((n, { rules }) => n + rules.length, 0),
      0,
    );
    t.equal(nat!.chains![0]!.rules.length, 301);
    bench.close();
    t.end();
  },
);

t.test('nftables: one changed slice of 300 Services is a transaction of its own chains', (t) => {
  const { bench, ops } = large('nftables', 300);
  bench.apply(sliceOf(17, ['10.244.1.1', '10.244.1.9']));
  bench.sync();
  const { commands } = ops[0] as NftOp;
  t.equal(ops.length, 1);
  t.same(tally(commands.map(({ command }) => command)), { 'add-chain': 3, 'flush-chain': 4, 'add-rule': 6 });
  bench.close();
  t.end();
});

t.test('IPVS: one changed slice of 300 Services is one dest in, one out, and their hairpin entries', (t) => {
  const { bench, ops } = large('ipvs', 300);
  bench.apply(sliceOf(17, ['10.244.1.1', '10.244.1.9']));
  bench.sync();
  t.same(tally(ops.map(({ op }) => op)), { 'ipvs-add-dest': 1, 'ipvs-del-dest': 1 });
  bench.close();
  t.end();
});

for (const mode of MODES) {
  t.test(`${mode}: everything is written anew once an hour`, (t) => {
    const { bench, ops } = large(mode, 3);
    bench.netlink.commit([damage(bench, mode)]);
    ops.length = 0;
    const isWhole = (): boolean => {
      const answer = bench.explain({ from: '10.244.0.5', to: '10.96.0.1', toPort: 80, protocol: 'tcp' });
      return answer.verdict === 'DNAT';
    };
    t.notOk(isWhole(), 'somebody has meddled');
    bench.lab.clock.advance(3590e6);
    bench.sync();
    t.notOk(isWhole());
    bench.lab.clock.advance(20e6);
    bench.sync();
    t.ok(isWhole());
    bench.close();
    t.end();
  });
}

/** Takes the way to Service 0 out behind kube-proxy's back. */
function damage({ netlink }: ObjectBench, mode: ProxyMode): NetlinkOp {
  const addr = ipv4('10.96.0.1');
  switch (mode) {
    case 'iptables': {
      const own = netlink.chains('nat').filter(({ name }) => name.startsWith('KUBE-SVC-'));
      return { op: 'iptables-restore', table: 'nat', chains: own.map(({ name }) => ({ name, rules: [] })) };
    }
    case 'nftables':
      return {
        op: 'nft',
        table: 'kube-proxy',
        commands: [{ command: 'delete-map-element', map: 'service-ips', key: { addr, proto: 6, port: 80 } }],
      };
    case 'ipvs':
      return { op: 'ipvs-del-service', service: { proto: 6, addr, port: 80 } };
  }
}

/** A Node with `count` Services of two endpoints each, synced; `ops` gets what is committed from then on. */
function large(mode: ProxyMode, count: number): { bench: ObjectBench; ops: NetlinkOp[] } {
  const bench = new ObjectBench({ ...MIX_BENCH, mode });
  for (let i = 0; i < count; i++) {
    bench.apply({
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { namespace: 'mix', name: `s${i}` },
      spec: { clusterIP: `10.96.${i >> 7}.${(i & 127) + 1}`, ports: [{ name: 'p', port: 80, protocol: 'TCP' }] },
    });
    bench.apply(sliceOf(i, ['10.244.1.1', '10.244.1.2']));
  }
  bench.sync();
  const ops: NetlinkOp[] = [];
  const { commit } = bench.netlink;
  bench.netlink.commit = (batch) => {
    ops.push(...batch);
    commit(batch);
  };
  return { bench, ops };
}

function sliceOf(i: number, addresses: readonly string[]): EndpointSlice {
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { namespace: 'mix', name: `s${i}-1`, labels: { 'kubernetes.io/service-name': `s${i}` } },
    addressType: 'IPv4',
    endpoints: addresses.map((address) => ({ addresses: [address], conditions: { ready: true }, nodeName: 'other' })),
    ports: [{ name: 'p', port: 8080, protocol: 'TCP' }],
  };
}

function keyOf({ kind, metadata }: Manifest): string {
  return `${kind} ${metadata.namespace}/${metadata.name}`;
}

function tally(names: readonly string[]): Record<string, number> {
  const out: Record<string, number> = {};
  for (const name of names) out[name] = (out[name] ?? 0) + 1;
  return out;
}

function firstDifference(ours: string, theirs: string): string {
  const [a, b] = [ours.split('\n'), theirs.split('\n')];
  const at = a.findIndex((line, i) => line !== b[i]);
  return `line ${at}: ${a[at]}\n  instead of ${b[at]}`;
}
