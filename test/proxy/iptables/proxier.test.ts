// The iptables mode on a kernel: the rules as iptables-save prints them, what a sync writes, and what packets then meet.
import { execFileSync } from 'node:child_process';
import t from 'tap';
import type { IptablesRestoreOp, NetlinkOp } from '../../../src/kernel/netlink.ts';
import { ipv4 } from '../../../src/tcpip-ts/wire/address.ts';
import { Lab, NODE_IP, POD_A, POD_B } from '../../support/kernel.ts';
import { canUseNetns } from '../../support/netns.ts';
import { ip, tcp, udp } from '../../support/packet.ts';
import { ready, ServiceBench } from '../../support/services.ts';

const VIP = '10.96.0.10';
const POD_C = '10.244.0.7';
const WEB = [{ name: 'http', port: 8080 }];
const CLUSTER_CIDR = { clusterCIDR: '10.244.0.0/16' };

function bench(config: Record<string, unknown> = CLUSTER_CIDR): ServiceBench {
  const lab = new Lab();
  lab.pod('a', POD_A);
  lab.pod('b', POD_B);
  lab.pod('c', POD_C);
  lab.uplink();
  return new ServiceBench(config, lab, 'iptables');
}

/** Rules of one chain, without the chain's own name. */
function rulesOf(b: ServiceBench, table: 'nat' | 'filter', chain: string): string[] {
  const lines = b.netlink.iptablesSave(table).split('\n');
  return lines.filter((l) => l.startsWith(`-A ${chain} `)).map((l) => l.slice(`-A ${chain} `.length));
}

function chainsOf(b: ServiceBench, prefix: string): string[] {
  return b.netlink.chains('nat').flatMap(({ name }) => (name.startsWith(prefix) ? [name] : []));
}

/** What the next syncs commit. */
function watch(b: ServiceBench): NetlinkOp[] {
  const seen: NetlinkOp[] = [];
  const { commit } = b.netlink;
  b.netlink.commit = (ops) => {
    seen.push(...ops);
    commit(ops);
  };
  return seen;
}

function written(ops: readonly NetlinkOp[], table: 'nat' | 'filter'): string[] {
  const restores = ops.filter((op): op is IptablesRestoreOp => op.op === 'iptables-restore' && op.table === table);
  return restores.flatMap(({ chains }) => (chains ?? []).map(({ name }) => name));
}

t.test('one Service port of each kind, in the words of iptables-save', (t) => {
  const b = bench();
  const ports = [{ name: 'http', port: 80, nodePort: 30080 }];
  b.service('web', { type: 'LoadBalancer', clusterIP: VIP, ports, externalIPs: ['192.0.2.7'] }, ['203.0.113.80']);
  b.slice('web', WEB, [ready(POD_A), ready(POD_B, 'other')]);
  b.sync();
  const [svc] = chainsOf(b, 'KUBE-SVC-');
  const [ext] = chainsOf(b, 'KUBE-EXT-');
  const [sepA, sepB] = rulesOf(b, 'nat', svc!).flatMap((r) => r.match(/-j (KUBE-SEP-\S+)$/)?.[1] ?? []);
  const to = (addr: string, what: string, dport: number, chain: string): string =>
    `-d ${addr}/32 -p tcp -m comment --comment "default/web:http ${what}" -m tcp --dport ${dport} -j ${chain}`;
  t.same(rulesOf(b, 'nat', 'KUBE-SERVICES'), [
    to(VIP, 'cluster IP', 80, svc!),
    to('192.0.2.7', 'external IP', 80, ext!),
    to('203.0.113.80', 'loadbalancer IP', 80, ext!),
    '-m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this chain" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS',
  ]);
  t.same(rulesOf(b, 'nat', 'KUBE-NODEPORTS'), [
    `-p tcp -m comment --comment "default/web:http" -m tcp --dport 30080 -j ${ext}`,
  ]);
  t.same(rulesOf(b, 'nat', ext!), [
    '-m comment --comment "masquerade traffic for default/web:http external destinations" -j KUBE-MARK-MASQ',
    `-j ${svc}`,
  ]);
  t.same(rulesOf(b, 'nat', svc!), [
    `! -s 10.244.0.0/16 ${to(VIP, 'cluster IP', 80, 'KUBE-MARK-MASQ')}`,
    `-m comment --comment "default/web:http -> ${POD_A}:8080" -m statistic --mode random --probability 0.50000000000 -j ${sepA}`,
    `-m comment --comment "default/web:http -> ${POD_B}:8080" -j ${sepB}`,
  ]);
  t.same(rulesOf(b, 'nat', sepA!), [
    `-s ${POD_A}/32 -m comment --comment "default/web:http" -j KUBE-MARK-MASQ`,
    `-p tcp -m comment --comment "default/web:http" -m tcp -j DNAT --to-destination ${POD_A}:8080`,
  ]);
  t.same(rulesOf(b, 'nat', 'KUBE-POSTROUTING'), [
    '-m mark ! --mark 0x4000/0x4000 -j RETURN',
    '-j MARK --set-xmark 0x4000/0x0',
    '-m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully',
  ]);
  t.same(rulesOf(b, 'filter', 'FORWARD'), [
    '-m conntrack --ctstate NEW -m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL',
    '-m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD',
    '-m conntrack --ctstate NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES',
    '-m conntrack --ctstate NEW -m comment --comment "kubernetes externally-visible service portals" -j KUBE-EXTERNAL-SERVICES',
  ]);
  b.close();
  t.end();
});

t.test('three endpoints: a third, half of the rest, the rest', (t) => {
  const b = bench();
  b.service('web', { clusterIP: VIP, ports: [{ name: 'http', port: 80 }] });
  b.slice('web', WEB, [ready(POD_A), ready(POD_B), ready(POD_C)]);
  b.sync();
  const [svc] = chainsOf(b, 'KUBE-SVC-');
  const dice = rulesOf(b, 'nat', svc!).map((r) => /--probability (\S+)/.exec(r)?.[1]);
  t.same(dice, [undefined, '0.33333333349', '0.50000000000', undefined], 'as iptables keeps 31 bits of them');
  const { endpoints } = b.explain({ from: POD_A, to: VIP, toPort: 80, protocol: 'tcp' });
  for (const { probability } of endpoints) t.ok(Math.abs(probability - 1 / 3) < 1e-8);
  b.close();
  t.end();
});

// Counts of upstream's TestNumberIptablesRules (pkg/proxy/iptables/number_generated_rules_test.go, v1.31): Services, endpoints of each,
// rules of the filter and the nat table.
const COUNTS = {
  ClusterIP: '0/0 4 5, 1/0 5 5, 1/1 4 10, 1/2 4 13, 1/10 4 37, 10/0 14 5, 10/1 4 55, 10/2 4 85, 10/10 4 325',
  LoadBalancer: '0/0 4 5, 1/0 8 5, 1/1 5 17, 1/2 5 20, 1/10 5 44, 10/0 44 5, 10/1 14 125, 10/2 14 155, 10/10 14 395',
} as const;

t.test("as many rules as upstream's", async (t) => {
  for (const type of ['ClusterIP', 'LoadBalancer'] as const) {
    const got = ['0/0', '1/0', '1/1', '1/2', '1/10', '10/0', '10/1', '10/2', '10/10'].map((size) => {
      const [services, endpoints] = size.split('/').map(Number) as [number, number];
      const b = bench();
      for (let i = 0; i < services; i++) {
        const isExternal = type === 'LoadBalancer';
        const ports = [{ name: '8080', port: 80 + i, ...(isExternal ? { nodePort: 30_000 + i } : {}) }];
        const external = {
          externalIPs: ['1.2.3.4'],
          loadBalancerSourceRanges: [' 1.2.3.4/28'],
          healthCheckNodePort: 32_000 + i,
        };
        const spec = { type, clusterIP: `10.96.0.${i + 1}`, ports, ...(isExternal ? external : {}) };
        b.service(`svc${i}`, spec, isExternal ? ['1.2.3.4'] : undefined);
        const ips = Array.from({ length: endpoints }, (_, j) => `172.16.0.${j + 1}`);
        b.slice(
          `svc${i}`,
          [{ name: '8080', port: 8080 }],
          ips.map((ip) => ready(ip)),
        );
      }
      b.sync();
      const count = (table: 'nat' | 'filter'): number => b.netlink.iptablesSave(table).match(/^-A KUBE-/gm)!.length;
      const told = `${size} ${count('filter')} ${count('nat')}`;
      b.close();
      return told;
    });
    t.equal(got.join(', '), COUNTS[type], type);
  }
});

t.test('a sync writes the chains of what changed, and deletes those of what went', (t) => {
  const b = bench();
  for (const [name, clusterIP] of [
    ['web', VIP],
    ['api', '10.96.0.11'],
  ] as const) {
    b.service(name, { clusterIP, ports: [{ name: 'http', port: 80 }] });
    b.slice(name, WEB, [ready(POD_A)]);
  }
  const ops = watch(b);
  b.sync();
  t.match(written(ops, 'nat'), { length: 8 }, 'all of them at first');
  const before = chainsOf(b, 'KUBE-SEP-');

  ops.length = 0;
  b.slice('web', WEB, [ready(POD_B)]);
  b.sync();
  const own = written(ops, 'nat').filter((n) => n.startsWith('KUBE-SVC-') || n.startsWith('KUBE-SEP-'));
  t.equal(own.length, 3, 'its SVC chain, the new SEP chain and the old one, emptied');
  const after = chainsOf(b, 'KUBE-SEP-');
  t.equal(after.length, 2);
  t.equal(after.filter((n) => before.includes(n)).length, 1, 'the other Service keeps its chain');

  ops.length = 0;
  b.deleteService('web', { clusterIP: VIP, ports: [{ name: 'http', port: 80 }] });
  b.sync();
  t.equal(chainsOf(b, 'KUBE-SVC-').length, 1);
  t.equal(chainsOf(b, 'KUBE-SEP-').length, 1);
  t.notMatch(b.netlink.iptablesSave('nat'), /default\/web/);
  b.close();
  t.end();
});

t.test('more than 1,000 endpoints: no comments, and stale chains stay for a syncPeriod', (t) => {
  const b = bench();
  b.service('web', { clusterIP: VIP, ports: [{ name: 'http', port: 80 }] });
  const many = Array.from({ length: 1001 }, (_, i) => ready(`10.244.${1 + (i >> 8)}.${i & 255}`, 'other'));
  b.slice('web', WEB, many);
  b.sync();
  const [svc] = chainsOf(b, 'KUBE-SVC-');
  t.equal(rulesOf(b, 'nat', svc!).filter((r) => r.includes('->')).length, 0);
  t.equal(chainsOf(b, 'KUBE-SEP-').length, 1001);
  b.slice('web', WEB, many.slice(0, 1001).with(0, ready(POD_A)));
  b.sync();
  t.equal(chainsOf(b, 'KUBE-SEP-').length, 1002, 'not yet');
  b.lab.clock.advance(31e6);
  b.sync();
  t.equal(chainsOf(b, 'KUBE-SEP-').length, 1001);
  b.close();
  t.end();
});

t.test('what an earlier proxy left is removed; cleanup leaves only what kubelet shares', (t) => {
  const b = bench();
  b.netlink.commit([
    { op: 'iptables-restore', table: 'nat', chains: [{ name: 'KUBE-SEP-AAAAAAAAAAAAAAAA', rules: [] }] },
  ]);
  b.service('web', { clusterIP: VIP, ports: [{ name: 'http', port: 80 }] });
  b.sync();
  t.same(chainsOf(b, 'KUBE-SEP-'), []);
  b.proxier.cleanup();
  const left = [...b.netlink.chains('nat'), ...b.netlink.chains('filter')].filter(({ policy }) => !policy);
  t.same(left.map(({ name }) => name).sort(), ['KUBE-FIREWALL', 'KUBE-MARK-MASQ']);
  b.sync();
  t.match(b.netlink.iptablesSave('filter'), /default\/web:http has no endpoints/, 'and it can come back');
  b.close();
  t.end();
});

t.test('packets: dice spread connections, and affinity keeps a client where it was', (t) => {
  const b = bench();
  b.service('web', { clusterIP: VIP, ports: [{ name: 'http', port: 80 }] });
  const affinity = {
    sessionAffinity: 'ClientIP',
    sessionAffinityConfig: { clientIP: { timeoutSeconds: 60 } },
  } as const;
  b.service('sticky', { clusterIP: '10.96.0.11', ports: [{ name: 'http', port: 80 }], ...affinity });
  for (const name of ['web', 'sticky']) b.slice(name, WEB, [ready(POD_B), ready(POD_C)]);
  b.sync();
  const { lab } = b;
  const reached = (vip: string, sport: number): string => {
    lab.from('a', ip({ saddr: POD_A, daddr: vip }, tcp({ sport, dport: 80, flags: 'S' })));
    const [toB, toC] = [lab.take('b').length, lab.take('c').length];
    t.equal(toB + toC, 1, `connection ${sport} goes to one`);
    return toB > 0 ? 'b' : 'c';
  };
  const spread = Array.from({ length: 60 }, (_, i) => reached(VIP, 2000 + i)).filter((who) => who === 'b').length;
  t.ok(spread > 15 && spread < 45, `${spread} of 60 to one of two`);
  const first = reached('10.96.0.11', 3000);
  for (let i = 1; i < 20; i++) t.equal(reached('10.96.0.11', 3000 + i), first, 'the same again');
  const known = b.explain({ from: POD_A, to: '10.96.0.11', toPort: 80, protocol: 'tcp' });
  t.match(known.endpoints, [{ probability: 1 }], 'the what-if engine knows');
  lab.clock.advance(61e6);
  const later = b.explain({ from: POD_A, to: '10.96.0.11', toPort: 80, protocol: 'tcp' });
  t.match(later.endpoints, [{ probability: 0.5 }, { probability: 0.5 }], 'until its time is over');
  b.close();
  t.end();
});

t.test('packets: no endpoints are refused with ICMP port unreachable; a local policy without local ones drops', (t) => {
  const b = bench();
  b.service('none', { clusterIP: VIP, ports: [{ name: 'http', port: 80 }] });
  b.service('far', { clusterIP: '10.96.0.11', ports: [{ name: 'http', port: 80 }], internalTrafficPolicy: 'Local' });
  b.slice('far', WEB, [ready(POD_B, 'other')]);
  b.sync();
  const { lab } = b;
  lab.from('a', ip({ saddr: POD_A, daddr: VIP }, tcp({ sport: 1, dport: 80, flags: 'S' })));
  t.match(lab.take('a'), [{ icmp: { type: 3, code: 3 } }]);
  lab.from('a', ip({ saddr: POD_A, daddr: '10.96.0.11' }, tcp({ sport: 1, dport: 80, flags: 'S' })));
  t.same([lab.take('a').length, lab.take('b').length], [0, 0]);
  b.close();
  t.end();
});

t.test('a UDP flow whose endpoint went is forgotten', (t) => {
  const b = bench();
  b.service('dns', { clusterIP: VIP, ports: [{ name: 'dns', port: 53, protocol: 'UDP' }] });
  const ports = [{ name: 'dns', port: 53, protocol: 'UDP' }] as const;
  b.slice('dns', [...ports], [ready(POD_B)]);
  b.sync();
  const { lab } = b;
  const query = ip({ saddr: POD_A, daddr: VIP }, udp({ sport: 4000, dport: 53 }, 'x'));
  lab.from('a', query);
  t.equal(lab.take('b').length, 1);
  b.slice('dns', [...ports], [ready(POD_C)]);
  b.sync();
  t.equal(b.netlink.conntrack({ proto: 17, origDst: ipv4(VIP) }).length, 0);
  lab.from('a', query);
  t.same([lab.take('b').length, lab.take('c').length], [0, 1], 'the next packet of the same flow goes to the new one');
  b.close();
  t.end();
});

t.test('nodePortAddresses and localhostNodePorts choose the last rules', (t) => {
  const last = (config: Record<string, unknown>): string[] => {
    const b = bench({ ...CLUSTER_CIDR, ...config });
    b.sync();
    const rules = rulesOf(b, 'nat', 'KUBE-SERVICES').map((r) => r.replace(/-m comment --comment "[^"]*" /, ''));
    b.close();
    return rules;
  };
  t.same(last({ iptables: { localhostNodePorts: false } }), [
    '! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS',
  ]);
  t.same(last({ nodePortAddresses: ['192.168.49.0/24', '127.0.0.0/8'] }), [
    '-d 127.0.0.1/32 -j KUBE-NODEPORTS',
    `-d ${NODE_IP}/32 -j KUBE-NODEPORTS`,
  ]);
  t.same(last({ nodePortAddresses: ['primary'] }), [`-d ${NODE_IP}/32 -j KUBE-NODEPORTS`]);
  t.end();
});

t.test('127.0.0.0/8 is guarded from others when NodePorts answer on any of it, and only then', (t) => {
  const guarded = (config: Record<string, unknown>): number => {
    const b = bench({ ...CLUSTER_CIDR, ...config });
    b.sync();
    const rules = rulesOf(b, 'filter', 'KUBE-FIREWALL');
    b.close();
    return rules.length;
  };
  for (const nodePortAddresses of [null, [], ['::/0'], ['0.0.0.0/0'], ['64.0.0.0/2'], ['10.0.0.0/8', '127.0.2.0/28']])
    t.equal(guarded({ nodePortAddresses }), 1, JSON.stringify(nodePortAddresses));
  for (const nodePortAddresses of [['primary'], ['192.168.49.0/24', '::1/128'], ['128.0.0.0/1']])
    t.equal(guarded({ nodePortAddresses }), 0, JSON.stringify(nodePortAddresses));
  t.equal(guarded({ iptables: { localhostNodePorts: false } }), 0);
  t.end();
});

t.test('the real iptables-restore takes the rules, and iptables-save prints the same', async (t) => {
  if (!canUseNetns(t, 'unshare', 'iptables-restore')) return;
  const b = bench();
  const affinity = { sessionAffinity: 'ClientIP' } as const;
  const ports = [{ name: 'http', port: 80, nodePort: 30080 }];
  const ranges = { loadBalancerSourceRanges: ['203.0.113.0/25'] };
  b.service('web', { type: 'LoadBalancer', clusterIP: VIP, ports, ...affinity, ...ranges }, ['203.0.113.80']);
  b.service('far', {
    type: 'NodePort',
    clusterIP: '10.96.0.11',
    ports: [{ port: 81, nodePort: 30081 }],
    externalTrafficPolicy: 'Local',
  });
  b.service('none', { clusterIP: '10.96.0.12', ports: [{ port: 82, protocol: 'UDP' }] });
  b.slice('web', WEB, [ready(POD_A), ready(POD_B), ready(POD_C)]);
  b.slice('far', [{ port: 8081 }], [ready(POD_B, 'other')]);
  b.sync();
  const rulesIn = (text: string): string[] => text.split('\n').filter((l) => l.startsWith('-A'));
  for (const table of ['nat', 'filter'] as const) {
    const ours = b.netlink.iptablesSave(table);
    const script = `iptables-restore && iptables-save -t ${table}`;
    const theirs = execFileSync('unshare', ['-n', 'sh', '-c', script], { input: ours, encoding: 'utf8' });
    t.same(rulesIn(theirs).sort(), rulesIn(ours).sort(), table);
  }
  b.close();
});
