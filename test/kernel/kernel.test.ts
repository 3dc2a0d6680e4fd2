import t from 'tap';
import { formatTuple, TraceRecorder, textOf } from '../../src/kernel/core/trace.ts';
import { RTN_LOCAL } from '../../src/kernel/ip/fib.ts';
import { Stack } from '../../src/tcpip-ts/stack.ts';
import { ipv4 } from '../../src/tcpip-ts/wire/address.ts';
import { type Lab, NODE_IP, onNode, POD_A, POD_B } from '../support/kernel.ts';
import { icmp, ip, parse, text, udp } from '../support/packet.ts';

const VIP = '10.96.0.10';

/** The Node's own stack, wired as the cluster wires it. */
function stackOn(lab: Lab): Stack {
  const stack = new Stack({ clock: lab.clock, rng: lab.kernel.rng, pool: lab.pool });
  stack.addInterface(lab.kernel.localLink(), { addr: ipv4(NODE_IP), prefixLen: 32, anyAddress: true });
  stack.addRoute(0, 0, 0, 1);
  return stack;
}

function bindVip(lab: Lab): void {
  lab.netlink.commit([
    { op: 'link-add', name: 'kube-ipvs0', kind: 'dummy' },
    { op: 'addr-add', dev: 'kube-ipvs0', addr: ipv4(VIP), prefixLen: 32 },
  ]);
}

t.test('addresses', async (t) => {
  onNode(t, 'one on a dummy is local, though the device is down; deleted, it is not', (t, lab) => {
    bindVip(lab);
    t.equal(lab.kernel.fib.typeOf(lab.kernel.fib.lookup(ipv4(VIP))), RTN_LOCAL);
    lab.from('a', ip({ saddr: POD_A, daddr: VIP }, udp({ sport: 1, dport: 2 })));
    t.match(parse(lab.local[0]!, 'ip'), { ip: { daddr: VIP, ttl: 64 } });
    t.throws(() => lab.netlink.commit([{ op: 'addr-add', dev: 'kube-ipvs0', addr: ipv4(VIP), prefixLen: 32 }]), {
      code: 'EEXIST',
    });
    lab.netlink.commit([{ op: 'addr-del', dev: 'kube-ipvs0', addr: ipv4(VIP), prefixLen: 32 }]);
    t.throws(() => lab.netlink.commit([{ op: 'addr-del', dev: 'kube-ipvs0', addr: ipv4(VIP), prefixLen: 32 }]), {
      code: 'EADDRNOTAVAIL',
    });
    lab.from('a', ip({ saddr: POD_A, daddr: VIP }, udp({ sport: 1, dport: 2 })));
    t.match(lab.take('net'), [{ ip: { daddr: VIP } }]);
  });

  onNode(t, 'the gateway stays local until the last Pod is gone', (t, lab) => {
    const gateway = ipv4('10.244.0.1');
    lab.kernel.removeDevice(lab.station('a').device);
    t.ok(lab.kernel.fib.isLocal(gateway));
    lab.kernel.removeDevice(lab.station('b').device);
    t.notOk(lab.kernel.fib.isLocal(gateway));
    t.same(
      lab.netlink.links().map((l) => l.name),
      ['lo', 'vethnet'],
    );
  });

  onNode(t, 'an address with a prefix brings its network and broadcast, and takes them away', (t, lab) => {
    const { fib } = lab.kernel;
    const main = () => fib.list('main').length;
    const [routes, locals] = [main(), fib.list('local').length];
    lab.netlink.commit([{ op: 'addr-add', dev: 'vethnet', addr: ipv4('172.16.5.1'), prefixLen: 24 }]);
    t.equal(main(), routes + 1);
    t.equal(fib.list('local').length, locals + 2);
    lab.netlink.commit([{ op: 'addr-del', dev: 'vethnet', addr: ipv4('172.16.5.1'), prefixLen: 24 }]);
    t.equal(main(), routes);
    t.equal(fib.list('local').length, locals);
  });
});

t.test("the Node's own stack", async (t) => {
  onNode(t, 'answers pings to the Node and to a ClusterIP', (t, lab) => {
    const stack = stackOn(lab);
    bindVip(lab);
    for (const daddr of [NODE_IP, VIP]) {
      lab.from('a', ip({ saddr: POD_A, daddr }, icmp({ type: 8, id: 1, seq: 1 }, 'ping')));
      t.match(lab.take('a'), [{ ip: { saddr: daddr, daddr: POD_A }, icmp: { type: 0, id: 1 } }]);
    }
    stack.close();
  });

  onNode(t, 'talks UDP with a Pod, and with itself over lo', (t, lab) => {
    const stack = stackOn(lab);
    const heard: string[] = [];
    const server = stack.udp.bind({ port: 53 });
    server.onMessage = (bytes, saddr, sport) => {
      heard.push(text(bytes));
      server.send(new TextEncoder().encode('answer'), saddr, sport);
    };
    lab.from('a', ip({ saddr: POD_A, daddr: NODE_IP }, udp({ sport: 4000, dport: 53 }, 'from a pod')));
    t.match(lab.take('a'), [{ ip: { saddr: NODE_IP }, udp: { sport: 53, dport: 4000 } }]);
    const client = stack.udp.bind({});
    client.onMessage = (bytes) => heard.push(text(bytes));
    bindVip(lab);
    client.send(new TextEncoder().encode('to a VIP'), ipv4(VIP), 53);
    lab.settle();
    t.same(heard, ['from a pod', 'to a VIP', 'answer']);
    t.match(lab.netlink.links()[0], { name: 'lo', kind: 'loopback' });
    t.equal(lab.kernel.devices.byName('lo')!.rxPackets, 2);
    stack.close();
  });

  onNode(t, 'hears at once that there is no route', (t, lab) => {
    lab.kernel.fib.remove(0, 0);
    lab.send(ip({ saddr: NODE_IP, daddr: '8.8.8.8' }, udp({ sport: 1, dport: 2 })));
    t.match(parse(lab.local[0]!, 'ip'), { ip: { saddr: NODE_IP, daddr: NODE_IP }, icmp: { type: 3, code: 0 } });
  });

  onNode(t, 'a local connection keeps its translation over lo', (t, lab) => {
    lab.netlink.commit([
      {
        op: 'iptables-restore',
        table: 'nat',
        chains: [
          {
            name: 'OUTPUT',
            rules: [
              {
                matches: [{ kind: 'destination', addr: ipv4(VIP), prefixLen: 32 }],
                target: { kind: 'DNAT', addr: ipv4(NODE_IP), port: 8053 },
              },
            ],
          },
        ],
      },
    ]);
    lab.send(ip({ saddr: NODE_IP, daddr: VIP }, udp({ sport: 4000, dport: 53 }, 'x')));
    t.match(parse(lab.local[0]!, 'ip'), { ip: { daddr: NODE_IP }, udp: { dport: 8053 } });
    lab.send(ip({ saddr: NODE_IP, daddr: NODE_IP }, udp({ sport: 8053, dport: 4000 }, 'y')));
    t.match(parse(lab.local[1]!, 'ip'), { ip: { saddr: VIP, daddr: NODE_IP }, udp: { sport: 53, dport: 4000 } });
    t.equal(lab.kernel.conntrack.count, 1);
  });
});

t.test('observers', async (t) => {
  onNode(t, 'a trace tells the stages, the rule and the rewriting of one packet', (t, lab) => {
    lab.netlink.commit([
      {
        op: 'iptables-restore',
        table: 'nat',
        chains: [
          {
            name: 'PREROUTING',
            rules: [
              {
                matches: [
                  { kind: 'destination', addr: ipv4(VIP), prefixLen: 32 },
                  { kind: 'protocol', proto: 17 },
                ],
                target: { kind: 'DNAT', addr: ipv4(POD_B), port: 5353 },
              },
            ],
          },
        ],
      },
    ]);
    lab.from('b', ip({ saddr: POD_B, daddr: POD_A }, udp({ sport: 1, dport: 2 }))); // resolves the neighbours
    lab.from('a', ip({ saddr: POD_A, daddr: POD_B }, udp({ sport: 1, dport: 2 })));
    const recorder = new TraceRecorder();
    lab.kernel.trace.sink = recorder;
    lab.from('a', ip({ saddr: POD_A, daddr: VIP }, udp({ sport: 4000, dport: 53 })));
    lab.kernel.trace.sink = null;
    lab.from('a', ip({ saddr: POD_A, daddr: VIP }, udp({ sport: 4001, dport: 53 })));
    t.same(
      recorder.records.map(
        (r) =>
          `${r.packet} ${r.stage} ${r.rule === null ? '' : textOf(r.rule)} | ${textOf(r.action)} | ${formatTuple(r.after)}`,
      ),
      [
        '1 RECEIVE  | RECEIVE | 10.244.0.5:4000 > 10.96.0.10:53 udp',
        '1 PREROUTING  | PREROUTING | 10.244.0.5:4000 > 10.96.0.10:53 udp',
        '1 PREROUTING -t nat -A PREROUTING -d 10.96.0.10/32 -p udp -j DNAT --to-destination 10.244.0.6:5353 | DNAT | 10.244.0.5:4000 > 10.96.0.10:53 udp',
        '1 PREROUTING conntrack | DNAT | 10.244.0.5:4000 > 10.244.0.6:5353 udp',
        '1 FORWARD  | FORWARD | 10.244.0.5:4000 > 10.244.0.6:5353 udp',
        '1 POSTROUTING  | POSTROUTING | 10.244.0.5:4000 > 10.244.0.6:5353 udp',
        '1 TRANSMIT  | TRANSMIT | 10.244.0.5:4000 > 10.244.0.6:5353 udp',
      ],
    );
  });

  onNode(t, 'a trace tells the drop', (t, lab) => {
    const recorder = new TraceRecorder();
    lab.kernel.trace.sink = recorder;
    lab.from('a', ip({ saddr: POD_A, daddr: '224.0.0.1' }, udp({ sport: 1, dport: 2 })));
    t.equal(textOf(recorder.records.at(-1)!.action), 'DROP IP_INVALID_DEST');
  });

  onNode(t, 'the tap sees every packet of every device, both ways, ARP too', (t, lab) => {
    const seen: string[] = [];
    lab.kernel.devices.tap = {
      packet: (device, direction, skb) => seen.push(`${device.name} ${direction} ${skb.tail - skb.mh}`),
    };
    lab.from('a', ip({ saddr: POD_A, daddr: POD_B }, udp({ sport: 1, dport: 2 })));
    t.same(seen, ['vetha rx 42', 'vethb tx 42', 'vethb rx 42', 'vethb tx 42']);
    const { device } = lab.station('b');
    t.same([device.txPackets, device.txBytes, device.rxPackets, device.rxBytes], [2, 84, 1, 42]);
  });
});

t.test('netlink', async (t) => {
  onNode(t, 'a failing op names itself; what came before stays', (t, lab) => {
    t.throws(
      () =>
        lab.netlink.commit([
          { op: 'link-add', name: 'kube-ipvs0', kind: 'dummy' },
          { op: 'link-add', name: 'kube-ipvs0', kind: 'dummy' },
        ]),
      { name: 'NetlinkError', message: 'link-add: kube-ipvs0: EEXIST', code: 'EEXIST', index: 1 },
    );
    t.ok(lab.kernel.devices.byName('kube-ipvs0'));
    lab.netlink.commit([{ op: 'link-del', name: 'kube-ipvs0' }]);
    t.throws(() => lab.netlink.commit([{ op: 'link-del', name: 'kube-ipvs0' }]), { code: 'ENODEV' });
    lab.netlink.commit([{ op: 'conntrack-timeouts', timeouts: { tcpEstablished: 86400 } }]);
    t.equal(lab.kernel.conntrack.timeouts.tcpEstablished, 86400);
  });
});

onNode(t, 'closing twice is fine', (t, lab) => {
  lab.close();
  lab.close();
  t.pass();
});
