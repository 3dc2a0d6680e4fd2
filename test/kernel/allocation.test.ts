// The path from device to device allocates nothing per packet: forwarded, translated, tracked, filtered, answered by ARP.
// Addresses above 127.255.255.255 are a case of their own: unsigned they are no small integers to V8, which boxes them (16 bytes)
// wherever a call that is not inlined takes or returns one.
import t from 'tap';
import { createNetlink } from '../../src/kernel/core/netlink.ts';
import { Kernel } from '../../src/kernel/kernel.ts';
import { Breath } from '../../src/lib/breath.ts';
import { VirtualClock } from '../../src/lib/clock.ts';
import { SeededRng } from '../../src/lib/rng.ts';
import { SKB_HEADROOM, SkbPool } from '../../src/tcpip-ts/skb.ts';
import { formatMac, ipv4 } from '../../src/tcpip-ts/wire/address.ts';
import { allocated } from '../support/allocated.ts';
import { arp, ether, ip, MAC_A, MAC_B, tcp, udp } from '../support/packet.ts';
import { SinkLink } from '../support/sink-link.ts';

const MAC = 0x0a5800000001;

function setup(podA: string, podB: string) {
  const pool = new SkbPool(16);
  const clock = new VirtualClock();
  const kernel = new Kernel({
    clock,
    rng: new SeededRng(1),
    pool,
    breath: new Breath(() => {}),
    hostname: 'n',
    conntrackMax: 4096,
  });
  const links = [new SinkLink(), new SinkLink()] as const;
  [podA, podB].forEach((addr, i) => {
    const device = kernel.addDevice(`veth${i}`, links[i]!, { mac: MAC + i });
    kernel.addresses.add(device, ipv4('10.244.0.1'), 32);
    kernel.fib.add({ network: ipv4(addr), prefixLen: 32, oif: device.ifindex });
  });
  const put = (n: 0 | 1, frame: Uint8Array): void => {
    const skb = pool.alloc()!;
    skb.mh = SKB_HEADROOM;
    skb.bytes.set(frame, skb.mh);
    skb.tail = skb.mh + frame.length;
    links[n].receiver!.receive(skb);
  };
  const reply = (sha: string, n: number, spa: string) =>
    arp({ op: 'reply', sha, spa, tha: formatMac(MAC + n), tpa: '10.244.0.1' });
  const frames = (n: number, packet: Uint8Array) => ether(packet, { dst: formatMac(MAC + n) });
  return { kernel, netlink: createNetlink(kernel, null), links, pool, put, reply, frames };
}

for (const [podA, podB, vip] of [
  ['10.244.0.5', '10.244.0.6', '10.96.0.10'],
  ['192.168.0.5', '192.168.0.6', '172.20.0.10'],
] as const) {
  t.test(`packets ${podA} to ${vip} and the answers of ${podB}`, async (t) => {
    const { kernel, netlink, links, put, reply, frames } = setup(podA, podB);
    netlink.commit([
      { op: 'ipset-create', name: 'KUBE-CLUSTER-IP', type: 'hash:ip,port' },
      { op: 'ipset-add', name: 'KUBE-CLUSTER-IP', entry: { ip: ipv4(vip), proto: 17, port: 53 } },
      {
        op: 'iptables-restore',
        table: 'nat',
        chains: [
          {
            name: 'PREROUTING',
            rules: [
              {
                matches: [{ kind: 'set', name: 'KUBE-CLUSTER-IP', dims: ['dst', 'dst'] }],
                target: { kind: 'DNAT', addr: ipv4(podB), port: 5353 },
              },
            ],
          },
          { name: 'POSTROUTING', rules: [{ matches: [], target: { kind: 'MASQUERADE', randomFully: false } }] },
        ],
      },
      {
        op: 'iptables-restore',
        table: 'filter',
        chains: [
          {
            name: 'FORWARD',
            rules: [
              { matches: [{ kind: 'ctstate', states: ['INVALID'] }], target: { kind: 'DROP' } },
              { matches: [{ kind: 'mark', value: 0x4000, mask: 0x4000 }], target: { kind: 'ACCEPT' } },
              { matches: [{ kind: 'ctstate', states: ['RELATED', 'ESTABLISHED'] }], target: { kind: 'ACCEPT' } },
            ],
          },
        ],
      },
    ]);
    const ask = frames(0, ip({ saddr: podA, daddr: vip }, udp({ sport: 4000, dport: 53 }, 'x'.repeat(22))));
    const answer = frames(
      1,
      ip({ saddr: podB, daddr: '10.244.0.1' }, udp({ sport: 5353, dport: 4000 }, 'x'.repeat(22))),
    );
    put(0, ask);
    put(1, reply(MAC_B, 1, podB));
    put(1, answer);
    put(0, reply(MAC_A, 0, podA));
    const send = (n: number) => {
      for (let i = 0; i < n; i++) {
        put(0, ask);
        put(1, answer);
      }
    };
    send(50_000);
    const before = links[0].sent + links[1].sent;
    let packets = 0;
    const bytes = await allocated(200_000, () => {
      send(100_000);
      packets += 200_000;
    });
    t.equal(links[0].sent + links[1].sent - before, packets, 'all of them went through');
    t.equal(kernel.conntrack.count, 1);
    t.ok(bytes <= 200_000, `${bytes} bytes for 200,000 packets`);
    kernel.close();
  });
}

t.test('a hundred thousand new connections', async (t) => {
  const { kernel, links, put, reply, frames } = setup('10.244.0.5', '10.244.0.6');
  const packet = (sport: number) =>
    frames(0, ip({ saddr: '10.244.0.5', daddr: '10.244.0.6' }, tcp({ sport, dport: 80, flags: 'S' })));
  const syns = Array.from({ length: 20_000 }, (_, i) => packet(1024 + i));
  put(0, syns[0]!);
  put(1, reply(MAC_B, 1, '10.244.0.6'));
  const send = (n: number) => {
    for (let i = 0; i < n; i++) put(0, syns[i % syns.length]!);
  };
  send(50_000);
  const before = links[1].sent;
  let made = 0;
  const bytes = await allocated(50_000, () => {
    send(50_000);
    made += 50_000;
  });
  const dropped = made - (links[1].sent - before);
  t.ok(dropped < made / 400, `${dropped} of ${made} found the table full and nothing to give up near by`);
  t.ok(bytes <= 50_000, `${bytes} bytes for 50,000 connections`);
  kernel.close();
});
