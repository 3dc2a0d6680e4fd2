// The what-if engine over a programmed kernel: verdicts, endpoints, masquerade, hops; that it changes nothing; and that a
// real packet then does what was said.
import t from 'tap';
import type { ServiceSpec } from '../../../src/api/core-v1.ts';
import { formatTrace } from '../../../src/kernel/what-if/text.ts';
import { GATEWAY, Lab, NODE_IP, POD_A, POD_B } from '../../support/kernel.ts';
import { ip, tcp } from '../../support/packet.ts';
import { ready, ServiceBench } from '../../support/services.ts';

const VIP = '10.96.0.10';
const OUTSIDE = '203.0.113.2';

function bench(
  spec: Partial<ServiceSpec> = {},
  endpoints: readonly string[] = [POD_A, POD_B],
  config?: Record<string, unknown>,
): ServiceBench {
  const lab = new Lab();
  lab.pod('a', POD_A);
  lab.pod('b', POD_B);
  lab.uplink();
  const b = new ServiceBench(config, lab);
  b.service('web', { clusterIP: VIP, ports: [{ port: 80, nodePort: 30080 }], ...spec });
  b.slice(
    'web',
    [{ port: 8080 }],
    endpoints.map((address) => ready(address)),
  );
  b.sync();
  return b;
}

t.test('a Pod to a ClusterIP: DNAT to one of its endpoints, each as likely, source kept', (t) => {
  const b = bench();
  const answer = b.explain({ from: POD_A, to: VIP, toPort: 80, protocol: 'tcp' });
  t.match(answer, {
    verdict: 'DNAT',
    endpoints: [
      { address: POD_B, port: 8080, probability: 0.5 },
      { address: POD_A, port: 8080, probability: 0.5 },
    ],
    masquerade: false,
  });
  t.same(
    [...new Set(answer.hops.map((h) => h.stage))],
    ['RECEIVE', 'PREROUTING', 'ROUTING', 'INPUT', 'IPVS', 'OUTPUT', 'POSTROUTING', 'TRANSMIT'],
  );
  t.match(
    answer.hops.find((h) => h.stage === 'ROUTING'),
    { rule: 'local 10.96.0.10 dev kube-ipvs0 table local', action: 'for this host' },
  );
  t.match(
    answer.hops.find((h) => h.stage === 'IPVS'),
    {
      node: 'node-1',
      rule: '-A -t 10.96.0.10:80 -s rr\n-a -t 10.96.0.10:80 -r 10.244.0.6:8080 -m -w 1',
      before: '10.244.0.5:* > 10.96.0.10:80 tcp',
      after: '10.244.0.5:* > 10.244.0.6:8080 tcp',
    },
  );
  t.match(answer.hops.at(-1), { stage: 'TRANSMIT', action: 'out of vethb' });
  t.match(answer.reply[0], { stage: 'RECEIVE', before: '10.244.0.6:8080 > 10.244.0.5:* tcp' });
  t.match(
    answer.reply.find((h) => h.stage === 'IPVS'),
    { after: '10.96.0.10:80 > 10.244.0.5:* tcp' },
  );
  t.match(answer.reply.at(-1), { stage: 'TRANSMIT', action: 'out of vetha' });
  b.close();
  t.end();
});

t.test('a Pod that can only meet itself is masqueraded', (t) => {
  const b = bench({}, [POD_A]);
  const answer = b.explain({ from: POD_A, to: VIP, toPort: 80, protocol: 'tcp' });
  t.match(answer, { verdict: 'DNAT', masquerade: true });
  t.match(
    answer.hops.find((h) => h.rule.includes('KUBE-LOOP-BACK')),
    { after: `${GATEWAY}:* > ${POD_A}:8080 tcp` },
  );
  t.match(
    answer.reply.find((h) => h.rule === 'conntrack'),
    { after: `${POD_A}:8080 > ${POD_A}:* tcp` },
  );
  b.close();
  t.end();
});

t.test('from outside, from the Node, and with masqueradeAll the source is masqueraded', (t) => {
  const b = bench();
  t.match(b.explain({ from: OUTSIDE, to: VIP, toPort: 80, protocol: 'tcp' }), { verdict: 'DNAT', masquerade: true });
  const own = b.explain({ from: NODE_IP, to: VIP, toPort: 80, protocol: 'tcp' });
  t.match(own, { verdict: 'DNAT', masquerade: true });
  t.match(own.reply.at(-1), { stage: 'LOCAL' });
  b.close();
  const all = bench({}, [POD_B], { iptables: { masqueradeAll: true } });
  t.match(all.explain({ from: POD_A, to: VIP, toPort: 80, protocol: 'tcp' }), { masquerade: true });
  all.close();
  t.end();
});

t.test('NodePorts: masqueraded for policy Cluster, kept for Local', (t) => {
  const cluster = bench();
  t.match(cluster.explain({ from: OUTSIDE, to: NODE_IP, toPort: 30080, protocol: 'tcp' }), {
    verdict: 'DNAT',
    masquerade: true,
  });
  cluster.close();
  const local = bench({ type: 'NodePort', externalTrafficPolicy: 'Local' });
  t.match(local.explain({ from: OUTSIDE, to: NODE_IP, toPort: 30080, protocol: 'tcp' }), {
    verdict: 'DNAT',
    masquerade: false,
  });
  local.close();
  t.end();
});

t.test('load balancer source ranges let the allowed in and drop the rest', (t) => {
  const lab = new Lab();
  lab.pod('a', POD_A);
  lab.uplink();
  const b = new ServiceBench(undefined, lab);
  b.service(
    'web',
    { clusterIP: VIP, type: 'LoadBalancer', loadBalancerSourceRanges: ['203.0.113.0/25'], ports: [{ port: 80 }] },
    ['1.2.3.4'],
  );
  b.slice('web', [{ port: 8080 }], [ready(POD_A)]);
  b.sync();
  t.match(b.explain({ from: OUTSIDE, to: '1.2.3.4', toPort: 80, protocol: 'tcp' }), {
    verdict: 'DNAT',
    masquerade: true,
  });
  const blocked = b.explain({ from: '203.0.113.130', to: '1.2.3.4', toPort: 80, protocol: 'tcp' });
  t.match(blocked, { verdict: 'DROP', endpoints: [], reason: /-A KUBE-SOURCE-RANGES-FIREWALL -j DROP/ });
  b.close();
  t.end();
});

// Group `no-endpoints` of reference/proxy-flows-sample.json, the part of it for IPVS.
t.test('a Service without endpoints rejects on all its addresses', (t) => {
  const lab = new Lab();
  lab.pod('a', '10.244.0.2');
  lab.uplink();
  const b = new ServiceBench(undefined, lab);
  b.service(
    'svc1',
    {
      type: 'LoadBalancer',
      clusterIP: '172.30.0.41',
      externalIPs: ['192.168.99.11'],
      ports: [{ name: 'p80', port: 80, nodePort: 3001 }],
    },
    ['1.2.3.4'],
  );
  b.sync();
  const flows: [string, string, number][] = [
    ['10.244.0.2', '172.30.0.41', 80],
    [OUTSIDE, '192.168.99.11', 80],
    ['10.244.0.2', NODE_IP, 3001],
    [OUTSIDE, NODE_IP, 3001],
    ['10.244.0.2', '1.2.3.4', 80],
    [OUTSIDE, '1.2.3.4', 80],
  ];
  for (const [from, to, toPort] of flows) {
    const answer = b.explain({ from, to, toPort, protocol: 'tcp' });
    t.match(answer, { verdict: 'REJECT', endpoints: [] }, `${from} to ${to}:${toPort}`);
  }
  b.close();
  t.end();
});

t.test('what no Service has: routed on, for the Node itself, or refused at a ClusterIP', (t) => {
  const b = bench();
  t.match(b.explain({ from: POD_A, to: POD_B, toPort: 1, protocol: 'tcp' }), {
    verdict: 'NONE',
    hops: [{ stage: 'RECEIVE' }],
    reason: 'no Service has 10.244.0.6:1; the packet is routed on through vethb.',
  });
  t.match(b.explain({ from: POD_A, to: NODE_IP, toPort: 22, protocol: 'tcp' }), { verdict: 'NONE' });
  t.match(b.explain({ from: POD_A, to: VIP, toPort: 22, protocol: 'tcp' }), {
    verdict: 'REJECT',
    reason: /KUBE-IPVS-FILTER/,
  });
  t.match(b.explain({ from: POD_A, to: VIP, protocol: 'icmp' }), { verdict: 'REJECT', reason: /KUBE-IPVS-FILTER/ });
  b.close();
  t.end();
});

t.test('a health check node port is accepted by its rule', (t) => {
  const b = bench({ type: 'LoadBalancer', externalTrafficPolicy: 'Local', healthCheckNodePort: 32000 });
  t.match(b.explain({ from: OUTSIDE, to: NODE_IP, toPort: 32000, protocol: 'tcp' }), { verdict: 'ACCEPT' });
  b.close();
  t.end();
});

t.test('affinity and existing connections decide before the scheduler', (t) => {
  const b = bench({ sessionAffinity: 'ClientIP' });
  b.lab.from('a', ip({ saddr: POD_A, daddr: VIP }, tcp({ sport: 1000, dport: 80, flags: 'S' })));
  t.match(b.explain({ from: POD_A, to: VIP, toPort: 80, protocol: 'tcp' }), {
    endpoints: [{ address: POD_B, probability: 1 }],
    reason: /bound to its real server for 10800 s/,
  });
  t.match(b.explain({ from: POD_A, fromPort: 1000, to: VIP, toPort: 80, protocol: 'tcp' }), {
    reason: /existing connection/,
  });
  b.close();
  t.end();
});

t.test('sh answers with the one endpoint of the client', (t) => {
  const b = bench({}, [POD_A, POD_B], { ipvs: { scheduler: 'sh' } });
  const { endpoints } = b.explain({ from: POD_A, to: VIP, toPort: 80, protocol: 'tcp' });
  t.match(endpoints, [{ probability: 1 }]);
  b.lab.from('a', ip({ saddr: POD_A, daddr: VIP }, tcp({ sport: 7, dport: 80, flags: 'S' })));
  const sent = [...b.lab.take('a'), ...b.lab.take('b')];
  t.match(sent, [{ ip: { daddr: endpoints[0]!.address } }], 'and there the packet goes');
  b.close();
  t.end();
});

t.test('explaining changes nothing', (t) => {
  const b = bench();
  const state = (): string =>
    JSON.stringify([
      b.netlink.iptablesSave(undefined, true).replaceAll(/^#.*$/gm, ''),
      b.netlink.ipvsDests({ proto: 6, addr: 0x0a60000a, port: 80 }),
      b.netlink.conntrack(),
      b.lab.kernel.conntrack.stat,
    ]);
  const before = state();
  for (let i = 0; i < 3; i++) b.explain({ from: POD_A, fromPort: 5, to: VIP, toPort: 80, protocol: 'tcp' });
  t.equal(state(), before);
  b.lab.from('a', ip({ saddr: POD_A, daddr: VIP }, tcp({ sport: 7, dport: 80, flags: 'S' })));
  t.match(b.lab.take('b'), [{ ip: { daddr: POD_B } }], 'the round robin still begins with the newest');
  b.close();
  t.end();
});

t.test('a question that makes no sense is refused', (t) => {
  const b = bench();
  t.throws(() => b.explain({ from: 'jump', to: VIP, toPort: 80, protocol: 'tcp' }), /from: jump is not an IP address/);
  t.throws(() => b.explain({ from: POD_A, to: VIP, protocol: 'udp' }), /udp needs a port/);
  b.close();
  t.end();
});

t.test('the text has the flow first, numbered stages with rule and change, the reply and one closing line', (t) => {
  const b = bench({}, [POD_B]);
  t.equal(
    formatTrace(b.explain({ from: POD_A, fromPort: 40000, to: VIP, toPort: 80, protocol: 'tcp' })),
    `Flow: 10.244.0.5:40000 > 10.96.0.10:80 tcp

node-1: request
---------------
 1. RECEIVE: in by vetha
 2. PREROUTING: -t nat -A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
    jump KUBE-SERVICES
 3. PREROUTING: -t nat -A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODE-PORT
    jump KUBE-NODE-PORT
 4. PREROUTING: -t nat -A KUBE-SERVICES -m set --match-set KUBE-CLUSTER-IP dst,dst -j ACCEPT
    ACCEPT
 5. ROUTING: local 10.96.0.10 dev kube-ipvs0 table local
    for this host
 6. INPUT: -t filter -A INPUT -m comment --comment "kubernetes ipvs access filter" -j KUBE-IPVS-FILTER
    jump KUBE-IPVS-FILTER
 7. INPUT: -t filter -A KUBE-IPVS-FILTER -m set --match-set KUBE-CLUSTER-IP dst,dst -j RETURN
    return
 8. INPUT: -t filter -A INPUT -m comment --comment "kube-proxy firewall rules" -j KUBE-PROXY-FIREWALL
    jump KUBE-PROXY-FIREWALL
 9. INPUT: -t filter -A INPUT -m comment --comment "kubernetes health check rules" -j KUBE-NODE-PORT
    jump KUBE-NODE-PORT
10. IPVS: -A -t 10.96.0.10:80 -s rr
    -a -t 10.96.0.10:80 -r 10.244.0.6:8080 -m -w 1
    rr picks the one real server it can: to 10.244.0.6:8080
     -> 10.244.0.5:40000 > 10.244.0.6:8080 tcp
11. ROUTING: 10.244.0.6 dev vethb scope link
    out of vethb
12. OUTPUT: -t filter -A OUTPUT -m comment --comment "kubernetes ipvs access filter" -j KUBE-IPVS-OUT-FILTER
    jump KUBE-IPVS-OUT-FILTER
13. POSTROUTING: -t nat -A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING
    jump KUBE-POSTROUTING
14. POSTROUTING: -t nat -A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
    return
15. TRANSMIT: out of vethb

node-1: reply
-------------
 1. RECEIVE: in by vethb
 2. ROUTING: 10.244.0.5 dev vetha scope link
    out of vetha
 3. FORWARD: -t filter -A FORWARD -m comment --comment "kube-proxy firewall rules" -j KUBE-PROXY-FIREWALL
    jump KUBE-PROXY-FIREWALL
 4. FORWARD: -t filter -A FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD
    jump KUBE-FORWARD
 5. FORWARD: -t filter -A KUBE-FORWARD -m comment --comment "kubernetes forwarding conntrack rule" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
    ACCEPT
 6. IPVS: reply of -a -t 10.96.0.10:80 -r 10.244.0.6:8080 -m -w 1
    source becomes 10.96.0.10:80
     -> 10.96.0.10:80 > 10.244.0.5:40000 tcp
 7. TRANSMIT: out of vetha

Final: DNAT to 10.244.0.6:8080 (100 %); virtual server 10.96.0.10:80/tcp: rr picks the one real server it can; the source is kept.
`,
  );
  b.close();
  t.end();
});
