import t from 'tap';
import { type LiveHop, LiveTraces } from '../../../src/kernel/core/live-trace.ts';
import { ipv4 } from '../../../src/tcpip-ts/wire/address.ts';
import { onNode, POD_A, POD_B } from '../../support/kernel.ts';
import { ip, udp } from '../../support/packet.ts';

const VIP = '10.96.0.10';
const FLOW = { saddr: ipv4(POD_A), sport: undefined, daddr: ipv4(VIP), dport: 53, proto: 17 };

onNode(t, 'a flow is followed both ways through its translation, and nothing else is', (t, lab) => {
  lab.netlink.commit([
    {
      op: 'iptables-restore',
      table: 'nat',
      chains: [
        {
          name: 'PREROUTING',
          policy: 'ACCEPT',
          rules: [
            {
              matches: [{ kind: 'destination', addr: ipv4(VIP), prefixLen: 32 }],
              target: { kind: 'DNAT', addr: ipv4(POD_B), port: 0 },
            },
          ],
        },
      ],
    },
  ]);
  const { kernel } = lab;
  const traces = new LiveTraces(kernel.trace, kernel);
  t.equal(kernel.trace.sink, null, 'nobody listens: one null test');
  const hops: LiveHop[] = [];
  const stop = traces.follow(FLOW, (hop) => hops.push(hop));
  const other: LiveHop[] = [];
  const stopOther = traces.follow({ ...FLOW, dport: 54 }, (hop) => other.push(hop));

  lab.from('a', ip({ saddr: POD_A, daddr: VIP }, udp({ sport: 1000, dport: 53 }, 'q')));
  const request = hops.splice(0);
  t.same(new Set(request.map(({ packet }) => packet)).size, 1);
  t.same(
    request.map(({ stage }) => stage).filter((stage, i, all) => stage !== all[i - 1]),
    ['RECEIVE', 'PREROUTING', 'FORWARD', 'POSTROUTING', 'TRANSMIT'],
  );
  t.match(
    request.find(({ rule }) => rule.includes('DNAT')),
    { stage: 'PREROUTING', rule: `-A PREROUTING -d ${VIP}/32 -j DNAT --to-destination ${POD_B}` },
  );
  t.equal(request.at(-1)!.after, `${POD_A}:1000 > ${POD_B}:53 udp`);

  lab.from('b', ip({ saddr: POD_B, daddr: POD_A }, udp({ sport: 53, dport: 1000 }, 'a')));
  const reply = hops.splice(0);
  t.equal(reply[0]!.before, `${POD_B}:53 > ${POD_A}:1000 udp`);
  t.equal(reply.at(-1)!.after, `${VIP}:53 > ${POD_A}:1000 udp`);

  lab.from('a', ip({ saddr: POD_A, daddr: POD_B }, udp({ sport: 1001, dport: 53 }, 'x')));
  t.same(hops, [], 'not by the Service');
  t.same(other, []);
  stop();
  t.not(kernel.trace.sink, null, 'another still listens');
  stopOther();
  stopOther();
  t.equal(kernel.trace.sink, null);
  lab.from('a', ip({ saddr: POD_A, daddr: VIP }, udp({ sport: 1000, dport: 53 }, 'q')));
  t.same(hops, []);
  for (const pod of ['a', 'b']) lab.take(pod);
});
