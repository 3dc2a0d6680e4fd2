// kube-proxy's nftables mode over a real kernel: what it programs, in nft's own format, and how it changes it. Names and counts
// are from upstream's TestOverallNFTablesRules and TestSyncProxyRulesRepeated.
import { readFileSync } from 'node:fs';
import t from 'tap';
import type { Service, ServiceSpec } from '../../../src/api/core-v1.ts';
import type { EndpointSlice } from '../../../src/api/discovery-v1.ts';
import { chainHash } from '../../../src/proxy/chain-hash.ts';
import { endpointNames, serviceChains } from '../../../src/proxy/nftables/names.ts';
import { ipv4 } from '../../../src/tcpip-ts/wire/address.ts';
import { parseIpAddress } from '../../../src/tcpip-ts/wire/ip-address.ts';
import { type Manifest, ObjectBench } from '../../support/objects.ts';

interface SampleFlow {
  readonly name: string;
  readonly source: string;
  readonly protocol: 'TCP' | 'UDP';
  readonly dest: string;
  readonly port: number;
  readonly modes?: readonly string[];
  readonly expect: SampleExpect;
  readonly expectByMode?: Readonly<Record<string, SampleExpect>>;
}
interface SampleExpect {
  readonly verdict: string;
  readonly endpoints?: readonly string[];
  readonly masquerade?: boolean;
}
interface SampleGroup {
  readonly id: string;
  readonly modes: readonly string[];
  readonly config: { readonly nodePortAddresses?: readonly string[] | null; readonly ipFamily?: string };
  readonly objects: readonly Manifest[];
  readonly flows: readonly SampleFlow[];
  readonly phases?: readonly { readonly delete: readonly string[]; readonly flows: readonly SampleFlow[] }[];
}

const SAMPLE = JSON.parse(
  readFileSync(new URL('../../../../test/fixtures/proxy-flows-sample.json', import.meta.url), 'utf8'),
) as {
  readonly groups: readonly SampleGroup[];
  readonly names: { readonly nftables: { readonly rows: readonly (readonly [string, string])[] } };
};

function svc(name: string, spec: ServiceSpec, ingress: readonly string[] = []): Service {
  const [namespace, plain] = name.split('/') as [string, string];
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { namespace, name: plain },
    spec,
    ...(ingress.length > 0 ? { status: { loadBalancer: { ingress: ingress.map((ip) => ({ ip })) } } } : {}),
  };
}

function slice(name: string, addresses: readonly string[], local: readonly string[] = []): EndpointSlice {
  const [namespace, service] = name.split('/') as [string, string];
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { namespace, name: `${service}-1`, labels: { 'kubernetes.io/service-name': service } },
    addressType: 'IPv4',
    endpoints: addresses.map((address) => ({
      addresses: [address],
      conditions: { ready: true },
      ...(local.includes(address) ? { nodeName: 'test-node' } : {}),
    })),
    ports: [{ name: 'p80', port: 80, protocol: 'TCP' }],
  };
}

const P80 = { name: 'p80', port: 80, protocol: 'TCP' as const };

function chainOf(text: string, name: string): string[] {
  const from = text.indexOf(`\tchain ${name} {\n`);
  if (from < 0) return [];
  return text
    .slice(from, text.indexOf('\t}\n', from))
    .split('\n')
    .slice(1, -1)
    .map((line) => line.trim());
}

function elementsOf(text: string, name: string): string[] {
  const from = text.search(new RegExp(`\\t(set|map) ${name} \\{`));
  const body = text.slice(from, text.indexOf('\t}\n', from));
  const match = /elements = \{ ([\s\S]*) \}/.exec(body);
  return match ? match[1]!.split(',').map((e) => e.trim()) : [];
}

t.test("names carry kube-proxy's hashes", (t) => {
  for (const [name, hash] of SAMPLE.names.nftables.rows) {
    const [base, endpoint] = name.split('__') as [string, string | undefined];
    const [namespace, service, proto, portName] = base.split('/') as [string, string, string, string];
    const port = { service: `${namespace}/${service}`, portName, proto: proto === 'tcp' ? 6 : 17 };
    if (endpoint === undefined) {
      t.equal(serviceChains(port).service, `service-${hash}-${name}`);
      continue;
    }
    t.equal(chainHash(name).slice(0, 8), hash);
    if (endpoint.startsWith('fd80')) continue; // written as upstream's test does, with one group of zeros left out
    const [ip, number] = endpoint.split('/') as [string, string];
    t.equal(endpointNames(port, { addr: ipv4(ip), port: Number(number) }).chain, `endpoint-${hash}-${name}`);
  }
  // Hashes of these were taken with another program.
  const svc1 = { service: 'ns1/svc1', portName: '', proto: 6 };
  t.equal(serviceChains(svc1).local, 'local-6KJ5P52A-ns1/svc1/tcp/');
  t.equal(serviceChains({ ...svc1, proto: 17 }).external, 'external-5ZLCOGWR-ns1/svc1/udp/');
  t.equal(serviceChains({ ...svc1, proto: 132, portName: 'p' }).firewall, 'firewall-RI4E4OE7-ns1/svc1/sctp/p');
  const six = { addr: parseIpAddress('fd00:10:180::1')!, port: 3868 };
  t.equal(
    endpointNames({ ...svc1, proto: 132, portName: 'p' }, six).affinity,
    'affinity-BW4NI4LI-ns1/svc1/sctp/p__fd00.10.180..1/3868',
  );
  const long = { service: `${'n'.repeat(63)}/${'s'.repeat(63)}`, portName: 'p'.repeat(63), proto: 6 };
  const name = `W4PS6MLU-${long.service}/tcp/${long.portName}__fd00.1111.2222.3333.4444.5555.6666.7777/65535`;
  const far = { addr: parseIpAddress('fd00:1111:2222:3333:4444:5555:6666:7777')!, port: 65535 };
  t.equal(endpointNames(long, far).chain, `endpoint-${name.slice(0, 237)}...`, 'cut at 240');
  t.equal(serviceChains(long).service, `service-GA6VOAHF-${long.service}/tcp/${long.portName}`, 'not cut');
  t.end();
});

for (const group of SAMPLE.groups) {
  if (!group.modes.includes('nftables')) continue;
  t.test(`the sample's flows: ${group.id}`, (t) => {
    const nodePortAddresses = group.config.nodePortAddresses;
    const b = new ObjectBench({
      mode: 'nftables',
      config: { clusterCIDR: '10.0.0.0/8', ...(nodePortAddresses ? { nodePortAddresses } : {}) },
    });
    b.apply(...group.objects);
    b.sync();
    const check = (flows: readonly SampleFlow[]): void => {
      for (const flow of flows) {
        if (flow.modes && !flow.modes.includes('nftables')) continue;
        const expect = flow.expectByMode?.['nftables'] ?? flow.expect;
        const answer = b.explain({
          from: flow.source,
          to: flow.dest,
          toPort: flow.port,
          protocol: flow.protocol === 'TCP' ? 'tcp' : 'udp',
        });
        // To the sample, a packet that kube-proxy leaves to the host's sockets is one it leaves alone.
        t.equal(answer.verdict === 'LOCAL' ? 'NONE' : answer.verdict, expect.verdict, flow.name);
        const endpoints = answer.endpoints.map((e) => `${e.address}:${e.port}`).sort();
        if (expect.endpoints) t.same(endpoints, [...expect.endpoints].sort(), flow.name);
        if (expect.masquerade !== undefined) t.equal(answer.masquerade, expect.masquerade, flow.name);
      }
    };
    check(group.flows);
    for (const phase of group.phases ?? []) {
      for (const what of phase.delete) b.delete(what);
      b.sync();
      check(phase.flows);
    }
    b.close();
    t.end();
  });
}

t.test("the frame is kube-proxy's", (t) => {
  const b = new ObjectBench({ mode: 'nftables' });
  b.sync();
  const text = b.netlink.nftList();
  t.match(text, /^table ip kube-proxy \{\n\tcomment "rules for kube-proxy"\n/);
  t.same(chainOf(text, 'cluster-ips-check'), [
    'ip daddr @cluster-ips reject comment "Reject traffic to invalid ports of ClusterIPs"',
    'ip daddr 172.30.0.0/16 drop comment "Drop traffic to unallocated ClusterIPs"',
  ]);
  t.same(chainOf(text, 'filter-prerouting-pre-dnat'), [
    'type filter hook prerouting priority dstnat - 10; policy accept;',
    'ct state new jump firewall-check',
  ]);
  t.same(chainOf(text, 'filter-input'), [
    'type filter hook input priority filter; policy accept;',
    'ct state new jump nodeport-endpoints-check',
    'ct state new jump service-endpoints-check',
  ]);
  t.same(chainOf(text, 'filter-forward').slice(1), [
    'ct state new jump service-endpoints-check',
    'ct state new jump cluster-ips-check',
  ]);
  t.same(chainOf(text, 'filter-output').slice(1), chainOf(text, 'filter-forward').slice(1));
  t.same(chainOf(text, 'masquerading'), [
    'meta mark & 0x00004000 == 0x00000000 return',
    'meta mark set meta mark ^ 0x00004000',
    'masquerade fully-random',
  ]);
  t.same(chainOf(text, 'services'), [
    'ip daddr . meta l4proto . th dport vmap @service-ips',
    'ip daddr @nodeport-ips meta l4proto . th dport vmap @service-nodeports',
  ]);
  t.same(elementsOf(text, 'nodeport-ips'), ['192.168.0.2'], 'the primary address alone');
  b.close();
  t.end();
});

t.test('a ClusterIP with one endpoint', (t) => {
  const b = new ObjectBench({ mode: 'nftables' });
  b.apply(svc('ns1/svc1', { clusterIP: '172.30.0.41', ports: [P80] }), slice('ns1/svc1', ['10.180.0.1']));
  b.sync();
  const text = b.netlink.nftList();
  t.same(chainOf(text, 'service-ULMVA6XW-ns1/svc1/tcp/p80'), [
    'ip daddr 172.30.0.41 ip saddr != 10.0.0.0/8 jump mark-for-masquerade',
    'numgen random mod 1 vmap { 0 : goto endpoint-5OJB2KTY-ns1/svc1/tcp/p80__10.180.0.1/80 }',
  ]);
  t.same(chainOf(text, 'endpoint-5OJB2KTY-ns1/svc1/tcp/p80__10.180.0.1/80'), [
    'ip saddr 10.180.0.1 jump mark-for-masquerade',
    'meta l4proto tcp dnat to 10.180.0.1:80',
  ]);
  t.same(elementsOf(text, 'service-ips'), ['172.30.0.41 . tcp . 80 : goto service-ULMVA6XW-ns1/svc1/tcp/p80']);
  b.close();
  t.end();
});

t.test('policy Local without a local endpoint: short cuts for Pods and the Node, drop for others', (t) => {
  const b = new ObjectBench({ mode: 'nftables' });
  const spec: ServiceSpec = {
    type: 'LoadBalancer',
    clusterIP: '172.30.0.42',
    externalTrafficPolicy: 'Local',
    externalIPs: ['192.168.99.22'],
    ports: [{ ...P80, nodePort: 3001 }],
  };
  b.apply(svc('ns2/svc2', spec, ['1.2.3.4']), slice('ns2/svc2', ['10.180.0.2']));
  b.sync();
  const text = b.netlink.nftList();
  t.same(chainOf(text, 'external-42NFTM6N-ns2/svc2/tcp/p80'), [
    'ip saddr 10.0.0.0/8 goto service-42NFTM6N-ns2/svc2/tcp/p80 comment "short-circuit pod traffic"',
    'fib saddr type local jump mark-for-masquerade comment "masquerade local traffic"',
    'fib saddr type local goto service-42NFTM6N-ns2/svc2/tcp/p80 comment "short-circuit local traffic"',
  ]);
  t.same(elementsOf(text, 'no-endpoint-nodeports'), ['tcp . 3001 comment "ns2/svc2:p80" : drop']);
  t.same(elementsOf(text, 'no-endpoint-services').sort(), [
    '1.2.3.4 . tcp . 80 comment "ns2/svc2:p80" : drop',
    '192.168.99.22 . tcp . 80 comment "ns2/svc2:p80" : drop',
  ]);
  b.close();
  t.end();
});

t.test('source ranges and affinity', (t) => {
  const b = new ObjectBench({ mode: 'nftables' });
  const spec: ServiceSpec = {
    type: 'LoadBalancer',
    clusterIP: '172.30.0.45',
    sessionAffinity: 'ClientIP',
    loadBalancerSourceRanges: [' 203.0.113.0/25'],
    ports: [{ ...P80, nodePort: 3002 }],
  };
  b.apply(svc('ns5/svc5', spec, ['5.6.7.8']), slice('ns5/svc5', ['10.180.0.3']));
  b.sync();
  const text = b.netlink.nftList();
  const endpoint = 'GTK6MW7G-ns5/svc5/tcp/p80__10.180.0.3/80';
  t.same(chainOf(text, 'firewall-HVFWP5L3-ns5/svc5/tcp/p80'), ['ip saddr != 203.0.113.0/25 drop']);
  t.same(elementsOf(text, 'firewall-ips'), ['5.6.7.8 . tcp . 80 : goto firewall-HVFWP5L3-ns5/svc5/tcp/p80']);
  t.same(chainOf(text, 'service-HVFWP5L3-ns5/svc5/tcp/p80').slice(1), [
    `ip saddr @affinity-${endpoint} goto endpoint-${endpoint}`,
    `numgen random mod 1 vmap { 0 : goto endpoint-${endpoint} }`,
  ]);
  t.same(chainOf(text, `endpoint-${endpoint}`), [
    'ip saddr 10.180.0.3 jump mark-for-masquerade',
    `update @affinity-${endpoint} { ip saddr }`,
    'meta l4proto tcp dnat to 10.180.0.3:80',
  ]);
  t.match(
    text,
    `\tset affinity-${endpoint} {\n\t\ttype ipv4_addr\n\t\tsize 65535\n\t\tflags dynamic,timeout\n\t\ttimeout 3h\n`,
  );
  b.apply(svc('ns5/svc5', { ...spec, sessionAffinity: 'None' }, ['5.6.7.8']));
  b.sync();
  t.notMatch(b.netlink.nftList(), 'affinity-', 'affinity ends');
  b.close();
  t.end();
});

t.test("a sync names what changed, in as many operations as upstream's", (t) => {
  const b = new ObjectBench({ mode: 'nftables' });
  for (const i of [1, 2]) {
    b.apply(
      svc(`ns${i}/svc${i}`, { clusterIP: `172.30.0.4${i}`, ports: [P80] }),
      slice(`ns${i}/svc${i}`, [`10.0.${i}.1`]),
    );
  }
  b.sync();
  b.apply(svc('ns3/svc3', { clusterIP: '172.30.0.43', ports: [P80] }), slice('ns3/svc3', ['10.0.3.1']));
  t.equal(b.sync(), 10, 'a new Service with one endpoint');
  b.delete('EndpointSlice ns2/svc2-1');
  b.delete('Service ns2/svc2');
  t.equal(b.sync(), 4, 'a deleted Service');
  t.same(chainOf(b.netlink.nftList(), 'service-42NFTM6N-ns2/svc2/tcp/p80'), [], 'its chains are emptied');
  t.ok(b.netlink.nftNames('kube-proxy', 'chains').includes('service-42NFTM6N-ns2/svc2/tcp/p80'), 'but there');
  b.lab.clock.advance(1_000_001);
  b.apply(slice('ns3/svc3', ['10.0.3.1', '10.0.3.2']));
  t.equal(b.sync(), 12, 'another endpoint');
  t.notOk(b.netlink.nftNames('kube-proxy', 'chains').includes('service-42NFTM6N-ns2/svc2/tcp/p80'), 'deleted by now');
  t.equal(b.sync(), 0, 'nothing changed');
  b.delete('EndpointSlice ns3/svc3-1');
  b.sync();
  t.match(
    elementsOf(b.netlink.nftList(), 'no-endpoint-services'),
    ['172.30.0.43 . tcp . 80 comment "ns3/svc3:p80" : goto reject-chain'],
    'no endpoints: reject',
  );
  t.notOk(elementsOf(b.netlink.nftList(), 'service-ips').some((e) => e.startsWith('172.30.0.43')));
  b.apply(slice('ns3/svc3', ['10.0.3.1']));
  b.sync();
  t.equal(
    chainOf(b.netlink.nftList(), serviceChains({ service: 'ns3/svc3', portName: 'p80', proto: 6 }).service).length,
    2,
  );
  b.close();
  t.end();
});

t.test('NodePort addresses: those asked for, or all but localhost', (t) => {
  const some = new ObjectBench({
    mode: 'nftables',
    config: { nodePortAddresses: ['192.168.0.0/24', '192.168.1.0/24'] },
  });
  some.sync();
  t.same(elementsOf(some.netlink.nftList(), 'nodeport-ips'), ['192.168.0.2', '192.168.1.2']);
  some.close();
  const all = new ObjectBench({ mode: 'nftables', config: { nodePortAddresses: ['0.0.0.0/0'] } });
  all.sync();
  const text = all.netlink.nftList();
  t.notMatch(text, 'set nodeport-ips');
  t.equal(
    chainOf(text, 'services')[1],
    'fib daddr type local ip daddr != 127.0.0.0/8 meta l4proto . th dport vmap @service-nodeports',
  );
  all.close();
  t.end();
});

t.test('another proxier takes over what one left; cleanup leaves nothing', (t) => {
  const b = new ObjectBench({ mode: 'nftables' });
  b.apply(
    svc('ns1/svc1', { clusterIP: '172.30.0.41', sessionAffinity: 'ClientIP', ports: [P80] }),
    slice('ns1/svc1', ['10.180.0.1']),
  );
  b.sync();
  const before = b.netlink.nftList();
  const next = b.again();
  next.sync();
  t.same(b.netlink.nftList().split('\n').sort(), before.split('\n').sort(), 'base chains are made anew, and come last');
  next.delete('Service ns1/svc1');
  next.sync();
  t.notMatch(b.netlink.nftList(), 'affinity-');
  next.proxier.cleanup();
  t.equal(b.netlink.nftList(), '');
  next.proxier.cleanup();
  b.close();
  t.end();
});
