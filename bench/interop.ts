// bench/interop: goodput of @tcpip-ts/stack and the Linux kernel beside kernel-to-kernel, over the same impaired link. Needs root.
//   node dist/bench/interop.js [-o json] [--mib N]
// Every contender has the same wire: two ports that this process joins, what enters one leaves the other after a seeded impairment in
// each direction (link/impair.ts). A port is a TAP in a namespace, with the kernel's TCP in a Node process behind it, or our stack in this
// process; either may connect or listen. One transfer a cell, checked by its digest; Mbit/s from the word to begin, before the connect, to
// the receiver's end of stream. Both stacks run NewReno. The wire runs at what this process can carry, and our stack and the digest of
// what it receives take their share of that: figures compare the contenders of a row, not wires.
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
import { LINK_F_CSUM, LINK_F_TSO4, type Link } from '../src/tcpip-ts/link.ts';
import { linkPair } from '../src/tcpip-ts/link-pair.ts';
import { SkbPool } from '../src/tcpip-ts/skb.ts';
import { TcpServer } from '../src/tcpip-ts/socket/tcp-server.ts';
import { TcpSocket } from '../src/tcpip-ts/socket/tcp-socket.ts';
import { Stack, type StackEnv } from '../src/tcpip-ts/stack.ts';
import { ipv4 } from '../src/tcpip-ts/wire/address.ts';

const { values } = parseArgs({
  options: { output: { type: 'string', short: 'o', default: 'text' }, mib: { type: 'string', default: '64' } },
});
const BLOCK = 65_536;
const BLOCKS = (Number(values.mib) << 20) / BLOCK;
/** A cell that takes longer is given up. */
const LIMIT_MS = 120_000;
const PORT = 80;

interface WireKind extends Impairment {
  readonly mtu?: number;
  readonly offload?: boolean;
}

const WIRES: readonly [string, WireKind][] = [
  ['clean', {}],
  ['clean, segments of 64 KiB', { offload: true }],
  ['loss 0.1 %', { loss: 0.001 }],
  ['loss 1 %', { loss: 0.01 }],
  ['loss 5 %', { loss: 0.05 }],
  ['delay 5 ms', { delayUs: 5000, limit: 4000 }],
  ['delay 5 ms, loss 0.1 %', { delayUs: 5000, loss: 0.001, limit: 4000 }],
  ['delay 5 ms, jitter 2 ms', { delayUs: 5000, jitterUs: 2000, limit: 4000 }],
  ['delay 1 ms, reordering 5 %', { delayUs: 1000, reorder: 0.05, limit: 4000 }],
  ['duplication 5 %', { duplicate: 0.05 }],
  ['corruption 1 %', { corrupt: 0.01 }],
  ['100 Mbit/s, queue 100', { rateBps: 100e6, limit: 100 }],
  ['MTU 576, loss 0.1 %', { mtu: 576, loss: 0.001 }],
  ['MTU 9000', { mtu: 9000 }],
  ['MTU 65520', { mtu: 65_520 }],
  ['all of it, a little', { delayUs: 1000, jitterUs: 300, loss: 0.001, duplicate: 0.001, corrupt: 0.001, limit: 4000 }],
];

/** Who sends and who receives; the star marks the one that connects. */
interface Contender {
  readonly name: string;
  readonly sender: 'kernel' | 'ours';
  readonly receiver: 'kernel' | 'ours';
  readonly connects: 'sender' | 'receiver';
}

const CONTENDERS: readonly Contender[] = [
  { name: 'kernel* > kernel', sender: 'kernel', receiver: 'kernel', connects: 'sender' },
  { name: 'ours* > kernel', sender: 'ours', receiver: 'kernel', connects: 'sender' },
  { name: 'ours > kernel*', sender: 'ours', receiver: 'kernel', connects: 'receiver' },
  { name: 'kernel* > ours', sender: 'kernel', receiver: 'ours', connects: 'sender' },
  { name: 'kernel > ours*', sender: 'kernel', receiver: 'ours', connects: 'receiver' },
];

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

/**
 * The kernel's end at 10.0.0.I: prints 'ready' when it listens or may be told to begin, and as receiver the digest at the end of stream.
 */
function kernel(netns: string, i: number, sends: boolean, connects: boolean): ChildProcess {
  const use = sends
    ? `(s) => { s.on('error', () => {}).resume(); sendAll(s, ${BLOCKS}, ${BLOCK}); }`
    : `(s) => {
         const hash = require('crypto').createHash('sha256');
         s.on('data', (b) => hash.update(b)).on('end', () => { console.log(hash.digest('hex')); s.end(); });
       }`;
  const script = `
    const net = require('net');
    ${sendAll.toString()}
    const use = ${use};
    ${
      connects
        ? `process.stdin.once('data', () => { const s = net.connect(${PORT}, '10.0.0.${3 - i}', () => use(s)); });
           console.log('ready');`
        : `const server = net.createServer((s) => { server.close(); use(s); })
             .listen(${PORT}, '10.0.0.${i}', () => console.log('ready'));`
    }`;
  return spawn('ip', ['netns', 'exec', netns, process.execPath, '-e', script], {
    timeout: 2 * LIMIT_MS,
    stdio: ['pipe', 'pipe', 'inherit'],
  });
}

/** A port of the wire and who is behind it. */
interface Port {
  readonly wire: Link;
  /** Connects, if that is its part. */
  begin(): void;
  /** The digest of what came; of a sender, never. */
  readonly found: Promise<string>;
}

/** What the two kinds of port need to know. */
interface Part {
  readonly i: number;
  readonly sends: boolean;
  readonly connects: boolean;
  readonly mtu: number;
  readonly offload: boolean;
  readonly undo: (() => void)[];
}

async function receive(socket: TcpSocket): Promise<string> {
  const hash = createHash('sha256');
  socket.on('data', (chunk: Buffer) => hash.update(chunk));
  await once(socket, 'end');
  return hash.digest('hex');
}

function ourPort(env: StackEnv, { i, sends, connects, mtu, offload, undo }: Part): Port {
  const [wire, ours] = linkPair({ queue: 4096, mtu, features: offload ? LINK_F_CSUM | LINK_F_TSO4 : 0 });
  const stack = new Stack(env);
  undo.push(() => stack.close());
  stack.addInterface(ours, { addr: ipv4(`10.0.0.${i}`), prefixLen: 24 });
  let tell: (digest: Promise<string>) => void = () => {};
  const found = new Promise<string>((done) => {
    tell = done;
  });
  const use = (socket: TcpSocket): void => {
    if (sends) sendAll(socket.resume(), BLOCKS, BLOCK);
    else tell(receive(socket));
  };
  if (!connects) new TcpServer(stack).on('connection', use).listen(PORT);
  const begin = (): void => {
    if (connects) use(new TcpSocket(stack).connect(PORT, `10.0.0.${3 - i}`));
  };
  return { wire, begin, found };
}

async function kernelPort(set: TapSet, { i, sends, connects, mtu, offload, undo }: Part): Promise<Port> {
  const netns = `pwinterop${process.pid}p${i}`;
  execFileSync('ip', ['netns', 'add', netns]);
  undo.push(() => execFileSync('ip', ['netns', 'del', netns]));
  // The kernel's default differs from machine to machine; ours is NewReno.
  execFileSync('ip', ['netns', 'exec', netns, 'sh', '-c', 'echo reno > /proc/sys/net/ipv4/tcp_congestion_control']);
  const wire = set.open({ netnsPath: `/run/netns/${netns}`, ifname: 'tap0', mtu, offload });
  execFileSync('ip', ['-n', netns, 'addr', 'add', `10.0.0.${i}/24`, 'dev', 'tap0']);
  const child = kernel(netns, i, sends, connects);
  undo.push(() => child.kill());
  await once(child.stdout!, 'data');
  const found = sends
    ? new Promise<string>(() => {})
    : once(child.stdout!, 'data').then(([line]) => String(line).trim());
  const begin = (): void => {
    if (connects) child.stdin!.write('go\n');
  };
  return { wire, begin, found };
}

/** Mbit/s; 0 when it took too long. */
async function cell({ name, sender, receiver, connects }: Contender, kind: WireKind, wanted: string): Promise<number> {
  const { mtu = 1500, offload = false, ...impairment } = kind;
  const undo: (() => void)[] = [];
  try {
    const clock = new RealClock();
    const pool = new SkbPool(8192);
    const set = new TapSet(loadNative()!, pool, new Breath());
    undo.push(() => set.close());
    const port = (who: string, i: number): Port | Promise<Port> => {
      const sends = i === 1;
      const part = { i, sends, connects: (connects === 'sender') === sends, mtu, offload, undo };
      return who === 'kernel' ? kernelPort(set, part) : ourPort({ clock, rng: new SeededRng(i), pool }, part);
    };
    const a = await port(sender, 1);
    const b = await port(receiver, 2);
    const toA = new ImpairedLink(a.wire, { clock, rng: new SeededRng(3) }, impairment);
    const toB = new ImpairedLink(b.wire, { clock, rng: new SeededRng(4) }, impairment);
    a.wire.attach({ receive: (skb) => toB.transmit(skb) });
    b.wire.attach({ receive: (skb) => toA.transmit(skb) });
    undo.push(
      () => toA.close(),
      () => toB.close(),
    );
    const startMs = performance.now();
    a.begin();
    b.begin();
    const late = new Promise<string>((done) => setTimeout(done, LIMIT_MS, 'late').unref());
    const got = await Promise.race([b.found, late]);
    const s = (performance.now() - startMs) / 1000;
    if (got === 'late') return 0;
    if (got !== wanted) throw new Error(`${name}: wrong bytes`);
    return (BLOCKS * BLOCK * 8) / s / 1e6;
  } finally {
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
  process.stdout.write(
    `${JSON.stringify({ mib: Number(values.mib), contenders: CONTENDERS.map((c) => c.name), rows }, null, 2)}\n`,
  );
} else {
  const lines = [`Mbit/s of payload, ${values.mib} MiB each; * connects; 0: not done in ${LIMIT_MS / 1000} s`];
  lines.push(`${'wire'.padEnd(27)}${CONTENDERS.map((c) => c.name.padStart(17)).join('')}`);
  for (const { wire, mbps } of rows) {
    lines.push(`${wire.padEnd(27)}${mbps.map((m) => m.toFixed(1).padStart(17)).join('')}`);
  }
  process.stdout.write(`${lines.join('\n')}\n`);
}
process.exit(0);
