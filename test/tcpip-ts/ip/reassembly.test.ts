import t from 'tap';
import { oneHost, toHost } from '../../support/hosts.ts';
import { faults, fragments, ip, parse, udp } from '../../support/packet.ts';
import { fc } from '../../support/property.ts';

const FROM = { saddr: '10.0.0.2', daddr: '10.0.0.1' };

function setup() {
  const { clock, wire, host, pool } = oneHost();
  const got: Uint8Array[] = [];
  host.udp.bind({ port: 7 }).onMessage = (bytes) => got.push(bytes);
  return { clock, wire, host, pool, got, free: pool.available };
}

function datagram(payload: Uint8Array, id = 1, options: number[] = []): Uint8Array {
  return ip({ ...FROM, id, options }, udp({ sport: 1, dport: 7 }, payload));
}

function counting(n: number): Uint8Array {
  return Uint8Array.from({ length: n }, (_, i) => (i * 7 + (i >> 8)) & 255);
}

t.test('fragments in any order, some twice, make the whole datagram once', async () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 9, max: 4000 }),
      fc.integer({ min: 1, max: 60 }).map((n) => n * 8),
      fc.constantFrom<number[]>([], [1, 1, 1, 0], [7, 4, 4, 0]),
      fc.infiniteStream(fc.nat()),
      (length, size, options, random) => {
        const { wire, pool, got, free, host } = setup();
        const payload = counting(length);
        const parts = fragments(datagram(payload, 1, options), size);
        const next = () => random.next().value as number;
        const order = parts.map((part) => ({ part, key: next() })).sort((x, y) => x.key - y.key);
        const last = order.pop()!;
        for (const { part } of order) {
          wire.inject('a', toHost(part));
          if (next() % 3 === 0) wire.inject('a', toHost(part));
        }
        if (got.length > 0) return false;
        wire.inject('a', toHost(last.part));
        return (
          got.length === 1 &&
          Buffer.compare(got[0]!, payload) === 0 &&
          pool.available === free &&
          host.ip.reassembly.pending === 0
        );
      },
    ),
    { numRuns: 100 },
  );
});

t.test('the largest datagram of 65535 bytes comes together', async (t) => {
  const { wire, got } = setup();
  const payload = counting(65507);
  for (const part of fragments(datagram(payload), 1480)) wire.inject('a', toHost(part));
  t.equal(got.length, 1);
  t.equal(Buffer.compare(got[0]!, payload), 0);
});

t.test('a fragment that would end past 65535 ends the datagram', async (t) => {
  const { wire, host, got, pool, free } = setup();
  wire.inject('a', toHost(ip({ ...FROM, id: 5, proto: 17, mf: true }, new Uint8Array(1480))));
  wire.inject('a', toHost(ip({ ...FROM, id: 5, proto: 17, offset: 65528 }, new Uint8Array(1400))));
  t.equal(host.ip.reassembly.pending, 0);
  t.equal(host.counters.get('IpReasmFails'), 1);
  t.same(got, []);
  t.equal(pool.available, free);
});

t.test('a partial overlap ends the datagram (RFC 5722)', async (t) => {
  const { wire, host, got } = setup();
  const [first, second] = fragments(datagram(counting(100)), 64);
  const overlapping = ip({ ...FROM, id: 1, proto: 17, mf: true, offset: 56 }, new Uint8Array(16));
  wire.inject('a', toHost(first!));
  wire.inject('a', toHost(overlapping));
  t.equal(host.ip.reassembly.pending, 0);
  t.equal(host.counters.get('IpExtReasmOverlaps'), 1);
  wire.inject('a', toHost(second!));
  t.same(got, []);
});

t.test('two last fragments that disagree end the datagram', async (t) => {
  const { wire, host } = setup();
  wire.inject('a', toHost(ip({ ...FROM, id: 1, proto: 17, offset: 800 }, new Uint8Array(10))));
  wire.inject('a', toHost(ip({ ...FROM, id: 1, proto: 17, offset: 1600 }, new Uint8Array(10))));
  t.equal(host.ip.reassembly.pending, 0);
  wire.inject('a', toHost(ip({ ...FROM, id: 2, proto: 17, mf: true, offset: 1600 }, new Uint8Array(8))));
  wire.inject('a', toHost(ip({ ...FROM, id: 2, proto: 17, offset: 800 }, new Uint8Array(10))));
  t.equal(host.ip.reassembly.pending, 0, 'an end before what has come');
  wire.inject('a', toHost(ip({ ...FROM, id: 3, proto: 17, mf: true, offset: 8 }, new Uint8Array(9))));
  t.equal(host.ip.reassembly.pending, 0, 'a middle fragment of 9 bytes');
  wire.inject('a', toHost(ip({ ...FROM, id: 4, proto: 17, mf: true, offset: 8 }, new Uint8Array(0))));
  t.equal(host.ip.reassembly.pending, 0, 'an empty one');
});

t.test('datagrams differ by identification, protocol and addresses', async (t) => {
  const { wire, got } = setup();
  const one = fragments(datagram(counting(100), 1), 64);
  const two = fragments(datagram(counting(200).reverse(), 2), 64);
  for (const part of [one[0]!, two[3]!, two[1]!, one[1]!, two[0]!, two[2]!]) wire.inject('a', toHost(part));
  t.same(
    got.map((g) => g.length),
    [100, 200],
  );
});

t.test('after 30 s the datagram is given up, and reported when its start had come', async (t) => {
  const { clock, wire, host, pool, free } = setup();
  const parts = fragments(datagram(counting(100)), 64);
  wire.inject('a', toHost(parts[0]!));
  wire.inject('a', toHost(fragments(datagram(counting(100), 2), 64)[1]!));
  clock.advance(29e6);
  t.equal(host.ip.reassembly.pending, 2);
  t.same(wire.take('a'), []);
  clock.advance(1.2e6);
  t.equal(host.ip.reassembly.pending, 0);
  const sent = wire.take('a');
  t.match(
    sent.map((f) => parse(f)),
    [{ ip: { daddr: '10.0.0.2' }, icmp: { type: 11, code: 1 } }],
  );
  t.same(faults(sent[0]!), []);
  t.match(parse(parse(sent[0]!).payload, 'ip'), { ip: { id: 1 }, udp: { sport: 1, dport: 7 } });
  t.equal(host.counters.get('IpReasmTimeout'), 2);
  t.equal(pool.available, free);
});

t.test('a flood of first fragments is bounded, and fresh datagrams still get through', async (t) => {
  const { wire, host, got, pool, free } = setup();
  for (let i = 0; i < 5000; i++)
    wire.inject('a', toHost(ip({ ...FROM, id: i, proto: 17, mf: true }, new Uint8Array(64))));
  t.equal(host.ip.reassembly.pending, 32);
  t.equal(pool.available, free, 'no packet buffers are held');
  for (const part of fragments(datagram(counting(100), 60000), 64)) wire.inject('a', toHost(part));
  t.equal(got.length, 1);
});

t.test(
  'a mark on one fragment marks the datagram; capable and not capable ones do not mix (RFC 3168, 5.3)',
  async (t) => {
    for (const [fields, whole] of [
      [[0, 0, 0], 0],
      [[2, 2, 2], 2],
      [[2, 3, 2], 3],
      [[1, 1, 3], 3],
      [[0, 0, 3], undefined],
      [[2, 0, 2], undefined],
    ] as const) {
      const { wire, host, pool, free } = setup();
      let tos: number | undefined;
      host.ip.setTransport(200, {
        input: (skb) => {
          tos = skb.bytes[skb.nh + 1];
          skb.free();
        },
        error: () => {},
      });
      for (const [i, ecn] of fields.entries()) {
        const part = { ...FROM, id: 9, proto: 200, tos: 0xb8 | ecn, offset: i * 64, mf: i < 2 };
        wire.inject('a', toHost(ip(part, new Uint8Array(64))));
      }
      t.equal(tos, whole === undefined ? undefined : 0xb8 | whole, fields.join(' '));
      t.equal(host.counters.get('IpReasmFails'), whole === undefined ? 1 : 0);
      t.equal(pool.available, free);
    }
  },
);

t.test('random fragments never throw and never leak', async () => {
  const fragment = fc.record({
    id: fc.nat(3),
    offset: fc.nat(8191).map((n) => n * 8),
    mf: fc.boolean(),
    length: fc.nat(1500),
  });
  fc.assert(
    fc.property(fc.array(fragment, { maxLength: 60 }), (list) => {
      const { clock, wire, pool, free } = setup();
      for (const f of list) wire.inject('a', toHost(ip({ ...FROM, ...f, proto: 17 }, new Uint8Array(f.length))));
      clock.advance(31e6);
      return pool.available === free;
    }),
    { numRuns: 50 },
  );
});
