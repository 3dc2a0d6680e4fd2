import t from 'tap';
import {
  finishQuoted,
  hasQuoted,
  setDaddr,
  setDport,
  setQuotedDestination,
  setQuotedSource,
  setSaddr,
  setSport,
} from '../../../../src/kernel/netfilter/nat/mangle.ts';
import { CHECKSUM_PARTIAL, type Skb, SkbPool } from '../../../../src/tcpip-ts/skb.ts';
import { completeChecksum } from '../../../../src/tcpip-ts/skb-checksum.ts';
import { formatIPv4, ipv4 } from '../../../../src/tcpip-ts/wire/address.ts';
import { get16, put16 } from '../../../../src/tcpip-ts/wire/bytes.ts';
import { fold, pseudoSum } from '../../../../src/tcpip-ts/wire/checksum.ts';
import { faults, icmp, ip, parse, type Segment, tcp, udp } from '../../../support/packet.ts';
import { fc } from '../../../support/property.ts';

const pool = new SkbPool(2);

function load(packet: Uint8Array): Skb {
  const skb = pool.alloc()!;
  skb.bytes.set(packet, skb.nh);
  skb.th = skb.nh + 20;
  skb.tail = skb.nh + packet.length;
  return skb;
}

function unload(skb: Skb): Uint8Array {
  const packet = skb.bytes.slice(skb.nh, skb.tail);
  skb.free();
  return packet;
}

const address = fc.oneof(fc.nat({ max: 0xffffffff }), fc.constantFrom(0, 0xffffffff, 0xffff0000, 0x0000ffff));
const port = fc.oneof(fc.nat({ max: 65535 }), fc.constantFrom(0, 0xffff));
const payload = fc.uint8Array({ maxLength: 40 });
const change = fc.record({ saddr: address, daddr: address, sport: port, dport: port });
const packets = fc.record({
  saddr: address,
  daddr: address,
  sport: port,
  dport: port,
  payload,
  proto: fc.constantFrom('tcp', 'udp'),
});

function segmentOf(proto: string, sport: number, dport: number, payload: Uint8Array): Segment {
  return proto === 'tcp' ? tcp({ sport, dport, flags: 'A', seq: 7 }, payload) : udp({ sport, dport }, payload);
}

t.test('any rewriting leaves IP, TCP and UDP checksums right', async (t) => {
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(packets, fc.array(change, { minLength: 1, maxLength: 4 }), (p, changes) => {
        const ends = { saddr: formatIPv4(p.saddr), daddr: formatIPv4(p.daddr) };
        const skb = load(ip(ends, segmentOf(p.proto, p.sport, p.dport, p.payload)));
        for (const c of changes) {
          setSaddr(skb, c.saddr);
          setDaddr(skb, c.daddr);
          setSport(skb, c.sport);
          setDport(skb, c.dport);
        }
        const out = unload(skb);
        const last = changes.at(-1)!;
        const { ip: header, tcp: t1, udp: u1 } = parse(out, 'ip');
        const seg = t1 ?? u1!;
        return (
          faults(out, 'ip').length === 0 &&
          (u1 === undefined || u1.checksum !== 0) &&
          header!.saddr === formatIPv4(last.saddr) &&
          header!.daddr === formatIPv4(last.daddr) &&
          seg.sport === last.sport &&
          seg.dport === last.dport
        );
      }),
    ),
  );
});

t.test('a partial checksum stays the pseudo-header sum, so that completing it later is right', async (t) => {
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(packets, change, (p, c) => {
        const ends = { saddr: formatIPv4(p.saddr), daddr: formatIPv4(p.daddr) };
        const skb = load(ip(ends, segmentOf(p.proto, p.sport, p.dport, p.payload)));
        skb.checksum = CHECKSUM_PARTIAL;
        skb.csumStart = skb.th;
        skb.csumField = skb.th + (p.proto === 'tcp' ? 16 : 6);
        put16(
          skb.bytes,
          skb.csumField,
          fold(pseudoSum(p.saddr, p.daddr, p.proto === 'tcp' ? 6 : 17, skb.tail - skb.th)),
        );
        setSaddr(skb, c.saddr);
        setDport(skb, c.dport);
        setDaddr(skb, c.daddr);
        setSport(skb, c.sport);
        completeChecksum(skb);
        return faults(unload(skb), 'ip').length === 0;
      }),
    ),
  );
});

t.test('UDP without a checksum stays without', async (t) => {
  const skb = load(ip({ saddr: '10.0.0.1', daddr: '10.0.0.2' }, udp({ sport: 1, dport: 2, checksum: 0 }, 'x')));
  setSaddr(skb, ipv4('192.168.1.1'));
  setDport(skb, 9999);
  t.equal(get16(skb.bytes, skb.th + 6), 0);
  t.same(faults(unload(skb), 'ip'), []);
});

t.test('the id of an echo request changes with its checksum', async (t) => {
  const skb = load(ip({ saddr: '10.0.0.1', daddr: '10.0.0.2' }, icmp({ type: 8, id: 5, seq: 6 }, 'ping')));
  setSaddr(skb, ipv4('192.168.1.1'));
  setSport(skb, 777);
  const out = unload(skb);
  t.match(parse(out, 'ip'), { ip: { saddr: '192.168.1.1' }, icmp: { id: 777, seq: 6 } });
  t.same(faults(out, 'ip'), []);
});

t.test('the packet quoted in an error', async (t) => {
  for (const [name, inner] of [
    ['TCP', tcp({ sport: 1, dport: 2, flags: 'S' }, 'abc')],
    ['UDP', udp({ sport: 1, dport: 2 }, 'abc')],
    ['UDP without checksum', udp({ sport: 1, dport: 2, checksum: 0 }, 'abc')],
  ] as const) {
    for (const cut of [8, 100]) {
      const quoted = ip({ saddr: '10.0.0.1', daddr: '10.0.0.2' }, inner).slice(0, 20 + cut);
      const skb = load(ip({ saddr: '10.0.0.9', daddr: '10.0.0.1' }, icmp({ type: 3, code: 3 }, quoted)));
      t.ok(hasQuoted(skb));
      setQuotedSource(skb, ipv4('172.16.0.1'), 1111);
      setQuotedDestination(skb, ipv4('172.16.0.2'), 2222);
      finishQuoted(skb);
      const out = unload(skb);
      t.same(faults(out, 'ip'), [], `${name}, cut at ${cut}: the error's checksum`);
      const back = parse(out, 'ip').payload;
      t.match(parse(back, 'ip'), { ip: { saddr: '172.16.0.1', daddr: '172.16.0.2' } });
      t.equal(get16(back, 20), 1111);
      t.equal(get16(back, 22), 2222);
      if (cut === 100) t.same(faults(back, 'ip'), [], `${name}: the quoted checksums`);
    }
  }

  const short = load(ip({ saddr: '10.0.0.9', daddr: '10.0.0.1' }, icmp({ type: 3 }, new Uint8Array(20))));
  t.notOk(hasQuoted(short), 'a quotation that is no IPv4 header');
  short.free();
});
