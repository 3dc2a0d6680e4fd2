import t from 'tap';
import type { Chain, Rule } from '../../../../src/kernel/netfilter/iptables/rule.ts';
import { LINK_F_CSUM } from '../../../../src/tcpip-ts/link.ts';
import { CHECKSUM_PARTIAL } from '../../../../src/tcpip-ts/skb.ts';
import { completeChecksum } from '../../../../src/tcpip-ts/skb-checksum.ts';
import { ipv4 } from '../../../../src/tcpip-ts/wire/address.ts';
import { put16 } from '../../../../src/tcpip-ts/wire/bytes.ts';
import { fold, pseudoSum } from '../../../../src/tcpip-ts/wire/checksum.ts';
import { GATEWAY, type Lab, NODE_IP, onNode, POD_A, POD_B } from '../../../support/kernel.ts';
import { icmp, ip, parse, tcp, text, udp } from '../../../support/packet.ts';

const VIP = '10.96.0.10';

const dnat: Rule = {
  matches: [
    { kind: 'destination', addr: ipv4(VIP), prefixLen: 32 },
    { kind: 'protocol', proto: 17 },
    { kind: 'dport', first: 53, last: 53 },
  ],
  target: { kind: 'DNAT', addr: ipv4(POD_B), port: 5353 },
};
const dnatTcp: Rule = {
  matches: [
    { kind: 'destination', addr: ipv4(VIP), prefixLen: 32 },
    { kind: 'protocol', proto: 6 },
    { kind: 'dport', first: 80, last: 80 },
  ],
  target: { kind: 'DNAT', addr: ipv4(POD_B), port: 8080 },
};

function masquerade(randomFully = false): Rule {
  return {
    matches: [{ kind: 'source', addr: ipv4(POD_A), prefixLen: 32 }],
    target: { kind: 'MASQUERADE', randomFully },
  };
}

function nat(lab: Lab, ...chains: Chain[]): void {
  lab.netlink.commit([{ op: 'iptables-restore', table: 'nat', chains }]);
}

const query = ip({ saddr: POD_A, daddr: VIP }, udp({ sport: 4000, dport: 53 }, 'who?'));

t.test('destination NAT', async (t) => {
  onNode(t, 'there and back', (t, lab) => {
    nat(lab, { name: 'PREROUTING', rules: [dnat] });
    lab.from('a', query);
    t.match(lab.take('b'), [{ ip: { saddr: POD_A, daddr: POD_B, ttl: 63 }, udp: { sport: 4000, dport: 5353 } }]);
    lab.from('b', ip({ saddr: POD_B, daddr: POD_A }, udp({ sport: 5353, dport: 4000 }, 'me')));
    const [answer] = lab.take('a');
    t.match(answer, { ip: { saddr: VIP, daddr: POD_A }, udp: { sport: 53, dport: 4000 } });
    t.equal(text(answer!.payload), 'me');
    lab.from('a', query);
    t.match(lab.take('b'), [{ ip: { daddr: POD_B }, udp: { dport: 5353 } }]);
    t.match(lab.netlink.conntrack(), [
      { original: { daddr: ipv4(VIP), dport: 53 }, reply: { saddr: ipv4(POD_B), sport: 5353, daddr: ipv4(POD_A) } },
    ]);
  });

  onNode(t, 'the table is asked once a connection', (t, lab) => {
    nat(lab, { name: 'PREROUTING', rules: [dnat] });
    for (let i = 0; i < 5; i++) lab.from('a', query);
    t.match(lab.netlink.iptablesSave('nat', true), '[1:32] -A PREROUTING');
  });

  onNode(t, 'another port of the address is not touched', (t, lab) => {
    nat(lab, { name: 'PREROUTING', rules: [dnat] });
    lab.from('a', ip({ saddr: POD_A, daddr: VIP }, udp({ sport: 4000, dport: 54 })));
    t.same(lab.take('b'), []);
    t.match(lab.take('net'), [{ ip: { daddr: VIP }, udp: { dport: 54 } }]);
  });

  onNode(t, 'on OUTPUT, a local packet is routed again', (t, lab) => {
    nat(lab, { name: 'OUTPUT', rules: [dnat] });
    lab.send(ip({ saddr: NODE_IP, daddr: VIP }, udp({ sport: 4000, dport: 53 }, 'who?')));
    t.match(lab.take('b'), [{ ip: { saddr: NODE_IP, daddr: POD_B, ttl: 64 }, udp: { dport: 5353 } }]);
    lab.from('b', ip({ saddr: POD_B, daddr: NODE_IP }, udp({ sport: 5353, dport: 4000 }, 'me')));
    t.match(parse(lab.local[0]!, 'ip'), { ip: { saddr: VIP, daddr: NODE_IP }, udp: { sport: 53, dport: 4000 } });
  });
});

t.test('masquerade', async (t) => {
  const world = '8.8.8.8';

  onNode(t, 'with the uplink address, port kept, and back', (t, lab) => {
    nat(lab, { name: 'POSTROUTING', rules: [masquerade()] });
    lab.from('a', ip({ saddr: POD_A, daddr: world }, tcp({ sport: 4000, dport: 443, flags: 'S', seq: 1 })));
    t.match(lab.take('net'), [{ ip: { saddr: NODE_IP, daddr: world }, tcp: { sport: 4000 } }]);
    lab.from(
      'net',
      ip({ saddr: world, daddr: NODE_IP }, tcp({ sport: 443, dport: 4000, flags: 'SA', seq: 9, ack: 2 })),
    );
    t.match(lab.take('a'), [{ ip: { saddr: world, daddr: POD_A }, tcp: { dport: 4000 } }]);
    t.same(lab.local, [], 'nothing of it reaches the Node itself');
  });

  onNode(t, 'after DNAT: both rewritten, both undone', (t, lab) => {
    nat(lab, { name: 'PREROUTING', rules: [dnatTcp] }, { name: 'POSTROUTING', rules: [masquerade()] });
    lab.from('a', ip({ saddr: POD_A, daddr: VIP }, tcp({ sport: 4000, dport: 80, flags: 'S', seq: 1 })));
    t.match(lab.take('b'), [{ ip: { saddr: GATEWAY, daddr: POD_B }, tcp: { sport: 4000, dport: 8080 } }]);
    lab.from('b', ip({ saddr: POD_B, daddr: GATEWAY }, tcp({ sport: 8080, dport: 4000, flags: 'SA', seq: 5, ack: 2 })));
    t.match(lab.take('a'), [{ ip: { saddr: VIP, daddr: POD_A }, tcp: { sport: 80, dport: 4000, flags: 'SA' } }]);
    lab.from('a', ip({ saddr: POD_A, daddr: VIP }, tcp({ sport: 4000, dport: 80, flags: 'A', seq: 2, ack: 6 })));
    t.match(lab.take('b'), [{ ip: { saddr: GATEWAY, daddr: POD_B }, tcp: { flags: 'A' } }]);
  });

  onNode(t, 'a Pod that reaches itself through its Service', (t, lab) => {
    const hairpin = { ...dnatTcp, target: { kind: 'DNAT', addr: ipv4(POD_A), port: 8080 } } as const;
    nat(lab, { name: 'PREROUTING', rules: [hairpin] }, { name: 'POSTROUTING', rules: [masquerade()] });
    lab.from('a', ip({ saddr: POD_A, daddr: VIP }, tcp({ sport: 4000, dport: 80, flags: 'S', seq: 1 })));
    t.match(lab.take('a'), [{ ip: { saddr: GATEWAY, daddr: POD_A }, tcp: { sport: 4000, dport: 8080 } }]);
    lab.from('a', ip({ saddr: POD_A, daddr: GATEWAY }, tcp({ sport: 8080, dport: 4000, flags: 'SA', seq: 5, ack: 2 })));
    t.match(lab.take('a'), [{ ip: { saddr: VIP, daddr: POD_A }, tcp: { sport: 80, dport: 4000 } }]);
  });

  onNode(t, 'two Pods with one port: the second gets another', (t, lab) => {
    const both = { matches: [], target: { kind: 'MASQUERADE', randomFully: false } } as const;
    nat(lab, { name: 'POSTROUTING', rules: [both] });
    lab.from('a', ip({ saddr: POD_A, daddr: world }, udp({ sport: 4000, dport: 53 })));
    lab.from('b', ip({ saddr: POD_B, daddr: world }, udp({ sport: 4000, dport: 53 })));
    const [first, second] = lab.take('net');
    t.equal(first!.udp!.sport, 4000);
    t.not(second!.udp!.sport, 4000);
    t.ok(second!.udp!.sport >= 1024, 'an unprivileged port stays one');
    lab.from('net', ip({ saddr: world, daddr: NODE_IP }, udp({ sport: 53, dport: second!.udp!.sport })));
    t.match(lab.take('b'), [{ ip: { daddr: POD_B }, udp: { dport: 4000 } }]);
    t.same(lab.take('a'), []);
  });

  onNode(t, 'a privileged port stays privileged', (t, lab) => {
    const both = { matches: [], target: { kind: 'MASQUERADE', randomFully: false } } as const;
    nat(lab, { name: 'POSTROUTING', rules: [both] });
    for (const [pod, saddr] of [
      ['a', POD_A],
      ['b', POD_B],
    ] as const) {
      lab.from(pod, ip({ saddr, daddr: world }, udp({ sport: 123, dport: 123 })));
      lab.from(pod, ip({ saddr, daddr: world }, udp({ sport: 700, dport: 123 })));
    }
    const ports = lab.take('net').map((p) => p.udp!.sport);
    t.same(ports.slice(0, 2), [123, 700]);
    t.ok(ports[2]! >= 1 && ports[2]! < 512, `${ports[2]}`);
    t.ok(ports[3]! >= 600 && ports[3]! < 1024, `${ports[3]}`);
  });

  onNode(t, 'random-fully: not the port it had', (t, lab) => {
    nat(lab, { name: 'POSTROUTING', rules: [masquerade(true)] });
    for (let i = 0; i < 4; i++) lab.from('a', ip({ saddr: POD_A, daddr: world }, udp({ sport: 4000 + i, dport: 53 })));
    const ports = lab.take('net').map((p) => p.udp!.sport);
    t.ok(
      ports.every((port, i) => port !== 4000 + i),
      ports.join(),
    );
  });

  onNode(t, 'pings of two Pods with one id', (t, lab) => {
    const both = { matches: [], target: { kind: 'MASQUERADE', randomFully: false } } as const;
    nat(lab, { name: 'POSTROUTING', rules: [both] });
    lab.from('a', ip({ saddr: POD_A, daddr: world }, icmp({ type: 8, id: 1, seq: 1 }, 'a')));
    lab.from('b', ip({ saddr: POD_B, daddr: world }, icmp({ type: 8, id: 1, seq: 1 }, 'b')));
    const ids = lab.take('net').map((p) => p.icmp!.id);
    t.equal(ids[0], 1);
    t.not(ids[1], 1);
    lab.from('net', ip({ saddr: world, daddr: NODE_IP }, icmp({ type: 0, id: ids[1]!, seq: 1 }, 'b')));
    t.match(lab.take('b'), [{ ip: { saddr: world, daddr: POD_B }, icmp: { type: 0, id: 1 } }]);
  });
});

t.test('without any rule', async (t) => {
  onNode(t, 'a reply tuple that is taken moves the source port of the newcomer', (t, lab) => {
    // As when IPVS sends two VIPs' connections of one client port to one real server.
    nat(lab, { name: 'PREROUTING', rules: [dnat] });
    lab.from('a', query);
    lab.from('a', ip({ saddr: POD_A, daddr: POD_B }, udp({ sport: 4000, dport: 5353 }, 'direct')));
    const [viaVip, direct] = lab.take('b');
    t.equal(viaVip!.udp!.sport, 4000);
    t.not(direct!.udp!.sport, 4000);
    lab.from('b', ip({ saddr: POD_B, daddr: POD_A }, udp({ sport: 5353, dport: direct!.udp!.sport })));
    t.match(lab.take('a'), [{ ip: { saddr: POD_B }, udp: { sport: 5353, dport: 4000 } }]);
  });
});

t.test('ICMP errors about translated packets', async (t) => {
  onNode(t, 'from the server: quoting what the client sent, coming from the VIP', (t, lab) => {
    nat(lab, { name: 'PREROUTING', rules: [dnat] });
    lab.from('a', query);
    const seen = lab.takeBytes('b')[0]!.slice(14);
    lab.from('b', ip({ saddr: POD_B, daddr: POD_A }, icmp({ type: 3, code: 3 }, seen.slice(0, 28))));
    const [error] = lab.take('a');
    t.match(error, { ip: { saddr: VIP, daddr: POD_A }, icmp: { type: 3, code: 3 } });
    t.match(parse(error!.payload, 'ip'), { ip: { saddr: POD_A, daddr: VIP }, udp: { sport: 4000, dport: 53 } });
  });

  onNode(t, 'from a router, about a masqueraded packet', (t, lab) => {
    nat(lab, { name: 'POSTROUTING', rules: [masquerade(true)] });
    lab.from('a', ip({ saddr: POD_A, daddr: '8.8.8.8' }, udp({ sport: 4000, dport: 33434 }, 'probe')));
    const seen = lab.takeBytes('net')[0]!.slice(14);
    lab.from('net', ip({ saddr: '192.168.49.1', daddr: NODE_IP }, icmp({ type: 11, code: 0 }, seen)));
    const [error] = lab.take('a');
    t.match(error, { ip: { saddr: '192.168.49.1', daddr: POD_A }, icmp: { type: 11 } });
    t.match(parse(error!.payload, 'ip'), { ip: { saddr: POD_A, daddr: '8.8.8.8' }, udp: { sport: 4000 } });
  });

  onNode(t, 'made here about a first packet, before its connection is confirmed', (t, lab) => {
    nat(lab, { name: 'PREROUTING', rules: [dnat] });
    lab.from('a', ip({ saddr: POD_A, daddr: VIP, ttl: 1 }, udp({ sport: 4000, dport: 53 }, 'who?')));
    const [error] = lab.take('a');
    t.match(error, { icmp: { type: 11, code: 0 } });
    t.match(parse(error!.payload, 'ip'), { ip: { saddr: POD_A, daddr: VIP }, udp: { sport: 4000, dport: 53 } });
    t.equal(lab.kernel.conntrack.count, 0);
  });

  onNode(t, 'about a ping that was masqueraded', (t, lab) => {
    nat(lab, { name: 'POSTROUTING', rules: [masquerade(true)] });
    lab.from('a', ip({ saddr: POD_A, daddr: '8.8.8.8' }, icmp({ type: 8, id: 7, seq: 1 }, 'x')));
    const seen = lab.takeBytes('net')[0]!.slice(14);
    lab.from('net', ip({ saddr: '192.168.49.1', daddr: NODE_IP }, icmp({ type: 11, code: 0 }, seen)));
    const [error] = lab.take('a');
    t.match(parse(error!.payload, 'ip'), { ip: { saddr: POD_A }, icmp: { type: 8, id: 7 } });
  });
});

t.test('partial checksums', async (t) => {
  onNode(
    t,
    'pass translation so that the next one can complete them',
    (t, lab) => {
      nat(lab, { name: 'PREROUTING', rules: [dnat] }, { name: 'POSTROUTING', rules: [masquerade(true)] });
      lab.station('b').wire.drop = (skb) => {
        if (skb.checksum === CHECKSUM_PARTIAL) completeChecksum(skb);
        return false;
      };
      lab.from('a', query, (skb) => {
        skb.checksum = CHECKSUM_PARTIAL;
        skb.csumStart = skb.nh + 20;
        skb.csumField = skb.nh + 26;
        put16(skb.bytes, skb.csumField, fold(pseudoSum(ipv4(POD_A), ipv4(VIP), 17, skb.tail - skb.csumStart)));
      });
      t.match(lab.take('b'), [{ ip: { saddr: GATEWAY, daddr: POD_B }, udp: { dport: 5353 } }]);
    },
    { features: LINK_F_CSUM },
  );

  onNode(t, 'no checksum stays none', (t, lab) => {
    nat(lab, { name: 'PREROUTING', rules: [dnat] });
    lab.from('a', ip({ saddr: POD_A, daddr: VIP }, udp({ sport: 4000, dport: 53, checksum: 0 }, 'x')));
    t.match(lab.take('b'), [{ udp: { checksum: 0, dport: 5353 } }]);
  });
});
