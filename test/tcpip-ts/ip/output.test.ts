import t from 'tap';
import { LINK_F_CSUM, LINK_F_TSO4 } from '../../../src/tcpip-ts/link.ts';
import { CHECKSUM_NONE, CHECKSUM_PARTIAL } from '../../../src/tcpip-ts/skb.ts';
import { ipv4 } from '../../../src/tcpip-ts/wire/address.ts';
import { B, oneHost, toHost, twoHosts } from '../../support/hosts.ts';
import { faults, icmp, ip, parse, tcp } from '../../support/packet.ts';
import { fc } from '../../support/property.ts';
import { Wire } from '../../support/wire.ts';

function counting(n: number): Uint8Array {
  return Uint8Array.from({ length: n }, (_, i) => (i * 7 + (i >> 8)) & 255);
}

t.test('what is larger than the MTU goes out in fragments that make the same datagram', async () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 65507 }), fc.integer({ min: 68, max: 9000 }), (length, mtu) => {
      const { clock, wire, a, b, pool } = twoHosts({ mtu, kind: 'ip', poolSize: 2048 });
      if (Math.ceil((length + 8) / ((mtu - 20) & ~7)) > 1000) return true; // more fragments than the pool has slots
      const free = pool.available;
      const got: Uint8Array[] = [];
      b.udp.bind({ port: 7 }).onMessage = (bytes) => got.push(bytes);
      const error = a.udp.bind().send(counting(length), B, 7);
      clock.advance(1000);
      return (
        error === 0 &&
        got.length === 1 &&
        Buffer.compare(got[0]!, counting(length)) === 0 &&
        wire.frames.every((f) => f.bytes.length <= mtu && faults(f.bytes, 'ip').length === 0) &&
        pool.available === free
      );
    }),
    { numRuns: 60 },
  );
});

t.test('fragments carry MF, consecutive offsets in units of 8, one identification; no DF', async (t) => {
  const { wire, host } = oneHost();
  host.udp.bind({ port: 9 }).send(counting(4000), B, 7);
  const packets = wire.take('a').map((f) => parse(f).ip!);
  t.match(packets, [
    { offset: 0, mf: true, df: false, totalLen: 1500 },
    { offset: 1480, mf: true, df: false, totalLen: 1500 },
    { offset: 2960, mf: false, df: false, totalLen: 1068 },
  ]);
  t.equal(new Set(packets.map((p) => p.id)).size, 1);
  t.equal(host.counters.get('IpFragOKs'), 1);
  t.equal(host.counters.get('IpFragCreates'), 3);
});

t.test('with don’t-fragment a datagram that does not fit is refused', async (t) => {
  const { wire, host, pool } = oneHost();
  const free = pool.available;
  const endpoint = host.udp.bind();
  endpoint.dontFragment = true;
  t.equal(endpoint.send(counting(1472), B, 7), 0);
  t.equal(parse(wire.take('a')[0]!).ip!.df, true);
  t.equal(endpoint.send(counting(1473), B, 7), -90);
  t.equal(host.counters.get('IpFragFails'), 1);
  t.equal(wire.take('a').length, 0);
  t.equal(pool.available, free - 1, 'one is on the wire');
});

t.test(
  'fragmentation needed: the path MTU is learnt for that destination, and forgotten after ten minutes',
  async (t) => {
    const { clock, wire, host } = oneHost();
    const endpoint = host.udp.bind({ port: 9 });
    const errors: number[] = [];
    endpoint.onError = (errno, e) => errors.push(errno, e.mtu);
    endpoint.send(counting(1400), B, 7);
    const [sent] = wire.take('a');
    const quote = sent!.subarray(14, 14 + 28);
    wire.inject(
      'a',
      toHost(ip({ saddr: '10.0.0.254', daddr: '10.0.0.1' }, icmp({ type: 3, code: 4, seq: 1000 }, quote))),
    );
    t.equal(host.ip.route(B)!.mtu, 1000);
    t.equal(host.ip.route(ipv4('10.0.0.3'))!.mtu, 1500);
    t.same(errors, [90, 1000]);
    endpoint.send(counting(1400), B, 7);
    t.match(
      wire.take('a').map((f) => parse(f).ip),
      [
        { totalLen: 996, mf: true },
        { totalLen: 452, mf: false },
      ],
    );
    wire.inject(
      'a',
      toHost(ip({ saddr: '10.0.0.254', daddr: '10.0.0.1' }, icmp({ type: 3, code: 4, seq: 1200 }, quote))),
    );
    t.equal(host.ip.route(B)!.mtu, 1000, 'never raised by a message');
    clock.advance(601e6);
    t.equal(host.ip.route(B)!.mtu, 1500);
  },
);

t.test(
  'a router that names no MTU lowers it to the next plateau, one that names 68 stops DF and not below 552',
  async (t) => {
    const { wire, host } = oneHost();
    const endpoint = host.udp.bind({ port: 9 });
    endpoint.send(counting(1472), B, 7);
    const quote = wire.take('a')[0]!.subarray(14, 14 + 28);
    const needed = (seq: number) =>
      wire.inject('a', toHost(ip({ saddr: '10.0.0.254', daddr: '10.0.0.1' }, icmp({ type: 3, code: 4, seq }, quote))));
    needed(0);
    t.equal(host.ip.route(B)!.mtu, 1492);
    needed(68);
    t.equal(host.ip.route(B)!.mtu, 552);
    endpoint.send(counting(100), B, 7);
    t.equal(parse(wire.take('a')[0]!).ip!.df, false);
  },
);

t.test('forged fragmentation-needed is not believed', async (t) => {
  const { wire, host } = oneHost();
  const quotes: [string, Uint8Array][] = [
    ['not from us', ip({ saddr: '10.0.0.9', daddr: '10.0.0.2', proto: 17 }, new Uint8Array(1000))],
    ['would have fitted', ip({ saddr: '10.0.0.1', daddr: '10.0.0.2', proto: 17 }, new Uint8Array(100))],
    ['a later fragment', ip({ saddr: '10.0.0.1', daddr: '10.0.0.2', proto: 17, offset: 800 }, new Uint8Array(1000))],
    ['to ourselves', ip({ saddr: '10.0.0.1', daddr: '10.0.0.1', proto: 17 }, new Uint8Array(1000))],
  ];
  for (const [what, quote] of quotes) {
    wire.inject(
      'a',
      toHost(ip({ saddr: '10.0.0.2', daddr: '10.0.0.1' }, icmp({ type: 3, code: 4, seq: 600 }, quote.subarray(0, 60)))),
    );
    t.equal(host.ip.route(B)!.mtu, 1500, what);
    t.equal(host.ip.route(ipv4('10.0.0.1'))!.mtu, 65535, what);
  }
});

t.test('the memory of path MTUs is bounded', async (t) => {
  const { wire, host } = oneHost();
  host.addRoute(0, 0, B, 1);
  for (let i = 0; i < 1000; i++) {
    const daddr = `1.2.${i >> 8}.${i & 255}`;
    const quote = ip({ saddr: '10.0.0.1', daddr, proto: 17 }, new Uint8Array(1400)).subarray(0, 60);
    wire.inject('a', toHost(ip({ saddr: '10.0.0.2', daddr: '10.0.0.1' }, icmp({ type: 3, code: 4, seq: 600 }, quote))));
  }
  t.equal(host.ip.route(ipv4('1.2.0.0'))!.mtu, 1500, 'the oldest have given way');
  t.equal(host.ip.route(ipv4('1.2.3.231'))!.mtu, 600);
});

t.test(
  'the longest prefix wins, gateways are resolved instead of destinations, without a route there is ENETUNREACH',
  async (t) => {
    const { wire, host } = oneHost({ prefixLen: 32 });
    const endpoint = host.udp.bind();
    t.equal(endpoint.send(counting(1), ipv4('10.0.0.3'), 7), -101);
    host.addRoute(B, 32, 0, 1);
    host.addRoute(0, 0, B, 1);
    host.addRoute(ipv4('10.5.0.0'), 16, ipv4('10.0.0.7'), 1);
    t.equal(endpoint.send(counting(1), ipv4('8.8.8.8'), 7), 0);
    t.match(parse(wire.take('a')[0]!), {
      eth: { dst: '02:00:00:00:00:0b' },
      ip: { saddr: '10.0.0.1', daddr: '8.8.8.8' },
    });
    endpoint.send(counting(1), ipv4('10.5.1.1'), 7);
    t.match(parse(wire.take('a')[0]!), { arp: { tpa: '10.0.0.7' } });
    t.ok(host.removeRoute(ipv4('10.5.0.0'), 16, ipv4('10.0.0.7')));
    t.notOk(host.removeRoute(ipv4('10.5.0.0'), 16, ipv4('10.0.0.7')));
    endpoint.send(counting(1), ipv4('10.5.1.1'), 7);
    t.equal(parse(wire.take('a')[0]!).eth!.dst, '02:00:00:00:00:0b');
    t.throws(() => host.addRoute(0, 0, B, 2), RangeError);
  },
);

t.test('own addresses and 127/8 loop back inside, after the sender has returned', async (t) => {
  const { clock, wire, host, pool } = oneHost();
  const free = pool.available;
  const got: string[] = [];
  const receiver = host.udp.bind({ port: 7 });
  receiver.onMessage = (bytes, saddr) => got.push(`${bytes.length} ${saddr === 0x7f000001 ? 'lo' : 'own'}`);
  const endpoint = host.udp.bind();
  endpoint.send(counting(3), ipv4('127.0.0.1'), 7);
  endpoint.send(counting(60000), ipv4('10.0.0.1'), 7);
  t.same(got, []);
  clock.advance(0);
  t.same(got, ['3 lo', '60000 own']);
  t.same(wire.take('a'), []);
  for (let i = 0; i < 300; i++) endpoint.send(counting(1), ipv4('127.0.0.1'), 7);
  t.equal(host.counters.get('IpOutDiscards') > 0, true, 'the queue is bounded');
  clock.advance(0);
  t.equal(pool.available, free);
});

t.test('a link with checksum offload gets partial sums, fragments and other links complete ones', async (t) => {
  const { wire, host } = oneHost({ features: LINK_F_CSUM });
  const endpoint = host.udp.bind();
  endpoint.send(counting(100), B, 7);
  endpoint.send(counting(2000), B, 7);
  t.same(
    wire.frames.map((f) => f.checksum),
    [CHECKSUM_PARTIAL, CHECKSUM_NONE, CHECKSUM_NONE],
  );
  const { clock, a, b, wire: wire2 } = twoHosts({ features: LINK_F_CSUM });
  const got: number[] = [];
  b.udp.bind({ port: 7 }).onMessage = (bytes) => got.push(bytes.length);
  a.udp.bind().send(counting(100), B, 7);
  clock.advance(10);
  t.same(got, [100], 'and the other end takes it');
  t.equal(wire2.frames.at(-1)!.checksum, CHECKSUM_PARTIAL);
});

t.test('a super-segment is TCP’s, and only for links that take it', async (t) => {
  const { wire, host } = oneHost({ features: LINK_F_CSUM | LINK_F_TSO4 });
  const plain = oneHost().host;
  for (const [stack, expected] of [
    [host, 0],
    [plain, -90],
  ] as const) {
    const skb = stack.ip.alloc()!;
    const segment = tcp({ sport: 1, dport: 2, flags: 'A' }, counting(5000)).bytes(1, 2);
    skb.bytes.set(segment, skb.th);
    skb.tail = skb.th + segment.length;
    skb.gsoType = 1;
    skb.gsoSize = 1448;
    t.equal(stack.ip.send(skb, 0, B, 6, 64, 0, true), expected);
  }
  t.match(wire.frames, [{ gsoSize: 1448 }]);
  t.equal(parse(wire.frames[0]!.bytes).ip!.totalLen, 5040);
  const skb = host.ip.alloc()!;
  skb.bytes.set(tcp({ sport: 1, dport: 2, flags: 'A' }).bytes(1, 2), skb.th);
  skb.tail = skb.th + 5000;
  skb.gsoType = 1;
  skb.gsoSize = 1470;
  t.equal(host.ip.send(skb, 0, B, 6, 64, 0, true), -90, 'segments beyond the MTU');
});

t.test('TCP is not sent to broadcast or multicast', async (t) => {
  const { host } = oneHost();
  for (const daddr of ['10.0.0.255', '255.255.255.255', '224.0.0.1']) {
    const skb = host.ip.alloc()!;
    skb.tail = skb.th + 20;
    t.equal(host.ip.send(skb, 0, ipv4(daddr), 6, 64, 0, true), -101);
  }
});

t.test('closing frees everything and silences the links', async (t) => {
  const { clock, wire, host, pool } = oneHost();
  const endpoint = host.udp.bind({ port: 7 });
  endpoint.send(counting(1), ipv4('10.0.0.3'), 7);
  endpoint.send(counting(1), ipv4('127.0.0.1'), 7);
  wire.inject('a', toHost(ip({ saddr: '10.0.0.2', daddr: '10.0.0.1', proto: 17, mf: true }, new Uint8Array(8))));
  host.close();
  host.close();
  wire.take('a');
  t.equal(endpoint.send(counting(1), B, 7), -9);
  wire.inject('a', toHost(ip({ saddr: '10.0.0.2', daddr: '10.0.0.1' }, icmp({ type: 8 }))));
  clock.advance(60e6);
  t.same(wire.take('a'), []);
  t.equal(pool.available, pool.size);
});

t.test('same seed, same bytes; another seed, others', async (t) => {
  const run = (seed: number) => {
    const { clock, wire, a, b } = twoHosts({ seed });
    b.udp.bind({ port: 7 });
    for (let i = 0; i < 5; i++) a.udp.bind().send(counting(i), B, i % 2 ? 7 : 8);
    clock.advance(60e6);
    return wire.frames.map((f) => `${f.atUs} ${Buffer.from(f.bytes).toString('hex')}`);
  };
  t.same(run(5), run(5));
  t.not(run(5).join(), run(6).join());
});

t.test('Wire: an oversized frame is not carried', async (t) => {
  const { clock, pool, host } = oneHost();
  const small = new Wire(clock, { mtu: 100, kind: 'ip', pool });
  const skb = host.ip.alloc()!;
  skb.tail = skb.nh + 101;
  small.a.transmit(skb);
  t.equal(small.dropped, 1);
});
