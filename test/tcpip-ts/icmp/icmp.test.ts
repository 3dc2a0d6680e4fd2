import t from 'tap';
import type { PingError, PingReply } from '../../../src/tcpip-ts/icmp/ping.ts';
import { formatIPv4, ipv4 } from '../../../src/tcpip-ts/wire/address.ts';
import { A, B, oneHost, toHost, twoHosts } from '../../support/hosts.ts';
import { faults, icmp, ip, parse, text, udp } from '../../support/packet.ts';

const FROM = { saddr: '10.0.0.2', daddr: '10.0.0.1' };

t.test('echo requests are answered with the same identifier, sequence and data', async (t) => {
  const { wire } = oneHost();
  for (const data of ['', 'a', 'abcdefgh'.repeat(100)]) {
    wire.inject('a', toHost(ip({ ...FROM, ttl: 3, tos: 0x10 }, icmp({ type: 8, id: 77, seq: 0xffff }, data))));
    const [reply] = wire.take('a');
    t.match(parse(reply!), {
      ip: { saddr: '10.0.0.1', daddr: '10.0.0.2', ttl: 64, tos: 0x10 },
      icmp: { type: 0, code: 0, id: 77, seq: 0xffff },
    });
    t.equal(text(parse(reply!).payload), data);
    t.same(faults(reply!), []);
  }
});

t.test('a ping of 4000 bytes comes back whole, in fragments both ways', async (t) => {
  const { clock, wire, a } = twoHosts();
  const replies: PingReply[] = [];
  const ping = a.icmp.openPing();
  ping.onReply = (reply) => replies.push(reply);
  const payload = Uint8Array.from({ length: 4000 }, (_, i) => i & 255);
  t.equal(ping.send({ daddr: B, seq: 5, payload }), 0);
  clock.advance(1000);
  t.equal(replies.length, 1);
  t.match(replies[0], { saddr: B, seq: 5, ttl: 64 });
  t.equal(Buffer.compare(replies[0]!.payload, payload), 0);
  t.equal(wire.frames.filter((f) => parse(f.bytes).ip).length, 6);
});

t.test('bad checksums, short messages and other types are not answered', async (t) => {
  const { wire, host, clock, pool } = oneHost();
  const free = pool.available;
  wire.inject('a', toHost(ip(FROM, icmp({ type: 8, checksum: 1 }))));
  wire.inject('a', toHost(ip({ ...FROM, proto: 1 }, new Uint8Array(7))));
  for (const type of [1, 2, 4, 5, 6, 13, 15, 17, 40, 255]) wire.inject('a', toHost(ip(FROM, icmp({ type }))));
  t.same(wire.take('a'), []);
  t.equal(host.counters.get('IcmpInCsumErrors'), 1);
  t.equal(host.counters.get('IcmpInErrors'), 2);
  t.equal(host.counters.get('IcmpInRedirects'), 1);
  clock.advance(1);
  t.equal(pool.available, free);
});

t.test('ping sockets hear their own replies only, and errors with the reporter', async (t) => {
  const { wire, host } = oneHost();
  host.addRoute(0, 0, B, 1);
  const one = host.icmp.openPing();
  const two = host.icmp.openPing();
  t.not(one.id, two.id);
  const heard: string[] = [];
  one.onReply = (r) => heard.push(`one ${r.seq}`);
  two.onReply = (r) => heard.push(`two ${r.seq}`);
  const errors: PingError[] = [];
  one.onError = (e) => errors.push(e);
  wire.inject('a', toHost(ip(FROM, icmp({ type: 0, id: two.id, seq: 9 }))));
  t.same(heard, ['two 9']);
  one.send({ daddr: ipv4('8.8.8.8'), seq: 3, ttl: 1, payload: new Uint8Array(56) });
  const [sent] = wire.take('a');
  t.match(parse(sent!), { ip: { ttl: 1, daddr: '8.8.8.8' }, icmp: { type: 8, id: one.id, seq: 3 } });
  const quote = sent!.subarray(14, 14 + 28);
  wire.inject('a', toHost(ip({ saddr: '10.0.0.254', daddr: '10.0.0.1' }, icmp({ type: 11 }, quote))));
  t.same(errors, [{ reporter: ipv4('10.0.0.254'), daddr: ipv4('8.8.8.8'), seq: 3, type: 11, code: 0, mtu: 0 }]);
  one.close();
  one.close();
  t.equal(one.send({ daddr: B, seq: 1 }), -9);
  wire.inject('a', toHost(ip(FROM, icmp({ type: 0, id: one.id, seq: 9 }))));
  t.same(heard, ['two 9']);
});

t.test('a ping to a silent neighbour is reported by ourselves as host unreachable', async (t) => {
  const { clock, host } = oneHost();
  const errors: PingError[] = [];
  const ping = host.icmp.openPing();
  ping.onError = (e) => errors.push(e);
  ping.send({ daddr: ipv4('10.0.0.77'), seq: 1 });
  clock.advance(4e6);
  t.match(errors, [{ reporter: A, type: 3, code: 1, seq: 1 }]);
});

t.test('a chosen identifier is unique', async (t) => {
  const { host } = oneHost();
  const ping = host.icmp.openPing(5);
  t.equal(ping.id, 5);
  t.throws(() => host.icmp.openPing(5), /in use/);
  ping.close();
  host.icmp.openPing(5);
});

t.test('ping to oneself', async (t) => {
  const { clock, host } = oneHost();
  const from: string[] = [];
  const ping = host.icmp.openPing();
  ping.onReply = (r) => from.push(formatIPv4(r.saddr));
  ping.send({ daddr: A, seq: 1 });
  ping.send({ daddr: 0x7f000001, seq: 2 });
  clock.advance(1);
  t.same(from, ['10.0.0.1', '127.0.0.1']);
});

t.test('errors are limited: a burst of 6 to one host then one a second, 1000 a second to all', async (t) => {
  const { clock, wire, host } = oneHost();
  host.addRoute(0, 0, B, 1);
  const closed = (saddr: string) => toHost(ip({ ...FROM, saddr }, udp({ sport: 1, dport: 9 }, 'x')));
  for (let i = 0; i < 20; i++) wire.inject('a', closed('10.0.0.2'));
  t.equal(wire.take('a').length, 6);
  t.equal(host.counters.get('IcmpOutRateLimitHost'), 14);
  clock.advance(3e6);
  for (let i = 0; i < 20; i++) wire.inject('a', closed('10.0.0.2'));
  t.equal(wire.take('a').length, 3);
  clock.advance(1e6);
  for (let i = 0; i < 100; i++) wire.inject('a', closed(`11.0.0.${i}`));
  t.equal(wire.take('a').length, 50);
  t.equal(host.counters.get('IcmpOutRateLimitGlobal'), 50);
});

t.test('no error about an error, a later fragment, or a nonsense source', async (t) => {
  const { clock, wire, host } = oneHost();
  const skbFor = (packet: Uint8Array) => {
    const skb = host.pool.alloc()!;
    skb.bytes.set(packet, skb.nh);
    skb.tail = skb.nh + packet.length;
    skb.cb0 = 2;
    return skb;
  };
  const cases: [number, Uint8Array][] = [
    [0, ip(FROM, icmp({ type: 3, code: 1 }, new Uint8Array(28)))],
    [0, ip(FROM, icmp({ type: 11 }, new Uint8Array(28)))],
    [1, ip(FROM, icmp({ type: 8 }))],
    [0, ip({ ...FROM, proto: 17, offset: 8 }, 'x')],
    [1, ip({ ...FROM, proto: 17, mf: true }, new Uint8Array(8))],
    [0, ip({ ...FROM, saddr: '0.0.0.0' }, udp({ sport: 1, dport: 2 }))],
    [0, ip({ ...FROM, saddr: '10.0.0.255' }, udp({ sport: 1, dport: 2 }))],
    [0, ip({ ...FROM, saddr: '239.0.0.1' }, udp({ sport: 1, dport: 2 }))],
  ];
  for (const [expected, packet] of cases) {
    const skb = skbFor(packet);
    host.ip.sendIcmpError(skb, 3, 1, 0);
    skb.free();
    t.equal(wire.take('a').length, expected);
    clock.advance(10e6);
  }
});

t.test('an error quotes as much as fits 576 bytes', async (t) => {
  const { wire } = oneHost();
  const packet = ip(FROM, udp({ sport: 1, dport: 9 }, new Uint8Array(1400).fill(7)));
  wire.inject('a', toHost(packet));
  const [sent] = wire.take('a');
  t.equal(parse(sent!).ip!.totalLen, 576);
  t.same(faults(sent!), []);
  t.same(parse(sent!).payload, packet.subarray(0, 548));
});

t.test('errors with unsound quotations go nowhere', async (t) => {
  const { wire, host } = oneHost();
  const heard: number[] = [];
  host.udp.bind({ port: 9 }).onError = (errno) => heard.push(errno);
  const good = ip({ saddr: '10.0.0.1', daddr: '10.0.0.2' }, udp({ sport: 9, dport: 7 }));
  for (let n = 0; n < good.length; n++)
    wire.inject('a', toHost(ip(FROM, icmp({ type: 3, code: 3 }, good.subarray(0, n)))));
  for (const first of [0x44, 0x4f, 0x65]) {
    const bad = good.slice();
    bad[0] = first;
    wire.inject('a', toHost(ip(FROM, icmp({ type: 3, code: 3 }, bad))));
  }
  const foreign = ip({ saddr: '10.0.0.9', daddr: '10.0.0.2' }, udp({ sport: 9, dport: 7 }));
  wire.inject('a', toHost(ip(FROM, icmp({ type: 3, code: 3 }, foreign))));
  t.same(heard, []);
  wire.inject('a', toHost(ip(FROM, icmp({ type: 3, code: 3 }, good))));
  t.same(heard, [111]);
});
