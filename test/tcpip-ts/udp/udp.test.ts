import t from 'tap';
import type { UdpError } from '../../../src/tcpip-ts/udp/udp-endpoint.ts';
import { formatIPv4, ipv4 } from '../../../src/tcpip-ts/wire/address.ts';
import { A, B, oneHost, toHost, twoHosts } from '../../support/hosts.ts';
import { faults, icmp, ip, parse, text, udp } from '../../support/packet.ts';

const FROM = { saddr: '10.0.0.2', daddr: '10.0.0.1' };
const bytes = (s: string) => new TextEncoder().encode(s);

t.test('a message arrives with its source, and the answer finds its way back', async (t) => {
  const { clock, a, b } = twoHosts();
  const server = b.udp.bind({ port: 53 });
  server.onMessage = (m, saddr, sport, daddr) => server.send(bytes(text(m).toUpperCase()), saddr, sport, daddr);
  const client = a.udp.bind();
  const got: string[] = [];
  client.onMessage = (m, saddr, sport) => got.push(`${text(m)} ${formatIPv4(saddr)}:${sport}`);
  client.send(bytes('query'), B, 53);
  client.send(bytes(''), B, 53);
  clock.advance(1000);
  t.same(got, ['QUERY 10.0.0.2:53', ' 10.0.0.2:53']);
  t.equal(a.counters.get('UdpOutDatagrams'), 2);
  t.equal(a.counters.get('UdpInDatagrams'), 2);
});

t.test('checksum rules: wrong is dropped, 0 means none, partial and verified are taken', async (t) => {
  const { clock, wire, host, pool } = oneHost();
  const free = pool.available;
  const got: string[] = [];
  host.udp.bind({ port: 7 }).onMessage = (m) => got.push(text(m));
  const send = (s: string, checksum?: number, state = 0) => {
    const fields = { sport: 1, dport: 7, ...(checksum === undefined ? {} : { checksum }) };
    wire.inject('a', toHost(ip(FROM, udp(fields, s))), (skb) => {
      skb.checksum = state;
    });
  };
  send('right');
  send('wrong', 1);
  send('none', 0);
  send('verified', 1, 1);
  send('partial', 1, 2);
  t.same(got, ['right', 'none', 'verified', 'partial']);
  t.equal(host.counters.get('UdpInCsumErrors'), 1);
  t.equal(host.counters.get('UdpInErrors'), 1);
  clock.advance(1);
  t.equal(pool.available, free);
});

t.test('lengths: too short or beyond the packet is dropped, bytes past it are ignored', async (t) => {
  const { wire, host } = oneHost();
  const got: string[] = [];
  host.udp.bind({ port: 7 }).onMessage = (m) => got.push(text(m));
  for (const length of [0, 7, 14]) wire.inject('a', toHost(ip(FROM, udp({ sport: 1, dport: 7, length }, 'hello'))));
  wire.inject('a', toHost(ip({ ...FROM, proto: 17 }, new Uint8Array(7))));
  t.equal(host.counters.get('UdpInErrors'), 4);
  wire.inject('a', toHost(ip(FROM, udp({ sport: 1, dport: 7, length: 10, checksum: 0 }, 'hello'))));
  t.same(got, ['he']);
  t.same(wire.take('a'), []);
});

t.test('a closed port is answered with port unreachable quoting the datagram', async (t) => {
  const { wire, host } = oneHost();
  wire.inject('a', toHost(ip(FROM, udp({ sport: 1, dport: 9 }, 'knock'))));
  const [sent] = wire.take('a');
  t.match(parse(sent!), { ip: { daddr: '10.0.0.2', tos: 0xc0 }, icmp: { type: 3, code: 3 } });
  t.match(parse(parse(sent!).payload, 'ip'), { ip: { saddr: '10.0.0.2' }, udp: { sport: 1, dport: 9 } });
  t.same(faults(sent!), []);
  t.equal(host.counters.get('UdpNoPorts'), 1);
});

t.test('the sender hears port unreachable as ECONNREFUSED, and time exceeded with the router', async (t) => {
  const { clock, a, wire } = twoHosts();
  const errors: [number, UdpError][] = [];
  const endpoint = a.udp.bind();
  endpoint.onError = (errno, error) => errors.push([errno, error]);
  endpoint.ttl = 2;
  endpoint.send(bytes('x'), B, 33434);
  clock.advance(1000);
  t.match(errors, [[111, { reporter: B, daddr: B, dport: 33434, type: 3, code: 3, isHard: true }]]);
  const sent = wire.frames.find((f) => parse(f.bytes).udp)!.bytes;
  t.equal(parse(sent).ip!.ttl, 2);
  const exceeded = ip({ saddr: '10.0.0.254', daddr: '10.0.0.1' }, icmp({ type: 11 }, sent.subarray(14, 14 + 28)));
  wire.inject('a', toHost(exceeded));
  t.match(errors[1], [113, { reporter: ipv4('10.0.0.254'), type: 11, code: 0, isHard: false }]);
});

t.test('a connected socket hears its peer only, before others on the port', async (t) => {
  const { wire, host } = oneHost();
  const got: string[] = [];
  const any = host.udp.bind({ port: 7, addr: A });
  any.onMessage = (m) => got.push(`any ${text(m)}`);
  const connected = host.udp.bind({ port: 8 });
  connected.onMessage = (m) => got.push(`connected ${text(m)}`);
  t.equal(connected.connect(B, 1), 0);
  t.equal(connected.connect(B, 1), -106);
  t.equal(connected.localAddr, A);
  const send = (sport: number, dport: number, s: string, saddr = '10.0.0.2') =>
    wire.inject('a', toHost(ip({ ...FROM, saddr }, udp({ sport, dport }, s))));
  send(1, 8, 'peer');
  send(2, 8, 'other port');
  send(1, 8, 'other host', '10.0.0.3');
  send(1, 7, 'x');
  t.same(got, ['connected peer', 'any x']);
  t.equal(connected.send(bytes('to peer')), 0);
  t.equal(parse(wire.take('a').at(-1)!).udp!.dport, 1);
  t.equal(connected.disconnect(), 0);
  t.equal(connected.disconnect(), -107);
  t.equal(connected.send(bytes('x')), -89);
  send(2, 8, 'again');
  t.equal(got.at(-1), 'connected again');
});

t.test('binding: a taken port, an address of another host, an address of ours', async (t) => {
  const { host } = oneHost();
  const one = host.udp.bind({ port: 7, addr: A });
  t.equal(host.udp.tryBind({ port: 7 }), -98);
  t.equal(host.udp.tryBind({ port: 7, addr: A }), -98);
  t.type(host.udp.tryBind({ port: 7, addr: 0x7f000001 }), 'object');
  t.equal(host.udp.tryBind({ port: 8, addr: B }), -99);
  t.throws(() => host.udp.bind({ port: 7 }), { code: 'EADDRINUSE', message: 'bind EADDRINUSE 0.0.0.0:7' });
  one.close();
  one.close();
  t.equal(host.udp.tryBind({ port: 7 }), -98, 'still the loopback one');
  t.type(host.udp.tryBind({ port: 7, addr: A }), 'object');
});

t.test('ephemeral ports lie in 32768..60999, are random, and differ', async (t) => {
  const { host } = oneHost();
  const ports = Array.from({ length: 500 }, () => host.udp.bind().port);
  t.ok(ports.every((p) => p >= 32768 && p <= 60999));
  t.equal(new Set(ports).size, 500);
  const steps = ports.slice(1).map((p, i) => p - ports[i]!);
  t.ok(new Set(steps).size > 450, 'no fixed step');
  const lows = ports.filter((p) => p < 46884).length;
  t.ok(lows > 180 && lows < 320, 'from the whole range');
});

t.test('when no ephemeral port is left, binding fails', async (t) => {
  const { host } = oneHost();
  for (let i = 0; i < 28232; i++) host.udp.bind();
  t.equal(host.udp.tryBind(), -98);
});

t.test('the receive queue is bounded and counts what it loses', async (t) => {
  const { wire, host } = oneHost();
  const endpoint = host.udp.bind({ port: 7 });
  endpoint.receiveBuffer = 3000;
  let readable = 0;
  endpoint.onReadable = () => readable++;
  for (let i = 0; i < 10; i++) wire.inject('a', toHost(ip(FROM, udp({ sport: 1, dport: 7 }, String(i).repeat(744)))));
  t.equal(readable, 3);
  t.equal(host.counters.get('UdpRcvbufErrors'), 7);
  t.match(endpoint.receive(), { saddr: B, sport: 1, daddr: A, ttl: 64 });
  endpoint.receive();
  t.equal(text(endpoint.receive()!.bytes)[0], '2');
  t.equal(endpoint.receive(), undefined);
  wire.inject('a', toHost(ip(FROM, udp({ sport: 1, dport: 7 }, 'room again'))));
  t.equal(text(endpoint.receive()!.bytes), 'room again');
});

t.test('a super-datagram arrives as the messages it was made of', async (t) => {
  const { wire, host } = oneHost();
  const got: string[] = [];
  host.udp.bind({ port: 7 }).onMessage = (m) => got.push(text(m));
  wire.inject('a', toHost(ip(FROM, udp({ sport: 1, dport: 7 }, 'aaabbbccd'))), (skb) => {
    skb.checksum = 2;
    skb.gsoType = 5;
    skb.gsoSize = 3;
  });
  t.same(got, ['aaa', 'bbb', 'ccd']);
});

t.test('a broadcast needs leave, and reaches all sockets of the port at the other end', async (t) => {
  const { clock, wire, a, b } = twoHosts();
  const got: string[] = [];
  b.udp.bind({ port: 67 }).onMessage = (m, _s, _p, daddr) => got.push(`${text(m)} ${formatIPv4(daddr)}`);
  const endpoint = a.udp.bind({ port: 68 });
  t.equal(endpoint.send(bytes('x'), 0xffffffff, 67), -13);
  endpoint.broadcast = true;
  t.equal(endpoint.send(bytes('one'), 0xffffffff, 67), 0);
  t.equal(endpoint.send(bytes('two'), ipv4('10.0.0.255'), 67), 0);
  clock.advance(1);
  t.same(got, ['one 255.255.255.255', 'two 10.0.0.255']);
  t.ok(wire.frames.every((f) => parse(f.bytes).eth!.dst === 'ff:ff:ff:ff:ff:ff'));
});

t.test('sending fails plainly: too long, no route, closed, pool exhausted', async (t) => {
  const { clock, wire, host, pool } = oneHost();
  const endpoint = host.udp.bind();
  t.equal(endpoint.send(new Uint8Array(65508), B, 7), -90);
  t.equal(endpoint.send(bytes('x'), ipv4('8.8.8.8'), 7), -101);
  t.equal(endpoint.send(bytes('x'), B, 0), -89);
  t.equal(endpoint.connect(ipv4('8.8.8.8'), 7), -101);
  const held = [];
  for (let skb = pool.alloc(); skb; skb = pool.alloc()) held.push(skb);
  t.equal(endpoint.send(bytes('x'), B, 7), -105);
  t.equal(host.counters.get('UdpSndbufErrors'), 1);
  for (const skb of held) skb.free();
  endpoint.close();
  t.equal(endpoint.send(bytes('x'), B, 7), -9);
  t.equal(endpoint.connect(B, 7), -9);
  clock.advance(1);
  t.same(wire.take('a'), []);
});

t.test('closing a socket from its own callback is safe', async (t) => {
  const { wire, host, pool, clock } = oneHost();
  const free = pool.available;
  const endpoint = host.udp.bind({ port: 7 });
  endpoint.onMessage = () => endpoint.close();
  wire.inject('a', toHost(ip(FROM, udp({ sport: 1, dport: 7 }, 'aabb'))), (skb) => {
    skb.checksum = 2;
    skb.gsoType = 5;
    skb.gsoSize = 2;
  });
  t.ok(endpoint.isClosed);
  clock.advance(1);
  t.equal(pool.available, free);
});
