import t from 'tap';
import { formatMac, ipv4 } from '../../../src/tcpip-ts/wire/address.ts';
import { GATEWAY, NODE_IP, onNode, POD_A, POD_B } from '../../support/kernel.ts';
import { arp, ip, parse, udp } from '../../support/packet.ts';

const MAC = '02:00:00:00:00:11';
const probe = (sport = 1) => ip({ saddr: POD_A, daddr: POD_B }, udp({ sport, dport: 2 }));

t.test('answering', async (t) => {
  onNode(t, 'the gateway address is claimed on a Pod device, with its MAC', (t, lab) => {
    const { wire, device } = lab.station('a');
    lab.frame('a', arp({ op: 'request', sha: MAC, spa: POD_A, tpa: GATEWAY }));
    t.match(parse(wire.take('a').at(-1)!), {
      eth: { dst: MAC },
      arp: { op: 'reply', sha: formatMac(device.mac), spa: GATEWAY, tha: MAC, tpa: POD_A },
    });
  });

  onNode(t, 'nothing else is: not the Node address, not a ClusterIP, not another Pod', (t, lab) => {
    lab.netlink.commit([
      { op: 'link-add', name: 'kube-ipvs0', kind: 'dummy' },
      { op: 'addr-add', dev: 'kube-ipvs0', addr: ipv4('10.96.0.10'), prefixLen: 32 },
    ]);
    for (const tpa of [NODE_IP, '10.96.0.10', POD_B, '127.0.0.1']) {
      lab.frame('a', arp({ op: 'request', sha: MAC, spa: POD_A, tpa }));
    }
    t.same(lab.station('a').wire.take('a'), []);
  });

  onNode(t, 'every address of the device is answered for', (t, lab) => {
    const { device, wire } = lab.station('net');
    lab.kernel.addresses.add(device, ipv4('192.168.49.77'), 24);
    lab.frame('net', arp({ op: 'request', sha: MAC, spa: '192.168.49.1', tpa: '192.168.49.77' }));
    lab.frame('net', arp({ op: 'request', sha: MAC, spa: '192.168.49.1', tpa: NODE_IP }));
    t.match(
      wire.take('a').map((b) => parse(b)),
      [{ arp: { op: 'reply', spa: '192.168.49.77' } }, { arp: { op: 'reply', spa: NODE_IP } }],
    );
  });

  onNode(t, 'a stub of an ARP packet is dropped', (t, lab) => {
    lab.frame('a', arp({ op: 'request', sha: MAC, spa: POD_A, tpa: GATEWAY }).slice(0, 30));
    t.same(lab.kernel.drops.snapshot(), { PKT_TOO_SMALL: 1 });
  });
});

t.test('resolving', async (t) => {
  onNode(t, 'asks with the gateway address, sends what waited, and asks no more', (t, lab) => {
    const { wire, device } = lab.station('b');
    lab.from('a', probe());
    lab.from('a', probe());
    const frames = wire.take('a').map((b) => parse(b));
    t.match(frames, [
      { arp: { op: 'request', sha: formatMac(device.mac), spa: GATEWAY, tpa: POD_B } },
      { udp: { sport: 1 } },
      { udp: { sport: 1 } },
    ]);
    t.match(lab.kernel.neighbours.list(device), [{ addr: ipv4(POD_B), state: 'reachable' }]);
  });

  onNode(
    t,
    'three requests, then host unreachable to the sender of each packet that waited',
    (t, lab) => {
      lab.kernel.fib.add({ network: ipv4(POD_A), prefixLen: 32, oif: lab.station('net').device.ifindex });
      lab.from('net', ip({ saddr: '192.168.49.1', daddr: POD_B }, udp({ sport: 9, dport: 2 })));
      lab.clock.advance(3_500_000);
      const requests = lab.station('b').wire.take('a');
      t.equal(requests.length, 3);
      // The way back to the sender is silent, too: only its resolution is seen, and the error waits for it.
      t.match(lab.kernel.drops.snapshot(), { NEIGH_FAILED: 1 });
      lab.clock.advance(4_000_000);
    },
    { silent: true },
  );

  onNode(
    t,
    'a bounded number of packets waits, the oldest give way',
    (t, lab) => {
      for (let i = 1; i <= 40; i++) lab.from('a', probe(i));
      const dropped = lab.kernel.drops.snapshot()['NEIGH_QUEUEFULL'] ?? 0;
      t.ok(dropped >= 8, `${dropped} dropped`);
      const { device, wire } = lab.station('b');
      wire.take('a');
      lab.frame('b', arp({ op: 'reply', sha: MAC, spa: POD_B, tha: formatMac(device.mac), tpa: GATEWAY }));
      const sent = lab.take('b');
      t.equal(sent.length, 40 - dropped);
      t.equal(sent.at(-1)!.udp!.sport, 40);
    },
    { silent: true },
  );
});
