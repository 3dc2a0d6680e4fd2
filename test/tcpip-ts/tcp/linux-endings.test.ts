// How connections with the Linux kernel's TCP end and pause: who closes first, resets in the middle, readers that stop. With a little loss,
// so that the words of the ending get lost too.
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import t, { type Test } from 'tap';
import { TcpServer } from '../../../src/tcpip-ts/socket/tcp-server.ts';
import { TcpSocket } from '../../../src/tcpip-ts/socket/tcp-socket.ts';
import type { Stack } from '../../../src/tcpip-ts/stack.ts';
import { kernelPeer, line, runInKernel } from '../../support/kernel-peer.ts';
import { canUseNetns } from '../../support/netns.ts';
import { eventually } from '../../support/podwire.ts';

const LOSS = { loss: 0.02 };

interface Met {
  readonly stack: Stack;
  readonly socket: TcpSocket;
  /** The line that the kernel's side prints. */
  readonly theirs: Promise<string>;
  readonly child: ChildProcess;
}

/**
 * A connection to the kernel's Node, where `script` has its end as `s` and prints one line by `say`. The kernel connects, or listens with
 * `listens`.
 */
async function meet(t: Test, script: string, listens = false, impairment = LOSS): Promise<Met> {
  const { netns, stack } = kernelPeer(t, { impairment });
  const body = `const net = require('net'), say = (x) => console.log(x);
    const use = (s) => { ${script} };`;
  if (listens) {
    const child = runInKernel(
      netns,
      `${body} const server = net.createServer({ allowHalfOpen: true }, (s) => { server.close(); use(s); })
         .listen(80, '10.0.0.2', () => say('ready'));`,
    );
    t.equal(String(await once(child.stdout!, 'data')), 'ready\n');
    const socket = new TcpSocket(stack, { allowHalfOpen: true }).connect(80, '10.0.0.2');
    return { stack, socket, theirs: line(child), child };
  }
  const server = new TcpServer(stack, { allowHalfOpen: true }).listen(80);
  const child = runInKernel(netns, `${body} use(net.connect({ port: 80, host: '10.0.0.1', allowHalfOpen: true }));`);
  const [socket] = (await once(server, 'connection')) as [TcpSocket];
  return { stack, socket, theirs: line(child), child };
}

/** Bytes until the end of the stream. (An iterator would destroy the socket after it.) */
async function read(socket: TcpSocket): Promise<number> {
  let bytes = 0;
  socket.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
  });
  await once(socket, 'end');
  return bytes;
}

/** Nothing of the connection is left but TIME-WAIT. */
async function isGone({ stack, child }: Met, t: Test, hasTimeWait: boolean): Promise<void> {
  if (child.exitCode === null) await once(child, 'exit');
  await eventually('no connection is left', () => stack.tcp.connectionCount === 0);
  t.equal(stack.tcp.buffers.inUse, 0);
  t.equal(stack.tcp.timeWait.size, hasTimeWait ? 1 : 0, 'TIME-WAIT');
}

const COUNT = `let n = 0; s.on('data', (b) => { n += b.length; }).on('error', (e) => say(e.code));`;
const DATA = Buffer.alloc(300_000, 7);

for (const listens of [false, true]) {
  const who = listens ? 'the kernel listens' : 'the kernel connects';

  t.test(`we close first, ${who}`, async (t) => {
    if (!canUseNetns(t)) return;
    const met = await meet(t, `${COUNT} s.on('end', () => { say(n); s.end(); });`, listens);
    met.socket.end(DATA);
    t.equal(await read(met.socket), 0);
    t.equal(await met.theirs, '300000');
    await isGone(met, t, true);
  });

  t.test(`the kernel closes first, ${who}`, async (t) => {
    if (!canUseNetns(t)) return;
    const met = await meet(t, `${COUNT} s.on('close', () => say(n)); s.end(Buffer.alloc(300000));`, listens);
    t.equal(await read(met.socket), 300_000);
    met.socket.end(DATA);
    t.equal(await met.theirs, '300000', 'half-closed, it still hears us');
    await isGone(met, t, false);
  });

  t.test(`both close at once, ${who}`, async (t) => {
    if (!canUseNetns(t)) return;
    const met = await meet(t, `${COUNT} s.on('close', () => say(n)); s.end(Buffer.alloc(300000));`, listens);
    met.socket.end(DATA);
    t.equal(await read(met.socket), 300_000);
    t.equal(await met.theirs, '300000');
    if (met.child.exitCode === null) await once(met.child, 'exit');
    t.equal(met.stack.tcp.segments.used, 0);
  });

  t.test(`we reset in the middle, ${who}`, async (t) => {
    if (!canUseNetns(t)) return;
    const met = await meet(t, `${COUNT} s.write(Buffer.alloc(3000000));`, listens, { loss: 0 });
    await once(met.socket, 'data');
    met.socket.resetAndDestroy();
    t.match(await met.theirs, /^(ECONNRESET|EPIPE)$/);
    await isGone(met, t, false);
  });

  t.test(`the kernel resets in the middle, ${who}`, async (t) => {
    if (!canUseNetns(t)) return;
    const met = await meet(t, `s.once('data', () => { s.resetAndDestroy(); say('gone'); });`, listens, { loss: 0 });
    met.socket.write(Buffer.alloc(3_000_000));
    const [error] = await once(met.socket, 'error');
    t.match(error, { code: /ECONNRESET|EPIPE/ });
    t.equal(await met.theirs, 'gone');
    await isGone(met, t, false);
  });

  t.test(`the kernel's process is gone with bytes unread, ${who}`, async (t) => {
    if (!canUseNetns(t)) return;
    const met = await meet(t, `s.pause(); say('up'); setTimeout(() => process.exit(), 300);`, listens, { loss: 0 });
    met.socket.resume();
    met.socket.write(Buffer.alloc(10_000_000));
    const [error] = await once(met.socket, 'error');
    t.match(error, { code: /ECONNRESET|EPIPE/ });
    await isGone(met, t, false);
  });
}

t.test('a reader of the kernel’s that stops shuts its window, and everything arrives in the end', async (t) => {
  if (!canUseNetns(t)) return;
  const met = await meet(
    t,
    `s.pause(); const awake = setInterval(() => {}, 1e6); process.on('SIGUSR2', () => { clearInterval(awake); s.resume(); });
     ${COUNT} s.on('end', () => { say(n); s.end(); });`,
  );
  const size = 12 << 20;
  met.socket.end(Buffer.alloc(size));
  await eventually('the window is probed', () => met.stack.counters.get('TcpExtTCPWinProbe') > 0);
  met.child.kill('SIGUSR2');
  t.equal(await read(met.socket), 0);
  t.equal(await met.theirs, String(size));
});

t.test('a reader of ours that stops shuts its window, and everything arrives in the end', async (t) => {
  if (!canUseNetns(t)) return;
  const size = 12 << 20;
  const met = await meet(t, `s.end(Buffer.alloc(${size})); s.resume(); s.on('close', () => say('sent'));`);
  const { counters } = met.stack;
  await eventually('the window is shut', () => counters.get('TcpExtTCPToZeroWindowAdv') > 0);
  t.equal(await Promise.all([read(met.socket), met.socket.end()]).then(([n]) => n), size);
  t.equal(await met.theirs, 'sent');
  t.ok(counters.get('TcpExtTCPFromZeroWindowAdv') > 0, 'and opened');
});
