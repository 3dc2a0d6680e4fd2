// bench/interop: goodput of @tcpip-ts/stack and the Linux kernel beside kernel-to-kernel, over the same impaired link. Needs root.
//   node dist/bench/interop.js [-o json] [--mib N]
// Every contender has the same wire: two ports that this process joins, what enters one leaves the other after a seeded impairment in
// each direction (link/impair.ts). A port is a TAP in a namespace, with the kernel's TCP in a Node process behind it, or our stack in this
// process. One transfer a cell, checked by its digest; Mbit/s from the sender's connect to the receiver's end of stream.
// Both stacks run NewReno. The wire runs at what this process can carry: figures compare the contenders of a row, not wires.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { parseArgs } from 'node:util';
import { Breath } from '../src/lib/breath.ts';
import { RealClock } from '../src/lib/clock.ts';
import { SeededRng } from '../src/lib/rng.ts';
import { ImpairedLink, type Impairment } from '../src/link/impair.ts';
import { loadNative, nativeMissing } from '../src/link/native.ts';
import { TapSet } from '../src/link/tap.ts';
import type { Link } from '../src/tcpip-ts/link.ts';
import { linkPair } from '../src/tcpip-ts/link-pair.ts';
import { SkbPool } from '../src/tcpip-ts/skb.ts';
import { TcpServer } from '../src/tcpip-ts/socket/tcp-server.ts';
import { TcpSocket } from '../src/tcpip-ts/socket/tcp-socket.ts';
import { Stack } from '../src/tcpip-ts/stack.ts';
import { ipv4 } from '../src/tcpip-ts/wire/address.ts';

const { values } = parseArgs({
  options: { output: { type: 'string', short: 'o', default: 'text' }, mib: { type: 'string', default: '64' } },
});
const BLOCK = 65_536;
const BLOCKS = (Number(values.mib) << 20) / BLOCK;
/** A cell that takes longer is given up. */
const LIMIT_MS = 120_000;
const PORT = 80;

const WIRES: readonly [string, Impairment][] = [
  ['clean', {}],
  ['loss 0.1 %', { loss: 0.001 }],
  ['loss 1 %', { loss: 0.01 }],
  ['loss 5 %', { loss: 0.05 }],
  ['delay 5 ms', { delayUs: 5000, limit: 4000 }],
  ['delay 5 ms, jitter 2 ms', { delayUs: 5000, jitterUs: 2000, limit: 4000 }],
  ['delay 5 ms, loss 1 %', { delayUs: 5000, loss: 0.01, limit: 4000 }],
  ['duplication 5 %', { duplicate: 0.05 }],
  ['100 Mbit/s, queue 100', { rateBps: 100e6, limit: 100 }],
];
const CONTENDERS = ['kernel to kernel', 'ours to kernel', 'kernel to ours'] as const;

/** Sends the blocks and ends. Also run in the kernel's processes. */
function sendAll(socket: NodeJS.WritableStream, blocks: number, size: number): void {
  let i = 0;
  const go = (): void => {
    while (i < blocks) {
      const b = Buffer.alloc(size, (i * 37) & 255);
      b.writeUInt32BE(i++, 0);
      if (!socket.write(b)) {
        socket.once('drain', go);
        return;
      }
    }
    socket.end();
  };
  go();
}

function digest(): string {
  const hash = createHash('sha256');
  for (let i = 0; i < BLOCKS; i++) {
    const b = Buffer.alloc(BLOCK, (i * 37) & 255);
    b.writeUInt32BE(i, 0);
    hash.update(b);
  }
  return hash.digest('hex');
}

/** The kernel's end: prints 'ready' when it listens or may be told to begin, and the digest at the end of stream. */
function kernel(netns: string, role: 'send' | 'receive'): ChildProcess {
  const script =
    role === 'send'
      ? `${sendAll.toString()}
         process.stdin.once('data', () => {
           const s = require('net').connect(${PORT}, '10.0.0.2', () => sendAll(s, ${BLOCKS}, ${BLOCK})).resume();
         });
         console.log('ready');`
      : `const hash = require('crypto').createHash('sha256');
         const server = require('net').createServer((s) => {
           server.close();
           s.on('data', (b) => hash.update(b)).on('end', () => console.log(hash.digest('hex')));
         }).listen(${PORT}, '10.0.0.2', () => console.log('ready'));`;
  return spawn('ip', ['netns', 'exec', netns, process.execPath, '-e', script], {
    timeout: LIMIT_MS,
    stdio: ['pipe', 'pipe', 'inherit'],
  });
}

async function cell(contender: (typeof CONTENDERS)[number], impairment: Impairment, wanted: string): Promise<number> {
  const [sender, receiver] = contender.split(' to ');
  const undo: (() => void)[] = [];
  const children: ChildProcess[] = [];
  try {
    const clock = new RealClock();
    const pool = new SkbPool(8192);
    const set = new TapSet(loadNative()!, pool, new Breath());
    undo.push(() => set.close());
    /** A port of the wire, and the stack or namespace behind it. */
    const port = (who: string | undefined, i: number): { wire: Link; stack?: Stack; netns: string } => {
      const netns = `pwinterop${process.pid}p${i}`;
      if (who === 'ours') {
        const [wire, ours] = linkPair({ queue: 4096 });
        const stack = new Stack({ clock, rng: new SeededRng(i), pool });
        undo.push(() => stack.close());
        stack.addInterface(ours, { addr: ipv4(`10.0.0.${i}`), prefixLen: 24 });
        return { wire, stack, netns };
      }
      execFileSync('ip', ['netns', 'add', netns]);
      undo.push(() => execFileSync('ip', ['netns', 'del', netns]));
      // The kernel's default differs from machine to machine; ours is NewReno.
      execFileSync('ip', ['netns', 'exec', netns, 'sh', '-c', 'echo reno > /proc/sys/net/ipv4/tcp_congestion_control']);
      const wire = set.open({ netnsPath: `/run/netns/${netns}`, ifname: 'tap0', mtu: 1500, offload: false });
      execFileSync('ip', ['-n', netns, 'addr', 'add', `10.0.0.${i}/24`, 'dev', 'tap0']);
      return { wire, netns };
    };
    const [a, b] = [port(sender, 1), port(receiver, 2)];
    const toA = new ImpairedLink(a.wire, { clock, rng: new SeededRng(3) }, impairment);
    const toB = new ImpairedLink(b.wire, { clock, rng: new SeededRng(4) }, impairment);
    a.wire.attach({ receive: (skb) => toB.transmit(skb) });
    b.wire.attach({ receive: (skb) => toA.transmit(skb) });
    undo.push(
      () => toA.close(),
      () => toB.close(),
    );

    let found: Promise<string>;
    if (b.stack) {
      const server = new TcpServer(b.stack).listen(PORT);
      found = once(server, 'connection').then(async ([socket]: TcpSocket[]) => {
        const hash = createHash('sha256');
        socket!.on('data', (chunk: Buffer) => hash.update(chunk));
        await once(socket!, 'end');
        return hash.digest('hex');
      });
    } else {
      const child = kernel(b.netns, 'receive');
      children.push(child);
      await once(child.stdout!, 'data');
      found = once(child.stdout!, 'data').then(([line]) => String(line).trim());
    }
    const theirs = a.stack ? null : kernel(a.netns, 'send');
    if (theirs) {
      children.push(theirs);
      await once(theirs.stdout!, 'data');
    }
    const startMs = performance.now();
    if (a.stack) {
      const socket = new TcpSocket(a.stack).connect(PORT, '10.0.0.2');
      sendAll(socket, BLOCKS, BLOCK);
      socket.resume();
    } else theirs!.stdin!.write('go\n');
    const late = new Promise<string>((done) => setTimeout(done, LIMIT_MS, 'late').unref());
    const got = await Promise.race([found, late]);
    const s = (performance.now() - startMs) / 1000;
    if (got === 'late') return 0;
    if (got !== wanted) throw new Error(`${contender}: wrong bytes`);
    return (BLOCKS * BLOCK * 8) / s / 1e6;
  } finally {
    for (const child of children) child.kill();
    for (const f of undo.reverse()) f();
  }
}

if (!loadNative()) throw new Error(nativeMissing());
const wanted = digest();
const rows: { wire: string; mbps: number[] }[] = [];
for (const [wire, impairment] of WIRES) {
  const mbps: number[] = [];
  for (const contender of CONTENDERS) mbps.push(await cell(contender, impairment, wanted));
  rows.push({ wire, mbps });
}
if (values.output === 'json') {
  process.stdout.write(`${JSON.stringify({ mib: Number(values.mib), contenders: CONTENDERS, rows }, null, 2)}\n`);
} else {
  const lines = [`Mbit/s of payload, ${values.mib} MiB each; 0: not done in ${LIMIT_MS / 1000} s`];
  lines.push(`${'wire'.padEnd(26)}${CONTENDERS.map((c) => c.padStart(18)).join('')}`);
  for (const { wire, mbps } of rows) {
    lines.push(`${wire.padEnd(26)}${mbps.map((m) => m.toFixed(1).padStart(18)).join('')}`);
  }
  process.stdout.write(`${lines.join('\n')}\n`);
}
process.exit(0);
