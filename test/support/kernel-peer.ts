// The Linux kernel's TCP as the peer of a stack under test: a TAP in a namespace of its own with node:net in it, over our own seeded
// impairment in both directions. Both sides send and check the same stream at once. Real clock; every wait ends with the program that is
// waited for.
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import type { Duplex } from 'node:stream';
import type { Test } from 'tap';
import { Breath } from '../../src/lib/breath.ts';
import { RealClock } from '../../src/lib/clock.ts';
import { SeededRng } from '../../src/lib/rng.ts';
import { ImpairedLink, type Impairment } from '../../src/link/impair.ts';
import { loadNative } from '../../src/link/native.ts';
import { TapSet } from '../../src/link/tap.ts';
import type { Link } from '../../src/tcpip-ts/link.ts';
import { linkPair } from '../../src/tcpip-ts/link-pair.ts';
import { type Skb, SkbPool } from '../../src/tcpip-ts/skb.ts';
import { Stack } from '../../src/tcpip-ts/stack.ts';
import type { TcpOptions } from '../../src/tcpip-ts/tcp/settings.ts';
import { ipv4 } from '../../src/tcpip-ts/wire/address.ts';
import { get16 } from '../../src/tcpip-ts/wire/bytes.ts';
import { ECN_CE, ECN_MASK, fillIpChecksum } from '../../src/tcpip-ts/wire/ipv4.ts';
import { addNetns, netnsPath, sh } from './netns.ts';

export const BLOCK = 65_536;

export interface PeerOptions {
  readonly mtu?: number;
  readonly offload?: boolean;
  readonly impairment?: Impairment;
  /** Share of ECN-capable packets that are marked, either way. */
  readonly mark?: number;
  /** Of the stack. */
  readonly tcp?: Partial<TcpOptions>;
  /** Of the kernel: names below net.ipv4 and values. */
  readonly sysctls?: Readonly<Record<string, string>>;
}

/** Marks a capable IPv4 packet in an Ethernet frame as having met congestion. */
function markCe({ bytes: b, nh }: Skb): void {
  if (get16(b, nh - 2) !== 0x0800 || (b[nh + 1]! & ECN_MASK) === 0) return;
  b[nh + 1]! |= ECN_CE;
  fillIpChecksum(b, nh);
}

/** A stack at 10.0.0.1 and the kernel at 10.0.0.2. */
export function kernelPeer(
  t: Test,
  { mtu = 1500, offload = false, impairment = {}, mark = 0, tcp = {}, sysctls = {} }: PeerOptions,
): { netns: string; stack: Stack } {
  const netns = addNetns(t);
  const pool = new SkbPool(2048);
  const set = new TapSet(loadNative()!, pool, new Breath());
  t.teardown(() => set.close());
  const tap = set.open({ netnsPath: netnsPath(netns), ifname: 'tap0', mtu, offload });
  sh(`ip -n ${netns} addr add 10.0.0.2/24 dev tap0`);
  for (const [name, value] of Object.entries(sysctls)) {
    sh(`ip netns exec ${netns} sh -c 'echo "${value}" > /proc/sys/net/ipv4/${name}'`);
  }
  const clock = new RealClock();
  const rng = new SeededRng(1);
  const [wire, ours] = linkPair({ mtu, features: impairment.corrupt ? 0 : tap.features, queue: 1024 });
  const join = (from: Link, to: Link): void => {
    const way = new ImpairedLink(to, { clock, rng }, impairment);
    t.teardown(() => way.close());
    from.attach({
      receive: (skb) => {
        if (mark > 0 && rng.float() < mark) markCe(skb);
        way.transmit(skb);
      },
    });
  };
  join(tap, wire);
  join(wire, tap);
  const stack = new Stack({ clock, rng: new SeededRng(2), pool, tcp });
  t.teardown(() => stack.close());
  stack.addInterface(ours, { addr: ipv4('10.0.0.1'), prefixLen: 24 });
  return { netns, stack };
}

/** A process on the kernel's side goes with the test's, which holds its stdin open. */
const GOES_WITH_US = `process.stdin.on('end', () => process.exit(1)).resume().unref();`;

/** Runs a script in Node on the kernel's side; what it prints is its answer. */
export function runInKernel(netns: string, script: string): ChildProcess {
  return spawn('ip', ['netns', 'exec', netns, process.execPath, '-e', GOES_WITH_US + script], {
    timeout: 300_000,
    stdio: ['pipe', 'pipe', 'inherit'],
  });
}

/** Block `i` of the stream: the number, then a pattern of it. Also run on the kernel's side. */
function block(i: number, size: number): Buffer {
  const b = Buffer.alloc(size, (i * 37) & 255);
  b.writeUInt32BE(i, 0);
  for (let k = 4; k < size; k += 61) b[k] = (k * i) & 255;
  return b;
}

/** Sends `blocks` blocks and ends; resolves to the digest of what came. */
export async function exchange(socket: Duplex, blocks: number): Promise<string> {
  const hash = createHash('sha256');
  const ended = new Promise<void>((done, fail) => {
    socket.on('data', (chunk: Buffer) => hash.update(chunk));
    socket.on('end', () => done());
    socket.on('error', fail);
  });
  // Listens once for all drains: where the end comes first, a listener for each would stay.
  let drained = (): void => {};
  socket.on('drain', () => drained());
  for (let i = 0; i < blocks; i++) {
    if (!socket.write(block(i, BLOCK)))
      await Promise.race([
        new Promise<void>((resolve) => {
          drained = resolve;
        }),
        ended,
      ]);
  }
  socket.end();
  await ended;
  return hash.digest('hex');
}

/** The kernel's side: the two functions above over node:net; prints the digest. */
export function peer(netns: string, blocks: number, role: 'listen' | 'connect'): ChildProcess {
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
  return runInKernel(netns, script);
}

export async function line(child: ChildProcess): Promise<string> {
  let out = '';
  for await (const chunk of child.stdout!) {
    out += chunk;
    if (out.includes('\n')) break;
  }
  return out.trim();
}

export function digestOf(blocks: number): string {
  const hash = createHash('sha256');
  for (let i = 0; i < blocks; i++) hash.update(block(i, BLOCK));
  return hash.digest('hex');
}
