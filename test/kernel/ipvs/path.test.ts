// IPVS on the whole path, as kube-proxy sets it up: Pods, the Node itself and someone outside as clients.
import t, { type Test } from 'tap';
import { GATEWAY, Lab, NODE_IP, POD_A, POD_B } from '../../support/kernel.ts';
import { icmp, ip, type Parsed, parse, tcp, udp } from '../../support/packet.ts';
import { NODE_NAME, ready, ServiceBench } from '../../support/services.ts';

const VIP = '10.96.0.10';

/** Pods a and b, an uplink, and Service 10.96.0.10:80/TCP and 53/UDP with the given endpoints. */
function bench(endpoints: readonly string[], config?: Record<string, unknown>): ServiceBench {
  const lab = new Lab();
  lab.pod('a', POD_A);
  lab.pod('b', POD_B);
  lab.uplink();
  const b = new ServiceBench(config, lab);
  const ports = [
    { name: 'http', port: 80, protocol: 'TCP' as const },
    { name: 'dns', port: 53, protocol: 'UDP' as const },
  ];
  b.service('web', { clusterIP: VIP, ports });
  b.slice(
    'web',
    [
      { name: 'http', port: 8080, protocol: 'TCP' },
      { name: 'dns', port: 5353, protocol: 'UDP' },
    ],
    endpoints.map((address) => ready(address)),
  );
  b.sync();
  return b;
}

function done(t: Test, b: ServiceBench): void {
  t.same(b.lab.faults, [], 'every packet sent is sound');
  const { pool } = b.lab;
  b.close();
  b.lab.settle();
  t.equal(pool.available, pool.size, 'every skb is given back');
  t.end();
}

t.test('a SYN to a ClusterIP reaches an endpoint, and its answer comes from the ClusterIP', (t) => {
  const b = bench([POD_B]);
  b.lab.from('a', ip({ saddr: POD_A, daddr: VIP }, tcp({ sport: 1234, dport: 80, flags: 'S' })));
  t.match(b.lab.take('b'), [
    { ip: { saddr: POD_A, daddr: POD_B, ttl: 63 }, tcp: { sport: 1234, dport: 8080, flags: 'S' } },
  ]);
  b.lab.from('b', ip({ saddr: POD_B, daddr: POD_A }, tcp({ sport: 8080, dport: 1234, flags: 'SA' })));
  t.match(b.lab.take('a'), [
    { ip: { saddr: VIP, daddr: POD_A, ttl: 63 }, tcp: { sport: 80, dport: 1234, flags: 'SA' } },
  ]);
  t.match(b.netlink.conntrack({ proto: 6 }), [
    { original: { daddr: 0x0a60000a, dport: 80 }, reply: { saddr: 0x0af40006, sport: 8080 } },
  ]);
  done(t, b);
});

t.test('UDP goes the same way', (t) => {
  const b = bench([POD_B]);
  b.lab.from('a', ip({ saddr: POD_A, daddr: VIP }, udp({ sport: 4000, dport: 53 }, 'query')));
  t.match(b.lab.take('b'), [{ ip: { saddr: POD_A, daddr: POD_B }, udp: { sport: 4000, dport: 5353 } }]);
  b.lab.from('b', ip({ saddr: POD_B, daddr: POD_A }, udp({ sport: 5353, dport: 4000 }, 'answer')));
  t.match(b.lab.take('a'), [{ ip: { saddr: VIP }, udp: { sport: 53, dport: 4000 } }]);
  done(t, b);
});

t.test('a Pod that meets itself is masqueraded, and its answer finds back', (t) => {
  const b = bench([POD_A]);
  b.lab.from('a', ip({ saddr: POD_A, daddr: VIP }, tcp({ sport: 1234, dport: 80, flags: 'S' })));
  const [syn] = b.lab.take('a') as [Parsed];
  t.match(syn, { ip: { saddr: GATEWAY, daddr: POD_A }, tcp: { dport: 8080, flags: 'S' } }, 'KUBE-LOOP-BACK');
  const port = syn.tcp!.sport;
  b.lab.from('a', ip({ saddr: POD_A, daddr: GATEWAY }, tcp({ sport: 8080, dport: port, flags: 'SA' })));
  t.match(b.lab.take('a'), [{ ip: { saddr: VIP, daddr: POD_A }, tcp: { sport: 80, dport: 1234, flags: 'SA' } }]);
  b.lab.from('a', ip({ saddr: POD_A, daddr: VIP }, tcp({ sport: 1234, dport: 80, flags: 'A', ack: 1 })));
  t.match(b.lab.take('a'), [{ ip: { saddr: GATEWAY, daddr: POD_A }, tcp: { sport: port, dport: 8080, flags: 'A' } }]);
  done(t, b);
});

t.test('without endpoints TCP and UDP are refused with ICMP port unreachable from the ClusterIP', (t) => {
  const b = bench([]);
  b.lab.from('a', ip({ saddr: POD_A, daddr: VIP }, tcp({ sport: 1234, dport: 80, flags: 'S' })));
  b.lab.from('a', ip({ saddr: POD_A, daddr: VIP }, udp({ sport: 1234, dport: 53 }, 'x')));
  t.match(b.lab.take('a'), [
    { ip: { saddr: VIP, daddr: POD_A }, icmp: { type: 3, code: 3 } },
    { ip: { saddr: VIP, daddr: POD_A }, icmp: { type: 3, code: 3 } },
  ]);
  t.match(b.lab.kernel.drops.snapshot(), { IPVS_NO_DEST: 2 });
  done(t, b);
});

t.test(
  'a port of a ClusterIP that is no Service port is rejected before it reaches the Node, and so is a ping',
  (t) => {
    const b = bench([POD_B]);
    b.lab.from('a', ip({ saddr: POD_A, daddr: VIP }, tcp({ sport: 1234, dport: 22, flags: 'S' })));
    b.lab.from('a', ip({ saddr: POD_A, daddr: VIP }, icmp({ type: 8, id: 1, seq: 1 }, 'ping')));
    t.match(b.lab.take('a'), [{ icmp: { type: 3, code: 3 } }, { icmp: { type: 3, code: 3 } }]);
    t.same(b.lab.local, []);
    done(t, b);
  },
);

t.test("the Node's own connection is masqueraded to its address on the way out, and answered by the ClusterIP", (t) => {
  const b = bench([POD_B]);
  b.lab.send(ip({ saddr: NODE_IP, daddr: VIP }, tcp({ sport: 5000, dport: 80, flags: 'S' })));
  const [syn] = b.lab.take('b') as [Parsed];
  t.match(syn, { ip: { saddr: GATEWAY, daddr: POD_B }, tcp: { dport: 8080, flags: 'S' } });
  b.lab.from('b', ip({ saddr: POD_B, daddr: GATEWAY }, tcp({ sport: 8080, dport: syn.tcp!.sport, flags: 'SA' })));
  t.match(
    b.lab.local.map((bytes) => parse(bytes, 'ip')),
    [{ ip: { saddr: VIP, daddr: NODE_IP }, tcp: { sport: 80, dport: 5000, flags: 'SA' } }],
  );
  done(t, b);
});

t.test('a real server on the Node itself gets the packet, and its answer comes from the ClusterIP', (t) => {
  const b = bench([NODE_IP]);
  b.lab.from('a', ip({ saddr: POD_A, daddr: VIP }, tcp({ sport: 1234, dport: 80, flags: 'S' })));
  t.match(
    b.lab.local.map((bytes) => parse(bytes, 'ip')),
    [{ ip: { saddr: POD_A, daddr: NODE_IP }, tcp: { sport: 1234, dport: 8080, flags: 'S' } }],
  );
  b.lab.send(ip({ saddr: NODE_IP, daddr: POD_A }, tcp({ sport: 8080, dport: 1234, flags: 'SA' })));
  t.match(b.lab.take('a'), [{ ip: { saddr: VIP, daddr: POD_A }, tcp: { sport: 80, dport: 1234, flags: 'SA' } }]);
  done(t, b);
});

t.test("the Node reaches a Service whose real server is the Node's own", (t) => {
  const b = bench([NODE_IP]);
  b.lab.send(ip({ saddr: NODE_IP, daddr: VIP }, tcp({ sport: 5000, dport: 80, flags: 'S' })));
  const [syn] = b.lab.local.splice(0).map((bytes) => parse(bytes, 'ip'));
  t.match(syn, { ip: { daddr: NODE_IP }, tcp: { dport: 8080, flags: 'S' } });
  const { saddr } = syn!.ip!;
  b.lab.send(ip({ saddr: NODE_IP, daddr: saddr }, tcp({ sport: 8080, dport: syn!.tcp!.sport, flags: 'SA' })));
  t.match(
    b.lab.local.map((bytes) => parse(bytes, 'ip')),
    [{ ip: { saddr: VIP, daddr: NODE_IP }, tcp: { sport: 80, dport: 5000, flags: 'SA' } }],
  );
  done(t, b);
});

t.test('a client from outside the cluster is masqueraded', (t) => {
  const b = bench([POD_B]);
  b.lab.from('net', ip({ saddr: '203.0.113.2', daddr: VIP }, tcp({ sport: 6000, dport: 80, flags: 'S' })));
  const [syn] = b.lab.take('b') as [Parsed];
  t.match(syn, { ip: { saddr: GATEWAY, daddr: POD_B }, tcp: { dport: 8080 } });
  b.lab.from('b', ip({ saddr: POD_B, daddr: GATEWAY }, tcp({ sport: 8080, dport: syn.tcp!.sport, flags: 'SA' })));
  t.match(b.lab.take('net'), [{ ip: { saddr: VIP, daddr: '203.0.113.2' }, tcp: { sport: 80, dport: 6000 } }]);
  done(t, b);
});

t.test('an error from a real server is translated back to the client', (t) => {
  const b = bench([POD_B]);
  b.lab.from('a', ip({ saddr: POD_A, daddr: VIP }, udp({ sport: 4000, dport: 53 }, 'query')));
  const [query] = b.lab.takeBytes('b');
  b.lab.from('b', ip({ saddr: POD_B, daddr: POD_A }, icmp({ type: 3, code: 3 }, query!.subarray(14))));
  const [error] = b.lab.take('a') as [Parsed];
  t.match(error, { ip: { saddr: VIP, daddr: POD_A }, icmp: { type: 3, code: 3 } });
  t.match(parse(error.payload, 'ip'), { ip: { saddr: POD_A, daddr: VIP }, udp: { sport: 4000, dport: 53 } });
  done(t, b);
});

t.test('an error from the client is translated on to the real server', (t) => {
  const b = bench([POD_B]);
  b.lab.from('a', ip({ saddr: POD_A, daddr: VIP }, udp({ sport: 4000, dport: 53 }, 'query')));
  b.lab.take('b');
  b.lab.from('b', ip({ saddr: POD_B, daddr: POD_A }, udp({ sport: 5353, dport: 4000 }, 'answer')));
  const [answer] = b.lab.takeBytes('a');
  b.lab.from('a', ip({ saddr: POD_A, daddr: VIP }, icmp({ type: 3, code: 3 }, answer!.subarray(14))));
  const [error] = b.lab.take('b') as [Parsed];
  t.match(error, { ip: { saddr: POD_A, daddr: POD_B }, icmp: { type: 3, code: 3 } });
  t.match(parse(error.payload, 'ip'), { ip: { saddr: POD_B, daddr: POD_A }, udp: { sport: 5353, dport: 4000 } });
  done(t, b);
});

t.test('a packet whose TTL ends at IPVS is answered with time exceeded about the packet as it was sent', (t) => {
  const b = bench([POD_B]);
  b.lab.from('a', ip({ saddr: POD_A, daddr: VIP, ttl: 1 }, tcp({ sport: 1234, dport: 80, flags: 'S' })));
  const [error] = b.lab.take('a') as [Parsed];
  t.match(error, { ip: { saddr: VIP, daddr: POD_A }, icmp: { type: 11, code: 0 } });
  t.match(parse(error.payload, 'ip'), { ip: { daddr: VIP }, tcp: { dport: 80 } });
  t.same(b.lab.take('b'), []);
  done(t, b);
});

t.test('a packet too big for the way to the real server, not to be fragmented, is refused with the MTU', (t) => {
  const lab = new Lab();
  lab.pod('a', POD_A, { mtu: 9000 });
  lab.pod('b', POD_B);
  const b = new ServiceBench(undefined, lab);
  b.service('web', { clusterIP: VIP, ports: [{ port: 53, protocol: 'UDP' }] });
  b.slice('web', [{ port: 53, protocol: 'UDP' }], [ready(POD_B, NODE_NAME)]);
  b.sync();
  lab.from('a', ip({ saddr: POD_A, daddr: VIP, df: true }, udp({ sport: 4000, dport: 53 }, 'x'.repeat(3000))));
  t.match(lab.take('a'), [{ icmp: { type: 3, code: 4, seq: 1500 } }]);
  done(t, b);
});

t.test('all packets of a connection are one row, counted active once', (t) => {
  const b = bench([POD_B]);
  const send = (): void =>
    b.lab.from('a', ip({ saddr: POD_A, daddr: VIP }, tcp({ sport: 1234, dport: 80, flags: 'A', ack: 1 })));
  b.lab.from('a', ip({ saddr: POD_A, daddr: VIP }, tcp({ sport: 1234, dport: 80, flags: 'S' })));
  for (let i = 0; i < 10; i++) send();
  t.equal(b.ipvs.conns.count, 1, 'one row serves them all');
  t.equal(b.ipvs.dests({ proto: 6, addr: 0x0a60000a, port: 80 })[0]!.activeConns, 1);
  b.lab.take('b');
  done(t, b);
});
