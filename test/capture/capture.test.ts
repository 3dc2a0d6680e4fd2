// Captures of a Node on a bench: what is dropped, with its reason; and one Service's packets, before translation and after. Read with
// the real tshark where there is one.
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { Capture, type CaptureOptions, TapList } from '../../src/capture/capture.ts';
import { compileFilter } from '../../src/capture/filter.ts';
import { serviceFilter } from '../../src/capture/service-filter.ts';
import { connectionsOf } from '../../src/cluster/capture-filter.ts';
import type { NftCommand } from '../../src/kernel/netfilter/nftables/ruleset.ts';
import { ipv4 } from '../../src/tcpip-ts/wire/address.ts';
import { type Lab, NODE_IP, onNode, POD_A, POD_B } from '../support/kernel.ts';
import { canRun } from '../support/netns.ts';
import { ip, udp } from '../support/packet.ts';

const VIP = '10.96.0.10';
const DNAT: readonly NftCommand[] = [
  { command: 'add-table' },
  { command: 'add-chain', chain: { name: 'nat', base: { type: 'nat', hook: 'prerouting', priority: -100 } } },
  {
    command: 'add-rule',
    chain: 'nat',
    rule: {
      expressions: [
        { kind: 'address', field: 'daddr', addr: ipv4(VIP), prefixLen: 32 },
        { kind: 'l4proto', proto: 17 },
        { kind: 'dnat', addr: ipv4(POD_B), port: 5353 },
      ],
    },
  },
];

/** One line a packet: the fields that tshark finds in what `body` had captured. */
function captured(
  t: Test,
  lab: Lab,
  options: Partial<CaptureOptions>,
  fields: readonly string[],
  body: () => void,
): string[] {
  const { kernel } = lab;
  const chunks: Uint8Array[] = [];
  const names = { generation: 0, addresses: () => [], podOfDevice: () => undefined };
  const capture = new Capture(
    {
      nodeName: 'node-1',
      devices: kernel.devices,
      taps: new TapList(kernel.devices, kernel.drops),
      clock: lab.clock,
      names,
    },
    { pods: [], filter: compileFilter(''), dropped: false, sink: (bytes) => chunks.push(bytes), ...options },
  );
  body();
  capture.stop();
  body(); // is captured no more
  const file = join(t.testdir(), 'capture.pcapng');
  writeFileSync(file, Buffer.concat(chunks));
  const out = execFileSync('tshark', ['-r', file, '-T', 'fields', ...fields.flatMap((f) => ['-e', f])], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  return out.split('\n').filter((line) => line !== '');
}

onNode(t, 'what is dropped has its reason as a comment, and what is not is left out', (t, lab) => {
  if (!canRun(t, 'tshark')) return;
  const fields = ['frame.interface_name', 'ip.src', 'ip.dst', 'frame.comment'];
  const lines = captured(t, lab, { dropped: true }, fields, () => {
    lab.from('a', ip({ saddr: POD_A, daddr: POD_B }, udp({ sport: 1, dport: 2 })));
    lab.from('a', ip({ saddr: POD_A, daddr: POD_B, ttl: 1 }, udp({ sport: 1, dport: 2 })));
    lab.from('b', ip({ saddr: '127.0.0.1', daddr: POD_A }, udp({ sport: 1, dport: 2 })));
  });
  t.same(lines, [
    `vetha\t${POD_A}\t${POD_B}\tdropped: IP_INHDR`,
    `vethb\t127.0.0.1\t${POD_A}\tdropped: IP_INVALID_SOURCE`,
  ]);
});

onNode(t, "a Service's packets, before translation and after, and errors about them", (t, lab) => {
  if (!canRun(t, 'tshark')) return;
  lab.netlink.commit([{ op: 'nft', table: 't', commands: DNAT }]);
  let served = [{ proto: 17, addr: ipv4(VIP) as number | undefined, port: 53 }];
  const source = {
    generation: 0,
    sockets: () => served,
  };
  const fields = ['ip.src', 'ip.dst', 'udp.srcport', 'udp.dstport', 'icmp.type'];
  const lines = captured(t, lab, { filter: serviceFilter(source, connectionsOf(lab.kernel)) }, fields, () => {
    lab.from('a', ip({ saddr: POD_A, daddr: VIP }, udp({ sport: 1000, dport: 53 })));
    lab.from('b', ip({ saddr: POD_B, daddr: POD_A }, udp({ sport: 5353, dport: 1000 })));
    lab.from('a', ip({ saddr: POD_A, daddr: POD_B }, udp({ sport: 1001, dport: 5353 }))); // straight to the endpoint
    lab.from('a', ip({ saddr: POD_A, daddr: VIP, ttl: 1 }, udp({ sport: 1002, dport: 53 })));
    lab.from('a', ip({ saddr: POD_A, daddr: NODE_IP }, udp({ sport: 1003, dport: 30053 })));
  });
  t.same(lines, [
    `${POD_A}\t${VIP}\t1000\t53\t`,
    `${POD_A}\t${POD_B}\t1000\t5353\t`,
    `${POD_B}\t${POD_A}\t5353\t1000\t`,
    `${VIP}\t${POD_A}\t53\t1000\t`,
    `${POD_A}\t${VIP}\t1002\t53\t`,
    `${VIP},${POD_A}\t${POD_A},${VIP}\t1002\t53\t11`,
  ]);
  served = [{ proto: 17, addr: undefined, port: 30053 }];
  source.generation++;
  const nodePort = captured(t, lab, { filter: serviceFilter(source, connectionsOf(lab.kernel)) }, fields, () => {
    lab.from('a', ip({ saddr: POD_A, daddr: NODE_IP }, udp({ sport: 1003, dport: 30053 })));
    lab.from('a', ip({ saddr: POD_A, daddr: VIP }, udp({ sport: 1004, dport: 30053 })));
  });
  t.match(nodePort[0], `${POD_A}\t${NODE_IP}\t1003\t30053`, "a node port of the Node's own address");
  t.notOk(
    nodePort.some((line) => line.includes('1004')),
    'and of no other',
  );
});
