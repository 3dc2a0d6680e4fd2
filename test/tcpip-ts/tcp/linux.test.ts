// TCP against the Linux kernel's (support/kernel-peer.ts): bytes arrive exactly over bad wires, either side connecting. bench/interop is
// the long version.
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import t from 'tap';
import { TcpServer } from '../../../src/tcpip-ts/socket/tcp-server.ts';
import { TcpSocket } from '../../../src/tcpip-ts/socket/tcp-socket.ts';
import {
  BLOCK,
  digestOf,
  exchange,
  kernelPeer,
  line,
  type PeerOptions,
  peer,
  runInKernel,
} from '../../support/kernel-peer.ts';
import { canUseNetns } from '../../support/netns.ts';
import { eventually } from '../../support/podwire.ts';

interface Case extends PeerOptions {
  readonly name: string;
  readonly mib: number;
}

const CASES: readonly Case[] = [
  { name: 'a clean wire', mib: 8 },
  { name: 'a clean wire with offloads', mib: 32, offload: true },
  { name: 'loss of 0.1 %', mib: 4, impairment: { loss: 0.001 } },
  { name: 'loss of 1 %', mib: 2, impairment: { loss: 0.01 } },
  { name: 'loss of 5 %', mib: 1, impairment: { loss: 0.05 } },
  { name: 'loss of 1 % with offloads', mib: 8, offload: true, impairment: { loss: 0.01 } },
  { name: 'delay and jitter', mib: 4, impairment: { delayUs: 5000, jitterUs: 3000, limit: 4000 } },
  { name: 'reordering', mib: 4, impairment: { delayUs: 1000, reorder: 0.05, limit: 4000 } },
  { name: 'duplication', mib: 4, impairment: { duplicate: 0.1 } },
  { name: 'corruption', mib: 2, impairment: { corrupt: 0.01 } },
  { name: 'a rate of 50 Mbit/s', mib: 4, impairment: { rateBps: 50e6, limit: 50 } },
  { name: 'an MTU of 576', mib: 2, mtu: 576, impairment: { loss: 0.01 } },
  { name: 'an MTU of 65,520', mib: 32, mtu: 65_520 },
  {
    name: 'a wire that marks, ECN asked for by both',
    mib: 4,
    mark: 0.01,
    tcp: { ecn: 1 },
    sysctls: { tcp_ecn: '1' },
  },
  {
    name: 'loss of 1 %, the kernel without SACK and timestamps',
    mib: 2,
    impairment: { loss: 0.01 },
    sysctls: { tcp_sack: '0', tcp_timestamps: '0' },
  },
  {
    name: 'loss of 1 % under CUBIC, without window scaling',
    mib: 2,
    impairment: { loss: 0.01 },
    tcp: { congestion: 'cubic', windowScaling: false },
  },
  { name: 'tiny windows of ours', mib: 1, tcp: { receiveBuffer: 2000, receiveBufferMax: 2000 } },
  { name: 'tiny windows of the kernel’s', mib: 1, sysctls: { tcp_rmem: '4096 4096 4096' } },
  { name: 'a SYN cookie of the kernel’s', mib: 1, sysctls: { tcp_syncookies: '2' } },
  { name: 'a SYN cookie of ours', mib: 1, tcp: { maxSynQueue: 0 } },
];

const ROLES = ['listen', 'connect'] as const;

for (const [i, c] of CASES.entries()) {
  // Both over the first few wires, then in turn.
  for (const role of i < 4 ? ROLES : [ROLES[i % 2]!]) {
    t.test(
      `${c.mib} MiB each way over ${c.name}, the kernel ${role === 'listen' ? 'listens' : 'connects'}`,
      async (t) => {
        if (!canUseNetns(t)) return;
        const { netns, stack } = kernelPeer(t, c);
        const blocks = (c.mib << 20) / BLOCK;
        let child: ChildProcess;
        let socket: TcpSocket;
        if (role === 'listen') {
          child = peer(netns, blocks, role);
          t.equal(await once(child.stdout!, 'data').then(([b]) => String(b).trim()), 'ready');
          socket = new TcpSocket(stack, { allowHalfOpen: true }).connect(80, '10.0.0.2');
        } else {
          const server = new TcpServer(stack, { allowHalfOpen: true }).listen(80);
          child = peer(netns, blocks, role);
          [socket] = (await once(server, 'connection')) as [TcpSocket];
        }
        const theirs = line(child);
        const ours = await exchange(socket, blocks);
        const wanted = digestOf(blocks);
        t.equal(ours, wanted, 'what we received');
        t.equal(await theirs, wanted, 'what the kernel received');
        const { counters } = stack;
        t.comment(`${counters.get('TcpRetransSegs')} retransmitted, ${counters.get('TcpExtTCPTimeouts')} timeouts`);
        if (child.exitCode === null) await once(child, 'exit');
        t.equal(child.exitCode, 0);
        if (c.mark) {
          t.ok(counters.get('TcpExtTCPDeliveredCE') > 0, 'the kernel echoed marks');
          t.ok(counters.get('IpExtInCEPkts') > 0, 'and its packets were marked');
        }
        if (c.impairment?.corrupt === undefined) t.equal(counters.get('TcpInErrs'), 0);
        // The last of them goes with the acknowledgment of our FIN, which may have to be sent again.
        await eventually('no segment record left', () => stack.tcp.segments.used === 0);
      },
    );
  }
}

t.test('a closed port of ours refuses the kernel, and the kernel’s refuses us', async (t) => {
  if (!canUseNetns(t)) return;
  const { netns, stack } = kernelPeer(t, {});
  const script = `require('net').connect(81, '10.0.0.1').on('error', (e) => console.log(e.code))`;
  const child = runInKernel(netns, script);
  t.equal(await line(child), 'ECONNREFUSED');
  const [error] = await once(new TcpSocket(stack).connect(81, '10.0.0.2'), 'error');
  t.match(error, { message: 'connect ECONNREFUSED 10.0.0.2:81' });
});
