// The path from a link to a link allocates nothing. One exception is V8's: an address above 127.255.255.255 is no small integer,
// and is boxed (16 bytes) where it is an argument of a call that is not inlined.
import t from 'tap';
import { VirtualClock } from '../../src/lib/clock.ts';
import { SeededRng } from '../../src/lib/rng.ts';
import { SkbPool } from '../../src/tcpip-ts/skb.ts';
import { Stack } from '../../src/tcpip-ts/stack.ts';
import { ipv4, parseMac } from '../../src/tcpip-ts/wire/address.ts';
import { allocated } from '../support/allocated.ts';
import { toHost } from '../support/hosts.ts';
import { icmp, ip, MAC_A, MAC_B } from '../support/packet.ts';
import { SinkLink } from '../support/sink-link.ts';

for (const [net, allowed] of [
  ['10.0.0', 1],
  ['192.168.49', 80],
] as const) {
  t.test(`half a million echo requests to ${net}.1 and their replies`, async (t) => {
    const pool = new SkbPool(16);
    const link = new SinkLink();
    const stack = new Stack({ clock: new VirtualClock(), rng: new SeededRng(1), pool });
    const iface = stack.addInterface(link, { addr: ipv4(`${net}.1`), prefixLen: 24, mac: parseMac(MAC_A) });
    iface.arp!.addStatic(ipv4(`${net}.2`), parseMac(MAC_B));
    const frame = toHost(ip({ saddr: `${net}.2`, daddr: `${net}.1` }, icmp({ type: 8 }, new Uint8Array(56))));
    const send = (n: number) => {
      for (let i = 0; i < n; i++) {
        const skb = pool.alloc()!;
        skb.bytes.set(frame, skb.mh);
        skb.tail = skb.mh + frame.length;
        link.receiver!.receive(skb);
      }
    };
    send(100_000);
    let packets = 100_000;
    const bytes = await allocated(allowed * 500_000, () => {
      send(500_000);
      packets += 500_000;
    });
    t.equal(link.sent, packets);
    t.ok(bytes <= allowed * 500_000, `${bytes} bytes for 500,000 packets`);
  });
}
