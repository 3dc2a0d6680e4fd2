import t from 'tap';
import { oneHost, toHost } from '../../support/hosts.ts';
import { BROADCAST, faults, icmp, ip, MAC_A, MAC_B, parse, tcp, text, udp } from '../../support/packet.ts';
import { fc } from '../../support/property.ts';

const FROM = { saddr: '10.0.0.2', daddr: '10.0.0.1' };
const ping = icmp({ type: 8, id: 1, seq: 1 }, 'x');

function setup(options: Parameters<typeof oneHost>[0] = {}) {
  const one = oneHost(options);
  const got: string[] = [];
  one.host.udp.bind({ port: 7 }).onMessage = (bytes) => got.push(text(bytes));
  return { ...one, got, free: one.pool.available };
}

t.test('refused and counted', async (t) => {
  const packet = ip(FROM, ping);
  const cases: [string, string, Uint8Array][] = [
    ['version 6', 'IpInHdrErrors', with_(packet, 0, 0x65)],
    ['header length 16', 'IpInHdrErrors', with_(packet, 0, 0x44)],
    ['header longer than the packet', 'IpInHdrErrors', with_(packet, 0, 0x4f)],
    ['total length below the header', 'IpInHdrErrors', ip({ ...FROM, totalLen: 19 }, ping)],
    ['total length beyond the frame', 'IpExtInTruncatedPkts', ip({ ...FROM, totalLen: 30 }, ping).subarray(0, 29)],
    ['bad checksum', 'IpExtInCsumErrors', ip({ ...FROM, checksum: 1 }, ping)],
    ['another destination', 'IpInAddrErrors', ip({ ...FROM, daddr: '10.0.0.9' }, ping)],
    ['loopback destination', 'IpInAddrErrors', ip({ ...FROM, daddr: '127.0.0.1' }, ping)],
    ['loopback source', 'IpInAddrErrors', ip({ ...FROM, saddr: '127.0.0.1' }, ping)],
    ['our own source', 'IpInAddrErrors', ip({ ...FROM, saddr: '10.0.0.1' }, ping)],
    ['broadcast source', 'IpInAddrErrors', ip({ ...FROM, saddr: '255.255.255.255' }, ping)],
    ['subnet broadcast source', 'IpInAddrErrors', ip({ ...FROM, saddr: '10.0.0.255' }, ping)],
    ['multicast source', 'IpInAddrErrors', ip({ ...FROM, saddr: '224.1.1.1' }, ping)],
    ['source 0.0.0.0', 'IpInAddrErrors', ip({ ...FROM, saddr: '0.0.0.0' }, ping)],
    ['multicast', 'IpExtInMcastPkts', ip({ ...FROM, daddr: '224.0.0.1' }, ping)],
    ['unknown protocol', 'IpInUnknownProtos', ip({ ...FROM, proto: 250 }, 'x')],
    ['option with length 0', 'IpInHdrErrors', ip({ ...FROM, options: [7, 0, 4, 0] }, ping)],
    ['option beyond the header', 'IpInHdrErrors', ip({ ...FROM, options: [7, 9, 4, 0] }, ping)],
    ['option without its length', 'IpInHdrErrors', ip({ ...FROM, options: [1, 1, 1, 7] }, ping)],
    ['strict source route', 'IpInHdrErrors', ip({ ...FROM, options: [137, 3, 4, 0] }, ping)],
    ['loose source route', 'IpInHdrErrors', ip({ ...FROM, options: [131, 3, 4, 0] }, ping)],
  ];
  for (const [what, counter, bytes] of cases) {
    const { clock, wire, host, pool, free } = setup();
    wire.inject('a', toHost(bytes));
    clock.advance(1);
    t.equal(host.counters.get(counter as 'IpInHdrErrors'), 1, what);
    t.notOk(
      wire.take('a').some((f) => parse(f).icmp?.type === 0),
      `${what}: no answer`,
    );
    t.equal(pool.available, free, `${what}: freed`);
  }
});

t.test('an unknown protocol is answered with protocol unreachable, a bad option with parameter problem', async (t) => {
  const { wire } = setup();
  wire.inject('a', toHost(ip({ ...FROM, proto: 250 }, 'payload')));
  wire.inject('a', toHost(ip({ ...FROM, options: [131, 3, 4, 0] }, ping)));
  const sent = wire.take('a');
  t.match(
    sent.map((f) => parse(f).icmp),
    [
      { type: 3, code: 2 },
      { type: 12, code: 0, id: 20 << 8 },
    ],
  );
  for (const f of sent) t.same(faults(f), []);
});

t.test('sound options are skipped and not echoed', async (t) => {
  const { wire, got } = setup();
  for (const options of [
    [1, 1, 1, 0],
    [7, 7, 4, 0, 0, 0, 0, 0],
    [68, 4, 5, 0],
    [148, 4, 0, 0],
    [0, 9, 9, 9],
  ]) {
    wire.inject('a', toHost(ip({ ...FROM, options }, ping)));
    const [reply] = wire.take('a');
    t.match(parse(reply!), { icmp: { type: 0, id: 1, seq: 1 }, ip: { totalLen: 29 } });
    t.same(faults(reply!), []);
    wire.inject('a', toHost(ip({ ...FROM, options }, udp({ sport: 1, dport: 7 }, 'opt'))));
  }
  t.same(got, ['opt', 'opt', 'opt', 'opt', 'opt']);
});

t.test('padding after the packet is cut off', async (t) => {
  const { wire } = setup();
  const padded = new Uint8Array(60);
  padded.set(toHost(ip(FROM, icmp({ type: 8 }, 'x'))));
  padded.fill(0xee, 43);
  wire.inject('a', padded);
  const [reply] = wire.take('a');
  t.equal(text(parse(reply!).payload), 'x');
  t.same(faults(reply!), []);
});

t.test('frames for other stations, from ourselves, or of other types are dropped', async (t) => {
  const { wire, host, pool, free } = setup();
  const packet = ip(FROM, ping);
  wire.inject('a', toHost(packet, { dst: MAC_B }));
  wire.inject('a', toHost(packet, { dst: MAC_A, src: MAC_A }));
  wire.inject('a', toHost(packet, { dst: MAC_A, type: 0x86dd }));
  wire.inject('a', new Uint8Array(13));
  t.equal(host.interfaces[0]!.rxDropped, 4);
  wire.inject('a', toHost(packet, { dst: BROADCAST }));
  t.equal(host.counters.get('IpInAddrErrors'), 1, 'a unicast packet in a broadcast frame');
  t.same(wire.take('a'), []);
  t.equal(pool.available, free);
});

t.test('a broadcast reaches UDP sockets, and draws no answer of any kind', async (t) => {
  const { wire, host, got } = setup();
  for (const daddr of ['10.0.0.255', '255.255.255.255']) {
    wire.inject('a', toHost(ip({ ...FROM, daddr }, udp({ sport: 1, dport: 7 }, daddr)), { dst: BROADCAST }));
    wire.inject('a', toHost(ip({ ...FROM, daddr }, udp({ sport: 1, dport: 8 }, 'closed')), { dst: BROADCAST }));
    wire.inject('a', toHost(ip({ ...FROM, daddr }, ping), { dst: BROADCAST }));
    wire.inject('a', toHost(ip({ ...FROM, daddr }, tcp({ sport: 1, dport: 2, flags: 'S' })), { dst: BROADCAST }));
    wire.inject('a', toHost(ip({ ...FROM, daddr, proto: 99 }, 'x'), { dst: BROADCAST }));
  }
  t.same(got, ['10.0.0.255', '255.255.255.255']);
  t.same(wire.take('a'), []);
  t.equal(host.counters.get('IpExtInBcastPkts'), 10);
});

t.test('an anyAddress interface takes every destination and answers from it', async (t) => {
  const { wire, host } = setup({ kind: 'ip', anyAddress: true });
  host.addRoute(0, 0, 0, 1);
  wire.inject('a', ip({ saddr: '10.9.9.9', daddr: '10.96.0.1' }, ping));
  t.match(
    wire.take('a').map((p) => parse(p, 'ip')),
    [{ ip: { saddr: '10.96.0.1', daddr: '10.9.9.9' }, icmp: { type: 0 } }],
  );
  t.equal(host.counters.get('IpOutNoRoutes'), 0);
});

t.test('random packets and mutations of good ones never throw and never leak', async () => {
  const good = fc.constantFrom(
    ip(FROM, ping),
    ip(FROM, udp({ sport: 1, dport: 7 }, 'hello')),
    ip({ ...FROM, options: [7, 7, 4, 0, 0, 0, 0, 0] }, ping),
    ip(FROM, icmp({ type: 3, code: 3 }, ip({ saddr: '10.0.0.1', daddr: '10.0.0.2' }, udp({ sport: 7, dport: 9 })))),
    ip({ ...FROM, mf: true, offset: 8, proto: 17 }, new Uint8Array(16)),
  );
  const changes = fc.array(fc.tuple(fc.nat(80), fc.nat(255)), { maxLength: 4 });
  const mutated = fc.tuple(good, changes, fc.nat(80)).map(([packet, list, cut]) => {
    const b = packet.slice(0, Math.max(1, packet.length - (cut > 40 ? cut - 40 : 0)));
    for (const [at, value] of list) b[at % b.length] = value;
    if (b.length >= 20) {
      // Right again, or hardly anything would get past the header's checksum.
      const fixed = ip({ saddr: '0.0.0.0', daddr: '0.0.0.0' }, '');
      fixed.set(b.subarray(0, 20));
      fixed[10] = fixed[11] = 0;
      let sum = 0;
      for (let i = 0; i < 20; i += 2) sum += fixed[i]! * 256 + fixed[i + 1]!;
      while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
      b[10] = (~sum >> 8) & 255;
      b[11] = ~sum & 255;
    }
    return b;
  });
  fc.assert(
    fc.property(fc.array(fc.oneof(mutated, fc.uint8Array({ maxLength: 100 })), { maxLength: 40 }), (packets) => {
      const { wire, clock, pool, free } = setup();
      for (const p of packets) wire.inject('a', toHost(p));
      clock.advance(40e6);
      return pool.available === free;
    }),
    { numRuns: 200 },
  );
});

function with_(bytes: Uint8Array, at: number, value: number): Uint8Array {
  const copy = bytes.slice();
  copy[at] = value;
  return copy;
}
