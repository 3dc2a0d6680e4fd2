// TCP against the Linux kernel's: a stack on one end of a TAP, a namespace on the other with node:net in it, over our own seeded
// impairment in both directions. Both sides send and check the same stream at once. Real clock; every wait ends with the program
// that is waited for.
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import t, { type Test } from 'tap';
import { Breath } from '../../../src/lib/breath.ts';
import { RealClock } from '../../../src/lib/clock.ts';
import { type Rng, SeededRng } from '../../../src/lib/rng.ts';
import { ImpairedLink, type Impairment } from '../../../src/link/impair.ts';
import { loadNative } from '../../../src/link/native.ts';
import { TapSet } from '../../../src/link/tap.ts';
import type { Link, LinkReceiver } from '../../../src/tcpip-ts/link.ts';
import { type Skb, SkbPool } from '../../../src/tcpip-ts/skb.ts';
import { TcpServer } from '../../../src/tcpip-ts/socket/tcp-server.ts';
import { TcpSocket } from '../../../src/tcpip-ts/socket/tcp-socket.ts';
import { Stack } from '../../../src/tcpip-ts/stack.ts';
import { ipv4 } from '../../../src/tcpip-ts/wire/address.ts';
import { addNetns, canUseNetns, netnsPath, sh } from '../../support/netns.ts';

const BLOCK = 65_536;

interface Case {
  readonly name: string;
  readonly mib: number;
  readonly mtu?: number;
  readonly offload?: boolean;
  readonly impairment?: Impairment;
}

const CASES: readonly Case[] = [
  { name: 'a clean wire', mib: 16 },
  { name: 'a clean wire with offloads', mib: 64, offload: true },
  { name: 'loss of 0.1 %', mib: 8, impairment: { loss: 0.001 } },
  { name: 'loss of 1 %', mib: 4, impairment: { loss: 0.01 } },
  { name: 'loss of 5 %', mib: 1, impairment: { loss: 0.05 } },
  { name: 'loss of 1 % with offloads', mib: 8, offload: true, impairment: { loss: 0.01 } },
  { name: 'delay and jitter', mib: 4, impairment: { delayUs: 5000, jitterUs: 3000, limit: 4000 } },
  { name: 'duplication', mib: 4, impairment: { duplicate: 0.1 } },
  { name: 'corruption', mib: 2, impairment: { corrupt: 0.01 } },
  { name: 'a rate of 50 Mbit/s', mib: 4, impairment: { rateBps: 50e6, limit: 50 } },
  { name: 'an MTU of 576', mib: 2, mtu: 576, impairment: { loss: 0.01 } },
  { name: 'an MTU of 65,520', mib: 32, mtu: 65_520 },
];

/** The other direction of an ImpairedLink: what arrives may be lost, doubled or corrupted. */
class ImpairedArrivals implements Link, LinkReceiver {
  readonly kind: 'ether' | 'ip';
  readonly mtu: number;
  readonly features: number;
  readonly #inner: Link;
  readonly #rng: Rng;
  readonly #impairment: Impairment;
  #receiver: LinkReceiver | null = null;

  constructor(inner: Link, rng: Rng, impairment: Impairment) {
    this.kind = inner.kind;
    this.mtu = inner.mtu;
    this.features = inner.features;
    this.#inner = inner;
    this.#rng = rng;
    this.#impairment = impairment;
    inner.attach(this);
  }

  attach(receiver: LinkReceiver): void {
    this.#receiver = receiver;
  }

  receive(skb: Skb): void {
    const { loss = 0, duplicate = 0 } = this.#impairment;
    if (loss > 0 && this.#rng.float() < loss) {
      skb.free();
      return;
    }
    const twin = duplicate > 0 && this.#rng.float() < duplicate ? skb.pool.clone(skb) : null;
    this.#receiver?.receive(skb);
    if (twin) this.#receiver?.receive(twin);
  }

  transmit(skb: Skb): void {
    this.#inner.transmit(skb);
  }

  close(): void {
    this.#inner.close();
  }
}

function setup(
  t: Test,
  { mtu = 1500, offload = false, impairment = {} }: Partial<Case>,
): { netns: string; stack: Stack } {
  const netns = addNetns(t);
  const pool = new SkbPool(1024);
  const set = new TapSet(loadNative()!, pool, new Breath());
  t.teardown(() => set.close());
  const tap = set.open({ netnsPath: netnsPath(netns), ifname: 'tap0', mtu, offload });
  sh(`ip -n ${netns} addr add 10.0.0.2/24 dev tap0`);
  const clock = new RealClock();
  const rng = new SeededRng(1);
  const link = new ImpairedArrivals(new ImpairedLink(tap, { clock, rng }, impairment), rng, impairment);
  const stack = new Stack({ clock, rng: new SeededRng(2), pool });
  t.teardown(() => stack.close());
  stack.addInterface(link, { addr: ipv4('10.0.0.1'), prefixLen: 24 });
  return { netns, stack };
}

/** Block `i` of the stream: the number, then a pattern of it. Also run on the kernel's side. */
function block(i: number, size: number): Buffer {
  const b = Buffer.alloc(size, (i * 37) & 255);
  b.writeUInt32BE(i, 0);
  for (let k = 4; k < size; k += 61) b[k] = (k * i) & 255;
  return b;
}

/** Sends `blocks` blocks and ends; resolves to the digest of what came. */
async function exchange(socket: Duplex, blocks: number): Promise<string> {
  const hash = createHash('sha256');
  const ended = new Promise<void>((done, fail) => {
    socket.on('data', (chunk: Buffer) => hash.update(chunk));
    socket.on('end', () => done());
    socket.on('error', fail);
  });
  for (let i = 0; i < blocks; i++) {
    if (!socket.write(block(i, BLOCK)))
      await Promise.race([new Promise<void>((drained) => socket.once('drain', drained)), ended.then(() => {})]);
  }
  socket.end();
  await ended;
  return hash.digest('hex');
}

/** The kernel's side: the two functions above over node:net; prints the digest. */
function peer(netns: string, blocks: number, role: 'listen' | 'connect'): ChildProcess {
  const script = `
    const net = require('net'), { createHash } = require('crypto'), BLOCK = ${BLOCK};
    ${block.toString()}
    ${exchange.toString()}
    const go = (s) => exchange(s, ${blocks}).then((h) => { console.log(h); }, (e) => { console.log(e.message); process.exit(1); });
    ${
      role === 'listen'
        ? `const server = net.createServer({ allowHalfOpen: true }, (s) => { server.close(); go(s); });
           server.listen(80, '10.0.0.2', () => console.log('ready'));`
        : `go(net.connect({ port: 80, host: '10.0.0.1', allowHalfOpen: true }));`
    }`;
  return spawn('ip', ['netns', 'exec', netns, process.execPath, '-e', script], {
    timeout: 90_000,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}

async function line(child: ChildProcess): Promise<string> {
  let out = '';
  for await (const chunk of child.stdout!) {
    out += chunk;
    if (out.includes('\n')) break;
  }
  return out.trim();
}

function digestOf(blocks: number): string {
  const hash = createHash('sha256');
  for (let i = 0; i < blocks; i++) hash.update(block(i, BLOCK));
  return hash.digest('hex');
}

for (const c of CASES) {
  for (const role of ['listen', 'connect'] as const) {
    t.test(
      `${c.mib} MiB each way over ${c.name}, the kernel ${role === 'listen' ? 'listens' : 'connects'}`,
      async (t) => {
        if (!canUseNetns(t)) return;
        const { netns, stack } = setup(t, c);
        const blocks = (c.mib << 20) / BLOCK;
        let child: ChildProcess;
        let socket: TcpSocket;
        const startMs = performance.now();
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
        const s = (performance.now() - startMs) / 1000;
        const { counters } = stack;
        t.comment(
          `${((c.mib * 16.78) / s).toFixed(0)} Mbit/s, ${counters.get('TcpRetransSegs')} retransmitted, ${counters.get('TcpExtTCPTimeouts')} timeouts`,
        );
        if (child.exitCode === null) await once(child, 'exit');
        t.equal(child.exitCode, 0);
        if (c.impairment?.corrupt === undefined) t.equal(counters.get('TcpInErrs'), 0);
        t.equal(stack.tcp.segments.used, 0, 'no segment record left');
      },
    );
  }
}

t.test('a closed port of ours refuses the kernel, and the kernel’s refuses us', async (t) => {
  if (!canUseNetns(t)) return;
  const { netns, stack } = setup(t, {});
  const script = `require('net').connect(81, '10.0.0.1').on('error', (e) => console.log(e.code))`;
  const child = spawn('ip', ['netns', 'exec', netns, process.execPath, '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.equal(await line(child), 'ECONNREFUSED');
  const [error] = await once(new TcpSocket(stack).connect(81, '10.0.0.2'), 'error');
  t.match(error, { message: 'connect ECONNREFUSED 10.0.0.2:81' });
});
