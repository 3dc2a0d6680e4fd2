// kube-proxy's IPVS mode over a real kernel: what it programs, in the real tools' own formats, and how it changes it.
import t from 'tap';
import type { ServiceSpec } from '../../../src/api/core-v1.ts';
import { ipv4 } from '../../../src/tcpip-ts/wire/address.ts';
import { Lab, NODE_IP, POD_A, POD_B } from '../../support/kernel.ts';
import { ip, tcp, udp } from '../../support/packet.ts';
import { ready, ServiceBench } from '../../support/services.ts';

const VIP = '10.96.0.10';
const WEB: ServiceSpec = { clusterIP: VIP, ports: [{ port: 80, protocol: 'TCP' }] };
const SLICE = [{ port: 8080, protocol: 'TCP' as const }];
const KEY = { proto: 6, addr: ipv4(VIP), port: 80 };

function bench(config?: Record<string, unknown>): ServiceBench {
  const lab = new Lab();
  lab.pod('a', POD_A);
  lab.pod('b', POD_B);
  lab.uplink();
  return new ServiceBench(config, lab);
}

/** Without the comment lines, which hold the time. */
function rules(b: ServiceBench): string[] {
  return b.netlink
    .iptablesSave()
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'));
}

function open(b: ServiceBench, sport: number): void {
  b.lab.from('a', ip({ saddr: POD_A, daddr: VIP }, tcp({ sport, dport: 80, flags: 'S' })));
}

t.test('a Service is a virtual server, an address on kube-ipvs0 and entries in ipsets', (t) => {
  const b = bench();
  b.service('web', WEB);
  b.slice('web', SLICE, [ready(POD_A), ready(POD_B), ready('10.244.7.7', 'far')]);
  b.sync();
  t.equal(
    b.ipvs.save(),
    [
      '-A -t 10.96.0.10:80 -s rr',
      '-a -t 10.96.0.10:80 -r 10.244.0.5:8080 -m -w 1',
      '-a -t 10.96.0.10:80 -r 10.244.0.6:8080 -m -w 1',
      '-a -t 10.96.0.10:80 -r 10.244.7.7:8080 -m -w 1',
      '',
    ].join('\n'),
  );
  t.same(
    b.netlink.addresses('kube-ipvs0').map(({ addr }) => addr),
    [ipv4(VIP)],
  );
  const held = Object.fromEntries(b.netlink.ipsets().map((s) => [s.name, s.entries.length]));
  t.match(
    held,
    { 'KUBE-CLUSTER-IP': 1, 'KUBE-IPVS-IPS': 1, 'KUBE-LOOP-BACK': 2, 'KUBE-NODE-PORT-TCP': 0 },
    'loop-back for local endpoints',
  );
  t.match(b.netlink.ipsetSave(), /add KUBE-CLUSTER-IP 10\.96\.0\.10,tcp:80/);
  b.close();
  t.end();
});

t.test("the iptables rules are kube-proxy's", (t) => {
  const b = bench();
  b.service('web', WEB);
  b.slice('web', SLICE, [ready(POD_A)]);
  b.sync();
  t.matchOnlyStrict(
    rules(b).filter((line) => line.startsWith('-A')),
    [
      '-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES',
      '-A OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES',
      '-A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING',
      '-A KUBE-LOAD-BALANCER -j KUBE-MARK-MASQ',
      '-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000',
      '-A KUBE-POSTROUTING -m comment --comment "Kubernetes endpoints dst ip:port, source ip for solving hairpin purpose" -m set --match-set KUBE-LOOP-BACK dst,dst,src -j MASQUERADE',
      '-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN',
      '-A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0',
      '-A KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully',
      '-A KUBE-SERVICES -s 127.0.0.0/8 -j RETURN',
      '-A KUBE-SERVICES ! -s 10.244.0.0/16 -m comment --comment "Kubernetes service cluster ip + port for masquerade purpose" -m set --match-set KUBE-CLUSTER-IP dst,dst -j KUBE-MARK-MASQ',
      '-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODE-PORT',
      '-A KUBE-SERVICES -m set --match-set KUBE-CLUSTER-IP dst,dst -j ACCEPT',
      '-A INPUT -m comment --comment "kubernetes ipvs access filter" -j KUBE-IPVS-FILTER',
      '-A INPUT -m comment --comment "kube-proxy firewall rules" -j KUBE-PROXY-FIREWALL',
      '-A INPUT -m comment --comment "kubernetes health check rules" -j KUBE-NODE-PORT',
      '-A FORWARD -m comment --comment "kube-proxy firewall rules" -j KUBE-PROXY-FIREWALL',
      '-A FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD',
      '-A OUTPUT -m comment --comment "kubernetes ipvs access filter" -j KUBE-IPVS-OUT-FILTER',
      '-A KUBE-FORWARD -m comment --comment "kubernetes forwarding rules" -m mark --mark 0x4000/0x4000 -j ACCEPT',
      '-A KUBE-FORWARD -m comment --comment "kubernetes forwarding conntrack rule" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
      '-A KUBE-IPVS-FILTER -m set --match-set KUBE-LOAD-BALANCER dst,dst -j RETURN',
      '-A KUBE-IPVS-FILTER -m set --match-set KUBE-CLUSTER-IP dst,dst -j RETURN',
      '-A KUBE-IPVS-FILTER -m set --match-set KUBE-EXTERNAL-IP dst,dst -j RETURN',
      '-A KUBE-IPVS-FILTER -m set --match-set KUBE-EXTERNAL-IP-LOCAL dst,dst -j RETURN',
      '-A KUBE-IPVS-FILTER -m set --match-set KUBE-HEALTH-CHECK-NODE-PORT dst -j RETURN',
      '-A KUBE-IPVS-FILTER -m conntrack --ctstate NEW -m set --match-set KUBE-IPVS-IPS dst -j REJECT --reject-with icmp-port-unreachable',
      '-A KUBE-NODE-PORT -m comment --comment "Kubernetes health check node port" -m set --match-set KUBE-HEALTH-CHECK-NODE-PORT dst -j ACCEPT',
      '-A KUBE-SOURCE-RANGES-FIREWALL -j DROP',
    ],
  );
  b.close();
  t.end();
});

t.test('the number of rules does not depend on the number of Services', (t) => {
  const b = bench();
  b.service('web', WEB);
  b.slice('web', SLICE, [ready(POD_A)]);
  b.sync();
  const before = rules(b).length;
  for (let i = 1; i <= 100; i++) b.service(`s${i}`, { clusterIP: `10.96.1.${i}`, ports: [{ port: 80 }] });
  t.equal(b.sync(), 400, 'an address, a virtual server and two set entries each');
  t.equal(rules(b).length, before);
  b.close();
  t.end();
});

t.test('a sync without changes commits nothing', (t) => {
  const b = bench();
  b.service('web', WEB);
  b.slice('web', SLICE, [ready(POD_A)]);
  t.ok(b.sync() > 0);
  t.equal(b.sync(), 0);
  b.close();
  t.end();
});

t.test(
  'an idle endpoint that goes is deleted at once, one with connections gets weight 0 and goes when they end',
  (t) => {
    const b = bench();
    b.service('web', WEB);
    b.slice('web', SLICE, [ready(POD_A), ready(POD_B)]);
    b.sync();
    open(b, 1000); // the newest: b
    b.slice('web', SLICE, [ready(POD_A)]);
    b.sync();
    t.match(b.netlink.ipvsDests(KEY), [
      { addr: ipv4(POD_B), weight: 0, activeConns: 1 },
      { addr: ipv4(POD_A), weight: 1 },
    ]);
    open(b, 1001);
    t.match(b.netlink.ipvsDests(KEY)[1], { addr: ipv4(POD_A), activeConns: 1 }, 'new connections go elsewhere');
    b.lab.clock.advance(61e6); // SYN_RECV lasts 60 s
    b.lab.clock.advance(60e6);
    t.match(b.netlink.ipvsDests(KEY), [{ addr: ipv4(POD_A) }]);
    t.equal(b.netlink.ipvsDests(KEY).length, 1);
    b.slice('web', SLICE, []);
    b.sync();
    t.equal(b.netlink.ipvsDests(KEY).length, 0, 'no connection, no grace');
    b.close();
    t.end();
  },
);

t.test('an endpoint that comes back while terminating is added anew with weight 1', (t) => {
  const b = bench();
  b.service('web', WEB);
  b.slice('web', SLICE, [ready(POD_A), ready(POD_B)]);
  b.sync();
  open(b, 1000);
  b.slice('web', SLICE, [ready(POD_A)]);
  b.sync();
  b.slice('web', SLICE, [ready(POD_A), ready(POD_B)]);
  b.sync();
  t.match(b.netlink.ipvsDests(KEY), [
    { addr: ipv4(POD_B), weight: 1, activeConns: 1 },
    { addr: ipv4(POD_A), weight: 1 },
  ]);
  b.lab.clock.advance(180e6);
  t.equal(b.netlink.ipvsDests(KEY).length, 2, 'and stays');
  b.close();
  t.end();
});

t.test('a deleted Service leaves nothing', (t) => {
  const b = bench();
  b.service('web', WEB);
  b.slice('web', SLICE, [ready(POD_A)]);
  b.sync();
  b.deleteService('web', WEB);
  b.sync();
  t.same(b.netlink.ipvsServices(), []);
  t.same(b.netlink.addresses('kube-ipvs0'), []);
  t.ok(b.netlink.ipsets().every((s) => s.entries.length === 0));
  b.close();
  t.end();
});

t.test('two ports of one Service share its address until the last goes', (t) => {
  const b = bench();
  const both: ServiceSpec = {
    clusterIP: VIP,
    ports: [
      { name: 'a', port: 80 },
      { name: 'b', port: 81 },
    ],
  };
  b.service('web', both);
  b.sync();
  b.deleteService('web', { ...both, ports: [{ name: 'a', port: 80 }] });
  b.sync();
  t.equal(b.netlink.addresses('kube-ipvs0').length, 1);
  t.match(b.netlink.ipvsServices(), [{ port: 81 }]);
  b.close();
  t.end();
});

t.test('session affinity is persistence', (t) => {
  const b = bench();
  b.service('web', {
    ...WEB,
    sessionAffinity: 'ClientIP',
    sessionAffinityConfig: { clientIP: { timeoutSeconds: 90 } },
  });
  b.sync();
  t.match(b.ipvs.save(), /^-A -t 10\.96\.0\.10:80 -s rr -p 90$/m);
  b.service('web', WEB);
  b.sync();
  t.match(b.ipvs.save(), /^-A -t 10\.96\.0\.10:80 -s rr$/m, 'and is taken away again');
  b.close();
  t.end();
});

t.test(
  'NodePorts are virtual servers on the addresses of the Node but loopback; external addresses of the Node stay its own',
  (t) => {
    const b = bench();
    b.service(
      'web',
      {
        clusterIP: VIP,
        type: 'LoadBalancer',
        externalIPs: [NODE_IP, '203.0.113.9'],
        ports: [{ port: 80, nodePort: 30080 }],
      },
      ['198.51.100.7'],
    );
    b.slice('web', SLICE, [ready(POD_A)]);
    b.sync();
    t.same(
      b.ipvs
        .save()
        .split('\n')
        .filter((line) => line.startsWith('-A')),
      [
        '-A -t 10.96.0.10:80 -s rr',
        '-A -t 10.244.0.1:30080 -s rr',
        '-A -t 192.168.49.2:80 -s rr',
        '-A -t 192.168.49.2:30080 -s rr',
        '-A -t 198.51.100.7:80 -s rr',
        '-A -t 203.0.113.9:80 -s rr',
      ],
    );
    t.same(
      b.netlink
        .addresses('kube-ipvs0')
        .map(({ addr }) => addr)
        .sort(),
      [ipv4(VIP), ipv4('198.51.100.7'), ipv4('203.0.113.9')].sort(),
    );
    b.close();
    t.end();
  },
);

t.test('scheduler mh hashes the port too, as kube-proxy sets it', (t) => {
  const b = bench({ ipvs: { scheduler: 'mh' } });
  b.service('web', WEB);
  b.sync();
  t.match(b.ipvs.save(), /^-A -t 10\.96\.0\.10:80 -s mh -b mh-port$/m);
  b.close();
  t.end();
});

t.test('a Local policy without local endpoints falls back to all of them', (t) => {
  const b = bench();
  b.service('web', { ...WEB, internalTrafficPolicy: 'Local' });
  b.slice('web', SLICE, [ready(POD_A), ready('10.244.7.7', 'far')]);
  b.sync();
  t.equal(b.netlink.ipvsDests(KEY).length, 1);
  b.service('ext', {
    clusterIP: '10.96.0.11',
    type: 'NodePort',
    externalTrafficPolicy: 'Local',
    ports: [{ port: 80, nodePort: 30081 }],
  });
  b.slice('ext', SLICE, [ready('10.244.7.7', 'far')]);
  b.sync();
  t.match(b.netlink.ipvsDests({ proto: 6, addr: ipv4(NODE_IP), port: 30081 }), [{ addr: ipv4('10.244.7.7') }]);
  b.close();
  t.end();
});

t.test('the Node itself does not reach a load balancer whose source ranges leave it out', (t) => {
  const b = bench();
  const lb = '203.0.113.80';
  const closed: ServiceSpec = { ...WEB, type: 'LoadBalancer', loadBalancerSourceRanges: ['10.244.0.0/16'] };
  const outFilter = (): string[] => rules(b).filter((line) => line.startsWith('-A KUBE-IPVS-OUT-FILTER'));
  /** The Node's own sockets take the address that they send to for their own: it is bound here. */
  const reaches = (sport: number, saddr = lb): boolean => {
    b.lab.send(ip({ saddr, daddr: lb }, tcp({ sport, dport: 80, flags: 'S' })));
    const passed = b.lab.take('a').length > 0;
    const { verdict } = b.explain({ from: saddr, to: lb, toPort: 80, protocol: 'tcp' });
    t.equal(verdict, passed ? 'DNAT' : 'DROP', 'as foretold');
    return passed;
  };
  b.slice('web', SLICE, [ready(POD_A)]);
  b.service('web', closed, [lb]);
  b.sync();
  t.same(outFilter(), [`-A KUBE-IPVS-OUT-FILTER -s ${lb}/32 -m ipvs --vproto 6 --vaddr ${lb} --vport 80 -j DROP`]);
  t.notOk(reaches(1000));
  t.ok(reaches(1001, NODE_IP), 'bound to another address it does, as in the real one');
  b.lab.from('a', ip({ saddr: POD_A, daddr: lb }, tcp({ sport: 1002, dport: 80, flags: 'S' })));
  t.equal(b.lab.take('a').length, 1, 'those in the ranges do');
  b.service('web', { ...closed, loadBalancerSourceRanges: ['192.168.49.0/24'] }, [lb]);
  b.sync();
  t.same(outFilter(), []);
  t.ok(reaches(1003), 'let in with its own address, the Node is let in with that one, too');
  b.service('web', closed, [lb]);
  b.sync();
  t.equal(outFilter().length, 1);
  b.deleteService('web', closed);
  b.sync();
  t.same(outFilter(), []);
  b.close();
  t.end();
});

t.test('NodePorts answer on all addresses but loopback, IPv4 link-local ones included', (t) => {
  const lab = new Lab();
  lab.pod('a', POD_A);
  const device = lab.uplink();
  lab.kernel.addresses.add(device, ipv4('169.254.7.7'), 16);
  const b = new ServiceBench(undefined, lab);
  b.service('web', { ...WEB, type: 'NodePort', ports: [{ port: 80, nodePort: 30_080 }] });
  b.slice('web', SLICE, [ready(POD_A)]);
  b.sync();
  const addresses = b.netlink.ipvsServices().filter(({ port }) => port === 30_080);
  t.same(
    addresses.map(({ addr }) => addr).sort(),
    [ipv4('10.244.0.1'), ipv4('169.254.7.7'), ipv4(NODE_IP)],
    'the gateway of the Pods, too',
  );
  b.close();
  t.end();
});

t.test('flows to a UDP endpoint that went are struck from conntrack', (t) => {
  const b = bench();
  const dns: ServiceSpec = { clusterIP: VIP, ports: [{ port: 53, protocol: 'UDP' }] };
  const slice = [{ port: 53, protocol: 'UDP' as const }];
  b.service('dns', dns);
  b.slice('dns', slice, [ready(POD_B)]);
  b.sync();
  b.lab.from('a', ip({ saddr: POD_A, daddr: VIP }, udp({ sport: 4000, dport: 53 }, 'q')));
  t.equal(b.netlink.conntrack({ proto: 17 }).length, 1);
  b.slice('dns', slice, []);
  b.sync();
  t.equal(b.netlink.conntrack({ proto: 17 }).length, 0);
  b.close();
  t.end();
});

t.test('a proxier that starts over a programmed kernel adopts what fits and removes the rest', (t) => {
  const b = bench();
  b.service('web', WEB);
  b.slice('web', SLICE, [ready(POD_A)]);
  b.sync();
  const other = new ServiceBench({ clusterCIDR: '10.244.0.0/16' }, b.lab);
  t.teardown(() => b.lab.close());
  // The second bench has its own Ipvs; give it the first one's leftovers by hand.
  other.ipvs.addService({ ...KEY, scheduler: 'rr', flags: 0, timeoutS: 0, netmask: 0xffffffff });
  other.ipvs.addDest(KEY, { addr: ipv4(POD_A), port: 8080, weight: 0 });
  other.ipvs.addService({ ...KEY, port: 9999, scheduler: 'rr', flags: 0, timeoutS: 0, netmask: 0xffffffff });
  other.service('web', WEB);
  other.slice('web', SLICE, [ready(POD_A)]);
  other.sync();
  t.equal(other.ipvs.save(), '-A -t 10.96.0.10:80 -s rr\n-a -t 10.96.0.10:80 -r 10.244.0.5:8080 -m -w 1\n');
  t.equal(other.netlink.addresses('kube-ipvs0').length, 1);
  t.end();
});

t.test('what somebody else took away is there again after a sync that failed for that', (t) => {
  const b = bench();
  b.service('web', WEB);
  b.slice('web', SLICE, [ready(POD_A), ready(POD_B)]);
  b.sync();
  b.ipvs.flush();
  b.slice('web', SLICE, [ready(POD_B)]);
  t.throws(() => b.sync(), { code: 'ESRCH' });
  b.sync();
  t.equal(b.ipvs.save(), '-A -t 10.96.0.10:80 -s rr\n-a -t 10.96.0.10:80 -r 10.244.0.6:8080 -m -w 1\n');
  b.close();
  t.end();
});

t.test('cleanup takes everything out again', (t) => {
  const b = bench();
  b.service('web', { ...WEB, type: 'NodePort', ports: [{ port: 80, nodePort: 30080 }] });
  b.slice('web', SLICE, [ready(POD_A)]);
  b.sync();
  b.proxier.cleanup();
  t.same(b.netlink.ipvsServices(), []);
  t.same(b.netlink.ipsets(), []);
  t.same(rules(b), []);
  t.notOk(b.netlink.links().some((link) => link.name === 'kube-ipvs0'));
  t.ok(b.sync() > 0, 'and a later sync puts it back');
  t.match(b.ipvs.save(), /-A -t 10\.96\.0\.10:80 -s rr/);
  b.close();
  t.end();
});
