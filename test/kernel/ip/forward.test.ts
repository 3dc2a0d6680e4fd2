import t from 'tap';
import { RTN_BLACKHOLE, RTN_UNREACHABLE } from '../../../src/kernel/ip/fib.ts';
import { LINK_F_CSUM, LINK_F_TSO4, LINK_F_USO4 } from '../../../src/tcpip-ts/link.ts';
import { CHECKSUM_PARTIAL, GSO_TCPV4, GSO_UDP_L4, type Skb } from '../../../src/tcpip-ts/skb.ts';
import { ipv4 } from '../../../src/tcpip-ts/wire/address.ts';
import { put16 } from '../../../src/tcpip-ts/wire/bytes.ts';
import { fold, pseudoSum } from '../../../src/tcpip-ts/wire/checksum.ts';
import { GATEWAY, NODE_IP, onNode, POD_A, POD_B } from '../../support/kernel.ts';
import { ether, faults, fragments, icmp, ip, parse, tcp, text, udp } from '../../support/packet.ts';

const A_TO_B = { saddr: POD_A, daddr: POD_B };

/** As a sender with checksum offload leaves a packet. */
function partial(skb: Skb, saddr: string, daddr: string, field: number): void {
  const th = skb.nh + 20;
  skb.checksum = CHECKSUM_PARTIAL;
  skb.csumStart = th;
  skb.csumField = th + field;
  const proto = skb.bytes[skb.nh + 9]!;
  put16(skb.bytes, th + field, fold(pseudoSum(ipv4(saddr), ipv4(daddr), proto, skb.tail - th)));
}

t.test('forwarding', async (t) => {
  onNode(t, 'a packet for another Pod leaves by its device with the TTL one less', (t, lab) => {
    lab.from('a', ip({ ...A_TO_B, ttl: 64 }, udp({ sport: 1000, dport: 53 }, 'hello')));
    const got = lab.take('b');
    t.equal(got.length, 1);
    t.match(got[0], {
      ip: { ...A_TO_B, ttl: 63 },
      udp: { sport: 1000, dport: 53 },
      eth: { dst: lab.station('b').mac },
    });
    t.equal(text(got[0]!.payload), 'hello');
    t.same(lab.take('a'), []);
  });

  onNode(t, 'a packet for elsewhere goes to the default gateway', (t, lab) => {
    lab.from('a', ip({ saddr: POD_A, daddr: '8.8.8.8' }, udp({ sport: 1000, dport: 53 })));
    t.match(lab.take('net'), [{ ip: { daddr: '8.8.8.8', ttl: 63 }, eth: { dst: lab.station('net').mac } }]);
  });

  onNode(t, 'padding after the packet is cut off', (t, lab) => {
    const packet = ip(A_TO_B, udp({ sport: 1, dport: 2 }, 'x'));
    const padded = new Uint8Array(60);
    padded.set(packet);
    lab.from('a', padded);
    t.equal(lab.takeBytes('b')[0]!.length, 14 + packet.length);
  });

  onNode(t, 'a packet for a device that is gone is dropped as without a route', (t, lab) => {
    lab.kernel.removeDevice(lab.station('b').device);
    lab.kernel.fib.remove(0, 0);
    lab.from('a', ip(A_TO_B, udp({ sport: 1, dport: 2 })));
    t.match(lab.take('a'), [{ ip: { saddr: GATEWAY, daddr: POD_A, tos: 0xc0 }, icmp: { type: 3, code: 0 } }]);
    t.match(lab.kernel.drops.snapshot(), { IP_INNOROUTES: 1 });
  });
});

t.test('time to live', async (t) => {
  onNode(t, 'ends with time exceeded from the gateway address, quoting the packet', (t, lab) => {
    lab.from('a', ip({ ...A_TO_B, ttl: 1 }, udp({ sport: 1000, dport: 33434 }, 'probe')));
    const [error] = lab.take('a');
    t.match(error, { ip: { saddr: GATEWAY, daddr: POD_A, ttl: 64 }, icmp: { type: 11, code: 0 } });
    t.match(parse(error!.payload, 'ip'), { ip: { ...A_TO_B, ttl: 1 }, udp: { dport: 33434 } });
    t.same(lab.take('b'), []);
    t.match(lab.kernel.drops.snapshot(lab.station('a').device.ifindex), { IP_INHDR: 1 });
  });

  onNode(t, 'errors to one host are limited to six at once and one a second', (t, lab) => {
    for (let i = 0; i < 10; i++) lab.from('a', ip({ ...A_TO_B, ttl: 1 }, udp({ sport: 1000, dport: 33434 + i })));
    t.equal(lab.take('a').length, 6);
    lab.clock.advance(1_000_000);
    for (let i = 0; i < 2; i++) lab.from('a', ip({ ...A_TO_B, ttl: 1 }, udp({ sport: 1000, dport: 33434 + i })));
    t.equal(lab.take('a').length, 1);
  });

  onNode(t, 'no error about an ICMP error', (t, lab) => {
    const quoted = ip({ saddr: POD_B, daddr: POD_A }, udp({ sport: 1, dport: 2 }, 'x'));
    lab.from('a', ip({ ...A_TO_B, ttl: 1 }, icmp({ type: 3, code: 3 }, quoted)));
    t.same(lab.take('a'), []);
  });
});

t.test('refused packets and their drop reasons', async (t) => {
  const good = ip(A_TO_B, udp({ sport: 1, dport: 2 }, 'x'));
  const broken = (at: number, value: number) => {
    const bytes = good.slice();
    bytes[at] = value;
    return bytes;
  };
  const cases: [string, string, Uint8Array][] = [
    ['version 6', 'IP_INHDR', broken(0, 0x65)],
    ['header of 16 bytes', 'IP_INHDR', broken(0, 0x44)],
    ['bad header checksum', 'IP_CSUM', ip({ ...A_TO_B, checksum: 1 }, 'x')],
    ['longer than the frame', 'PKT_TOO_SMALL', ip({ ...A_TO_B, totalLen: 100 }, 'x')],
    ['shorter than a header', 'PKT_TOO_SMALL', good.slice(0, 12)],
    ['source route', 'IP_INHDR', ip({ ...A_TO_B, options: [131, 3, 4, 0] }, udp({ sport: 1, dport: 2 }))],
    ['loopback source', 'IP_INVALID_SOURCE', ip({ saddr: '127.0.0.1', daddr: POD_B }, 'x')],
    ['multicast source', 'IP_INVALID_SOURCE', ip({ saddr: '224.0.0.1', daddr: POD_B }, 'x')],
    ['source 0.0.0.0', 'IP_INVALID_SOURCE', ip({ saddr: '0.0.0.0', daddr: POD_B }, 'x')],
    ['loopback destination', 'IP_LOCALNET', ip({ saddr: POD_A, daddr: '127.0.0.1' }, 'x')],
    ['an address of this Node as source', 'IP_LOCAL_SOURCE', ip({ saddr: NODE_IP, daddr: POD_B }, 'x')],
    ['multicast', 'IP_INVALID_DEST', ip({ saddr: POD_A, daddr: '224.0.0.251' }, 'x')],
  ];
  for (const [name, reason, packet] of cases) {
    onNode(t, name, (t, lab) => {
      lab.from('a', packet);
      t.same(lab.kernel.drops.snapshot(), { [reason]: 1 });
      t.same(lab.take('b'), []);
    });
  }

  onNode(t, 'a frame for another station, an unknown type, a stub of a frame', (t, lab) => {
    lab.frame('a', ether(good, { dst: '02:99:99:99:99:99' }));
    lab.frame('a', ether('?', { dst: 'ff:ff:ff:ff:ff:ff', type: 0x86dd }));
    lab.frame('a', new Uint8Array(9));
    t.same(lab.kernel.drops.snapshot(), { OTHERHOST: 1, UNHANDLED_PROTO: 1, DEV_HDR: 1 });
  });

  onNode(t, 'a unicast packet in a broadcast frame', (t, lab) => {
    lab.frame('a', ether(good, { dst: 'ff:ff:ff:ff:ff:ff' }));
    t.same(lab.kernel.drops.snapshot(), { UNICAST_IN_L2_MULTICAST: 1 });
  });

  onNode(t, 'blackhole and unreachable routes', (t, lab) => {
    lab.kernel.fib.add({ network: ipv4('10.1.0.0'), prefixLen: 16, type: RTN_BLACKHOLE, oif: 0 });
    lab.kernel.fib.add({ network: ipv4('10.2.0.0'), prefixLen: 16, type: RTN_UNREACHABLE, oif: 0 });
    lab.from('a', ip({ saddr: POD_A, daddr: '10.1.0.1' }, udp({ sport: 1, dport: 2 })));
    lab.from('a', ip({ saddr: POD_A, daddr: '10.2.0.1' }, udp({ sport: 1, dport: 2 })));
    t.match(lab.take('a'), [{ icmp: { type: 3, code: 1 } }]);
    t.same(lab.kernel.drops.snapshot(), { BLACKHOLE: 1, IP_INNOROUTES: 1 });
  });

  onNode(t, 'never throws, whatever arrives', (t, lab) => {
    lab.from('a', good);
    lab.take('b');
    let x = 12345;
    for (let i = 0; i < 5000; i++) {
      const bytes = ip(
        { ...A_TO_B, ttl: 2 },
        i % 2 ? udp({ sport: 1, dport: 2 }, 'abcdefgh') : tcp({ sport: 1, dport: 2, flags: 'S' }),
      );
      for (let n = 0; n < 3; n++) {
        x = (Math.imul(x, 1103515245) + 12345) >>> 0;
        bytes[x % bytes.length] = x >>> 24;
      }
      // The header checksum made right again, so that damage reaches further in.
      put16(bytes, 10, 0);
      let sum = 0;
      for (let o = 0; o < Math.min(bytes.length, (bytes[0]! & 15) * 4); o += 2)
        sum += bytes[o]! * 256 + (bytes[o + 1] ?? 0);
      put16(bytes, 10, ~fold(sum) & 0xffff);
      lab.from('a', bytes.slice(0, (x >>> 8) % 5 === 0 ? x % bytes.length : bytes.length));
      lab.station('b').wire.frames.length = 0;
      lab.clock.advance(20_000);
    }
    lab.faults.length = 0; // a damaged transport checksum passes through, as it should
    lab.clock.advance(40_000_000);
    t.pass('5000 damaged packets');
  });
});

t.test('size', async (t) => {
  const big = udp({ sport: 1000, dport: 2000 }, 'x'.repeat(2000));

  onNode(t, 'a packet that must not be fragmented is refused with the MTU', (t, lab) => {
    lab.from('a', ip({ ...A_TO_B, df: true }, big));
    t.match(lab.take('a'), [{ ip: { saddr: GATEWAY }, icmp: { type: 3, code: 4, seq: 1500 } }]);
    t.same(lab.kernel.drops.snapshot(), { PKT_TOO_BIG: 1 });
  });

  onNode(t, 'a packet that may be is cut to the MTU and arrives whole', (t, lab) => {
    lab.from('a', ip({ ...A_TO_B, options: [148, 4, 0, 0] }, big));
    const got = lab.take('b');
    t.match(got, [
      { ip: { mf: true, offset: 0, totalLen: 24 + 1472 } },
      { ip: { mf: false, offset: 1472, totalLen: 24 + 2008 - 1472 } },
    ]);
    t.ok(
      got.every((p) => p.ip!.options[0] === 148),
      'an option with the copied flag is in both',
    );
  });

  onNode(t, 'fragments are put together before the hooks and cut again', (t, lab) => {
    const parts = fragments(ip({ ...A_TO_B, id: 7 }, big), 800);
    for (const part of [parts[2]!, parts[0]!]) lab.from('a', part);
    t.same(lab.take('b'), []);
    lab.from('a', parts[1]!);
    const got = lab.take('b');
    t.match(got, [{ ip: { mf: true, offset: 0, id: 7, ttl: 63 } }, { ip: { mf: false, offset: 1480 } }]);
    t.equal(lab.kernel.conntrack.count, 1);
  });

  onNode(t, 'fragments that stay incomplete end with time exceeded, code 1', (t, lab) => {
    lab.from('a', fragments(ip({ ...A_TO_B, id: 8 }, big), 800)[0]!);
    lab.clock.advance(31_000_000);
    t.match(lab.take('a'), [{ icmp: { type: 11, code: 1 } }]);
  });
});

t.test('offloads', async (t) => {
  const all = { features: LINK_F_CSUM | LINK_F_TSO4 | LINK_F_USO4 };
  const payload = 'abcdefghij'.repeat(500);
  const super_ = ip(
    { ...A_TO_B, df: true },
    tcp({ sport: 1, dport: 2, flags: 'PA', seq: 0xfffffff0, ack: 1 }, payload),
  );
  const offload = (skb: Skb) => {
    partial(skb, POD_A, POD_B, 16);
    skb.gsoType = GSO_TCPV4;
    skb.gsoSize = 1448;
  };

  onNode(
    t,
    'a super-segment passes whole to a device that takes it',
    (t, lab) => {
      lab.from('a', super_, offload);
      t.match(lab.station('b').wire.frames.at(-1), { gsoSize: 1448, checksum: CHECKSUM_PARTIAL });
      t.equal(lab.take('b')[0]!.payload.length, 5000);
    },
    all,
  );

  onNode(t, 'and is cut into sound segments for one that does not', (t, lab) => {
    lab.from('a', super_, offload);
    const bytes = lab.takeBytes('b');
    t.same(
      bytes.flatMap((b) => faults(b)),
      [],
    );
    const got = bytes.map((b) => parse(b));
    t.same(
      got.map((p) => p.payload.length),
      [1448, 1448, 1448, 656],
    );
    t.same(
      got.map((p) => p.tcp!.seq),
      [0xfffffff0, 1432, 2880, 4328],
    );
    t.same(
      got.map((p) => p.tcp!.flags),
      ['A', 'A', 'A', 'PA'],
    );
    t.equal(got.map((p) => text(p.payload)).join(''), payload);
  });

  onNode(t, 'a UDP super-segment becomes datagrams', (t, lab) => {
    lab.from('a', ip(A_TO_B, udp({ sport: 1, dport: 2 }, payload)), (skb) => {
      partial(skb, POD_A, POD_B, 6);
      skb.gsoType = GSO_UDP_L4;
      skb.gsoSize = 1200;
    });
    const got = lab.takeBytes('b');
    t.same(
      got.flatMap((b) => faults(b)),
      [],
    );
    t.same(
      got.map((b) => parse(b).udp!.length),
      [1208, 1208, 1208, 1208, 208],
    );
  });

  onNode(t, 'a super-segment whose segments exceed the MTU is refused', (t, lab) => {
    lab.from('a', super_, (skb) => {
      offload(skb);
      skb.gsoSize = 2000;
    });
    t.match(lab.take('a'), [{ icmp: { type: 3, code: 4, seq: 1500 } }]);
  });

  onNode(t, 'a partial checksum is completed for a device without checksum offload', (t, lab) => {
    lab.from('a', ip(A_TO_B, udp({ sport: 1, dport: 2 }, 'odd')), (skb) => partial(skb, POD_A, POD_B, 6));
    t.same(faults(lab.takeBytes('b')[0]!), []);
  });
});
