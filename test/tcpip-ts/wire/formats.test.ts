// Round trips and vectors of every header, against the builders and the parser of test/support, which share no code with them.
import t from 'tap';
import {
  formatIPv4,
  formatMac,
  ipv4,
  netmask,
  parseCIDR,
  parseIPv4,
  parseMac,
} from '../../../src/tcpip-ts/wire/address.ts';
import {
  ARP_LEN,
  ARPOP_REPLY,
  ARPOP_REQUEST,
  arpOp,
  arpSha,
  arpSpa,
  arpTha,
  arpTpa,
  emitArp,
  isArp,
} from '../../../src/tcpip-ts/wire/arp.ts';
import { get16, get32, put16, put32 } from '../../../src/tcpip-ts/wire/bytes.ts';
import { emitEthernet, ethDst, ethSrc, ethType, isGroupMac } from '../../../src/tcpip-ts/wire/ethernet.ts';
import {
  emitIcmp,
  icmpCode,
  icmpId,
  icmpMtu,
  icmpSeq,
  icmpType,
  isIcmpError,
} from '../../../src/tcpip-ts/wire/icmpv4.ts';
import {
  decrementTtl,
  emitIPv4,
  fillIpChecksum,
  ipChecksumOk,
  ipDaddr,
  ipFrag,
  ipHlen,
  ipId,
  ipProto,
  ipSaddr,
  ipTos,
  ipTotalLen,
  ipTtl,
  isFragment,
  isIPv4,
} from '../../../src/tcpip-ts/wire/ipv4.ts';
import {
  isTcp,
  tcpAck,
  tcpDport,
  tcpFlags,
  tcpHlen,
  tcpSeq,
  tcpSport,
  tcpWindow,
} from '../../../src/tcpip-ts/wire/tcp.ts';
import { emitUdp, udpChecksum, udpDport, udpLen, udpSport } from '../../../src/tcpip-ts/wire/udp.ts';
import { faults, ip, parse, tcp } from '../../support/packet.ts';
import { fc } from '../../support/property.ts';

const u8 = fc.nat(0xff);
const u16 = fc.nat(0xffff);
const u32 = fc.nat(0xffffffff);
const mac = fc.nat(0xffffffffffff);
const offset = fc.nat(20);

function hex(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'));
}

t.test('addresses', async (t) => {
  fc.assert(fc.property(u32, (addr) => parseIPv4(formatIPv4(addr)) === addr));
  fc.assert(fc.property(mac, (m) => parseMac(formatMac(m)) === m));
  fc.assert(
    fc.property(u32, fc.nat(32), (addr, len) => {
      const network = (addr & netmask(len)) >>> 0;
      const cidr = parseCIDR(`${formatIPv4(addr)}/${len}`);
      return cidr?.[0] === network && cidr[1] === len;
    }),
  );
  for (const bad of ['', '1.2.3', '1.2.3.4.5', '256.1.1.1', '1.2.3.x', '0x1.2.3.4', '1.2.3.-4', ' 1.2.3.4', '1..3.4']) {
    t.equal(parseIPv4(bad), undefined, `refuses "${bad}"`);
    t.throws(() => ipv4(bad), TypeError);
  }
  for (const bad of ['10.0.0.0/33', '10.0.0.0/', '10.0.0.0/8/8', '10.0.0/8', '10.0.0.0/-1']) {
    t.equal(parseCIDR(bad), undefined, `refuses "${bad}"`);
  }
  t.same(parseCIDR('10.1.2.3'), [ipv4('10.1.2.3'), 32]);
});

t.test('numbers are big-endian and unsigned', async () => {
  fc.assert(
    fc.property(offset, u16, u32, (o, half, word) => {
      const b = new Uint8Array(32);
      put16(b, o, half);
      put32(b, o + 4, word);
      return get16(b, o) === half && get32(b, o + 4) === word && b[o + 1] === (half & 255) && b[o + 4] === word >>> 24;
    }),
  );
});

t.test('Ethernet: what is written is read', async () => {
  fc.assert(
    fc.property(offset, mac, mac, u16, (o, dst, src, type) => {
      const b = new Uint8Array(40);
      emitEthernet(b, o, dst, src, type);
      const eth = parse(b.subarray(o)).eth!;
      return (
        ethDst(b, o) === dst &&
        ethSrc(b, o) === src &&
        ethType(b, o) === type &&
        isGroupMac(b, o) === (Math.floor(dst / 2 ** 40) % 2 === 1) &&
        eth.dst === formatMac(dst) &&
        eth.src === formatMac(src)
      );
    }),
  );
});

t.test('ARP: what is written is read, and anything else is refused', async (t) => {
  fc.assert(
    fc.property(
      offset,
      fc.constantFrom(ARPOP_REQUEST, ARPOP_REPLY),
      mac,
      u32,
      mac,
      u32,
      (o, op, sha, spa, tha, tpa) => {
        const b = new Uint8Array(60);
        emitArp(b, o, op, sha, spa, tha, tpa);
        return (
          isArp(b, o, o + ARP_LEN) &&
          !isArp(b, o, o + ARP_LEN - 1) &&
          arpOp(b, o) === op &&
          arpSha(b, o) === sha &&
          arpSpa(b, o) === spa &&
          arpTha(b, o) === tha &&
          arpTpa(b, o) === tpa
        );
      },
    ),
  );
  const b = new Uint8Array(28);
  for (const [at, value] of [
    [1, 6],
    [2, 0x86],
    [4, 8],
    [5, 16],
    [7, 3],
  ] as const) {
    emitArp(b, 0, ARPOP_REQUEST, 1, 2, 3, 4);
    b[at] = value;
    t.notOk(isArp(b, 0, 28), `byte ${at} = ${value}`);
  }
});

t.test('IPv4: the header of a well-known example has checksum b861', async (t) => {
  const b = hex('4500 0073 0000 4000 4011 b861 c0a8 0001 c0a8 00c7');
  t.ok(ipChecksumOk(b, 0));
  t.equal(ipTotalLen(b, 0), 115);
  t.equal(formatIPv4(ipSaddr(b, 0)), '192.168.0.1');
  t.equal(formatIPv4(ipDaddr(b, 0)), '192.168.0.199');
  t.notOk(isIPv4(b, 0, 20), 'but its payload is missing');
  const made = new Uint8Array(20);
  emitIPv4(made, 0, 0, 115, 0, 0x4000, 64, 17, ipv4('192.168.0.1'), ipv4('192.168.0.199'));
  t.same(made, b);
});

t.test('IPv4: what is written is read, sound, and stays sound when the TTL goes down', async () => {
  fc.assert(
    fc.property(
      fc.tuple(offset, u8, fc.integer({ min: 20, max: 1500 }), u16, u16),
      fc.tuple(fc.integer({ min: 1, max: 255 }), u8, u32, u32),
      ([o, tos, total, id, frag], [ttl, proto, saddr, daddr]) => {
        const b = new Uint8Array(o + total);
        emitIPv4(b, o, tos, total, id, frag, ttl, proto, saddr, daddr);
        const read =
          isIPv4(b, o, o + total) &&
          !isIPv4(b, o, o + total - 1) &&
          ipChecksumOk(b, o) &&
          ipHlen(b, o) === 20 &&
          ipTos(b, o) === tos &&
          ipTotalLen(b, o) === total &&
          ipId(b, o) === id &&
          ipFrag(b, o) === frag &&
          isFragment(b, o) === ((frag & 0x3fff) !== 0) &&
          ipTtl(b, o) === ttl &&
          ipProto(b, o) === proto &&
          ipSaddr(b, o) === saddr &&
          ipDaddr(b, o) === daddr;
        decrementTtl(b, o);
        const after = ipChecksumOk(b, o) && ipTtl(b, o) === ttl - 1;
        b[o + 1]! ^= 0x04;
        const broken = !ipChecksumOk(b, o);
        fillIpChecksum(b, o);
        return read && after && broken && ipChecksumOk(b, o);
      },
    ),
  );
});

t.test('IPv4: any bytes are judged without throwing', async () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), (b) => {
      const sound = isIPv4(b, 0, b.length);
      return !sound || (ipHlen(b, 0) >= 20 && ipTotalLen(b, 0) <= b.length && ipHlen(b, 0) <= ipTotalLen(b, 0));
    }),
  );
});

t.test('UDP: what is written is read, and its checksum is right and never 0', async () => {
  fc.assert(
    fc.property(u16, u16, u32, u32, fc.uint8Array({ maxLength: 200 }), (sport, dport, saddr, daddr, payload) => {
      const b = new Uint8Array(28 + payload.length);
      b.set(payload, 28);
      emitIPv4(b, 0, 0, b.length, 1, 0, 64, 17, saddr, daddr);
      emitUdp(b, 20, sport, dport, 8 + payload.length, saddr, daddr);
      return (
        udpSport(b, 20) === sport &&
        udpDport(b, 20) === dport &&
        udpLen(b, 20) === 8 + payload.length &&
        udpChecksum(b, 20) !== 0 &&
        faults(b, 'ip').length === 0
      );
    }),
  );
});

t.test('UDP: a sum of zero goes out as ffff', async (t) => {
  const b = new Uint8Array(10);
  emitUdp(b, 0, 0, 0, 10, 0, 0); // the sum is protocol 17 and twice the length 10: a word of ffff-37 makes it ffff
  put16(b, 8, 0xffff - 37);
  emitUdp(b, 0, 0, 0, 10, 0, 0);
  t.equal(udpChecksum(b, 0), 0xffff);
});

t.test('ICMP: what is written is read and sound', async (t) => {
  fc.assert(
    fc.property(u8, u8, u16, u16, fc.uint8Array({ maxLength: 100 }), (type, code, high, low, data) => {
      const b = new Uint8Array(28 + data.length);
      b.set(data, 28);
      emitIPv4(b, 0, 0, b.length, 1, 0, 64, 1, 1, 2);
      emitIcmp(b, 20, b.length, type, code, high, low);
      return (
        icmpType(b, 20) === type &&
        icmpCode(b, 20) === code &&
        icmpId(b, 20) === high &&
        icmpSeq(b, 20) === low &&
        icmpMtu(b, 20) === low &&
        faults(b, 'ip').length === 0
      );
    }),
  );
  t.same([0, 3, 4, 5, 8, 11, 12, 13].filter(isIcmpError), [3, 4, 5, 11, 12]);
});

t.test('TCP: what the builder writes is read', async () => {
  fc.assert(
    fc.property(u16, u16, u32, u32, u16, fc.nat(10), u8, (sport, dport, seq, ack, window, words, flags) => {
      const letters = [...'FSRPAUEC'].filter((_, i) => flags & (1 << i)).join('');
      const options = new Array(words * 4).fill(1);
      const b = ip(
        { saddr: '10.0.0.1', daddr: '10.0.0.2' },
        tcp({ sport, dport, seq, ack, window, options, flags: letters }, 'x'),
      );
      return (
        isTcp(b, 20, b.length) &&
        !isTcp(b, 20, 20 + 19 + words * 4) &&
        tcpSport(b, 20) === sport &&
        tcpDport(b, 20) === dport &&
        tcpSeq(b, 20) === seq &&
        tcpAck(b, 20) === ack &&
        tcpWindow(b, 20) === window &&
        tcpFlags(b, 20) === flags &&
        tcpHlen(b, 20) === 20 + words * 4 &&
        faults(b, 'ip').length === 0
      );
    }),
  );
});
