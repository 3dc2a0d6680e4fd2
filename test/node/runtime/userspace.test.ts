// The userspace runtime without a Node: the other end of the Pod's device leads nowhere.
import { PassThrough } from 'node:stream';
import t from 'tap';
import { Breath } from '../../../src/lib/breath.ts';
import { VirtualClock } from '../../../src/lib/clock.ts';
import { SeededRng } from '../../../src/lib/rng.ts';
import { Backlog, ringPair } from '../../../src/link/ring.ts';
import type { Cni } from '../../../src/node/cni.ts';
import { UserspaceRuntime } from '../../../src/node/runtime/userspace.ts';
import type { Program } from '../../../src/node/workloads/program.ts';
import { SkbPool } from '../../../src/tcpip-ts/skb.ts';
import { TcpServer } from '../../../src/tcpip-ts/socket/tcp-server.ts';
import { TcpSocket } from '../../../src/tcpip-ts/socket/tcp-socket.ts';
import { Stack } from '../../../src/tcpip-ts/stack.ts';
import { parseMac } from '../../../src/tcpip-ts/wire/address.ts';
import { SinkLink } from '../../support/sink-link.ts';

const MAC = parseMac('02:00:00:00:00:05');
const POD = { namespace: 'dev', name: 'jump', uid: '1', hostname: 'jump', files: new Map<string, string>() };

t.test('who is connected to a Pod hears of its end', async (t) => {
  const clock = new VirtualClock();
  const [rng, pool] = [new SeededRng(1), new SkbPool(64)];
  const backlog = new Backlog(new Breath((fn) => clock.after(0, fn)));
  const [nodeLink, podLink] = ringPair(backlog, { kind: 'ether', mtu: 1500, features: 0 });
  const peer = new Stack({ clock, rng, pool });
  peer.addInterface(nodeLink, { mac: parseMac('02:00:00:00:00:01'), addr: 0x0af40001, prefixLen: 24 });
  const detach = (): void => nodeLink.close();
  const cni = { attachRing: () => ({ podLink, podIP: 0x0af40005, podMac: MAC, gateway: 0x0af40001, detach }) };
  const server: Program = async ({ stack, signal }) => {
    const listener = new TcpServer(stack, (socket) => socket.on('data', () => {})).listen(80);
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
    listener.close();
    return 0;
  };
  const programs = new Map([['server', server]]);
  const sandbox = await new UserspaceRuntime({
    clock,
    rng,
    pool,
    api: null,
    programs,
    cni: cni as unknown as Cni,
  }).create(POD);
  const io = { stdin: null, stdout: new PassThrough(), stderr: new PassThrough(), tty: false };
  const process = await sandbox.run({ argv: ['server'], env: {}, cwd: '/', io });
  const client = new TcpSocket(peer).connect(80, '10.244.0.5');
  let isOver = false;
  client.on('end', () => (isOver = true)).on('error', () => (isOver = true));
  await clock.run(1e6);
  client.write('a request');
  await clock.run(1e6);
  t.notOk(isOver);
  process.signal('SIGTERM');
  await process.exit;
  const closed = sandbox.close();
  await clock.run(1e6);
  await closed;
  t.ok(isOver, 'and does not wait for an answer');
  client.destroy();
  peer.close();
  backlog.close();
});

t.test('what a program writes after it was killed, its output closed, is lost and hurts nobody', async (t) => {
  const clock = new VirtualClock();
  const stubborn: Program = async ({ stdout, stderr }) => {
    stdout.write('begun\n');
    await new Promise<void>((resolve) => clock.after(1e6, resolve));
    stdout.write('too late\n');
    stderr.write('too late\n');
    return 0;
  };
  const cni = {
    attachRing: () => ({
      podLink: new SinkLink(),
      podIP: 0x0af40005,
      podMac: MAC,
      gateway: 0x0af40001,
      detach: () => {},
    }),
  } as unknown as Cni;
  const runtime = new UserspaceRuntime({
    ...{ clock, cni, rng: new SeededRng(1), pool: new SkbPool(16), api: null },
    programs: new Map([['stubborn', stubborn]]),
  });
  const sandbox = await runtime.create(POD);
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const io = { stdin: null, stdout, stderr, tty: false };
  const process = await sandbox.run({ argv: ['stubborn'], env: {}, cwd: '/', io });
  process.signal('SIGKILL');
  t.same(await process.exit, { code: 137 });
  stdout.end();
  stderr.end();
  await clock.run(2e6);
  await new Promise((resolve) => setImmediate(resolve));
  t.equal(stdout.read()?.toString(), 'begun\n');
  const closed = sandbox.close();
  await clock.run(1e6);
  await closed;
});
