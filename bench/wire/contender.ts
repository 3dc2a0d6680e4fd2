// What bench/wire compares: each contender joins two network namespaces, a client's and a server's, so that iperf3 in one
// reaches iperf3 in the other through a virtual address (or what stands for it). Everything is set up once, measured in
// turns, and taken down.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { Readable } from 'node:stream';
import { Worker } from 'node:worker_threads';
import { onEnd } from '../clean-up.ts';

export interface WireConfig {
  readonly clientNetns: string;
  readonly serverNetns: string;
  readonly mtu: number;
  readonly offload: boolean;
  readonly vip: string;
  readonly serverAddr: string;
}

export interface Contender {
  readonly name: string;
  /** MTU of the client's device. */
  readonly mtu: number;
  /** Where the client finds the server. */
  readonly target: string;
  readonly clientNetns: string;
  readonly serverNetns: string;
  close(): Promise<void>;
}

export const CLIENT_ADDR = '10.244.0.2';
export const SERVER_ADDR = '10.244.0.3';
export const GATEWAY = '10.244.0.1';
export const VIP = '10.96.0.50';
export const PORT = 5201;

export function run(command: string, ...args: string[]): string {
  return execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

export function isInstalled(command: string): boolean {
  try {
    run('sh', '-c', `command -v ${command}`);
    return true;
  } catch {
    return false;
  }
}

let made = 0;

/** Makes a namespace with a name of its own, loopback up. */
export function addNetns(role: string): string {
  const name = `pwbench${process.pid}${role}${made++}`;
  run('ip', 'netns', 'add', name);
  run('ip', '-n', name, 'link', 'set', 'lo', 'up');
  return name;
}

export function deleteNetns(name: string): void {
  try {
    run('ip', 'netns', 'del', name);
  } catch {} // gone already
}

/** Gives eth0 of a namespace a Pod's address and its one route, by the gateway, as the CNI plugin ptp does. */
export function addPodAddress(netns: string, addr: string): void {
  run('ip', '-n', netns, 'addr', 'add', `${addr}/32`, 'dev', 'eth0');
  run('ip', '-n', netns, 'link', 'set', 'eth0', 'up');
  run('ip', '-n', netns, 'route', 'add', GATEWAY, 'dev', 'eth0', 'scope', 'link');
  run('ip', '-n', netns, 'route', 'add', 'default', 'via', GATEWAY);
}

/** Resolves when the child has written `text` to `fd`; rejects when it ends first, or after five seconds. */
export function untilPrints(child: ChildProcess, text: string, fd = 1): Promise<void> {
  return new Promise((resolve, reject) => {
    let seen = '';
    let complaint = '';
    const timer = setTimeout(
      () => reject(new Error(`${child.spawnfile} was not ready in 5 s: ${complaint.trim()}`)),
      5000,
    );
    const look = (chunk: Buffer): void => {
      seen += chunk.toString();
      if (!seen.includes(text)) return;
      clearTimeout(timer);
      resolve();
    };
    const output = child.stdio[fd];
    if (output instanceof Readable) output.on('data', look);
    child.stderr?.on('data', (chunk: Buffer) => {
      complaint += chunk.toString();
    });
    child.on('error', reject);
    child.on('exit', (code) => {
      clearTimeout(timer);
      reject(new Error(`${child.spawnfile} ended with ${code}: ${complaint.trim()}`));
    });
  });
}

export async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), 2000);
  await ended;
  clearTimeout(timer);
}

/** A worker thread between two fresh namespaces; `file` is relative to this one. */
export async function workerContender(
  name: string,
  file: string,
  shape: { mtu: number; offload: boolean },
): Promise<Contender> {
  const clientNetns = addNetns('c');
  const serverNetns = addNetns('s');
  const workerData: WireConfig = { ...shape, clientNetns, serverNetns, vip: VIP, serverAddr: SERVER_ADDR };
  const worker = new Worker(new URL(file, import.meta.url), { workerData });
  const close = onEnd(async () => {
    await worker.terminate();
    deleteNetns(clientNetns);
    deleteNetns(serverNetns);
  });
  try {
    await new Promise((resolve, reject) => {
      worker.once('message', resolve);
      worker.once('error', reject);
    });
    addPodAddress(clientNetns, CLIENT_ADDR);
    addPodAddress(serverNetns, SERVER_ADDR);
  } catch (error) {
    await close();
    throw error;
  }
  return { name, mtu: shape.mtu, target: VIP, clientNetns, serverNetns, close };
}

/** The C loop over the same kind of TAPs, from `program`. */
export async function cLoop(program: string, shape: { mtu: number; offload: boolean }): Promise<Contender> {
  const clientNetns = addNetns('c');
  const serverNetns = addNetns('s');
  const paths = [`/run/netns/${clientNetns}`, `/run/netns/${serverNetns}`];
  const offload = shape.offload ? 'offload' : 'plain';
  const child = spawn(program, [...paths, 'eth0', String(shape.mtu), offload, VIP, SERVER_ADDR]);
  const close = onEnd(async () => {
    await stop(child);
    deleteNetns(clientNetns);
    deleteNetns(serverNetns);
  });
  try {
    await untilPrints(child, 'ready');
    addPodAddress(clientNetns, CLIENT_ADDR);
    addPodAddress(serverNetns, SERVER_ADDR);
  } catch (error) {
    await close();
    throw error;
  }
  return { name: 'C loop', mtu: shape.mtu, target: VIP, clientNetns, serverNetns, close };
}

/** slirp4netns from the client's namespace to sockets of the server's; 10.0.2.2 is its word for the host it runs on. */
export async function slirp(mtu: number): Promise<Contender> {
  const clientNetns = addNetns('c');
  const serverNetns = addNetns('s');
  const args = [
    '--configure',
    `--mtu=${mtu}`,
    '--ready-fd=3',
    '--netns-type=path',
    `/run/netns/${clientNetns}`,
    'eth0',
  ];
  const stdio = ['ignore', 'pipe', 'pipe', 'pipe'] as const;
  const child = spawn('ip', ['netns', 'exec', serverNetns, 'slirp4netns', ...args], { stdio: [...stdio] });
  const close = onEnd(async () => {
    await stop(child);
    deleteNetns(clientNetns);
    deleteNetns(serverNetns);
  });
  try {
    await untilPrints(child, '1', 3);
  } catch (error) {
    await close();
    throw error;
  }
  return { name: 'slirp4netns', mtu, target: '10.0.2.2', clientNetns, serverNetns, close };
}

/** Linux itself: two veth pairs, a router namespace between, one iptables DNAT rule. */
export async function veth(shape: { mtu: number; offload: boolean }): Promise<Contender> {
  const clientNetns = addNetns('c');
  const serverNetns = addNetns('s');
  const router = addNetns('r');
  const close = onEnd(async () => {
    for (const name of [clientNetns, serverNetns, router]) deleteNetns(name);
  });
  try {
    run('ip', 'netns', 'exec', router, 'sysctl', '-qw', 'net.ipv4.ip_forward=1');
    for (const [netns, addr, device] of [
      [clientNetns, CLIENT_ADDR, 'vethc'],
      [serverNetns, SERVER_ADDR, 'veths'],
    ] as const) {
      const pair = ['link', 'add', device, 'mtu', String(shape.mtu), 'type', 'veth'];
      run('ip', '-n', router, ...pair, 'peer', 'name', 'eth0', 'mtu', String(shape.mtu), 'netns', netns);
      run('ip', '-n', router, 'addr', 'add', `${GATEWAY}/32`, 'dev', device);
      run('ip', '-n', router, 'link', 'set', device, 'up');
      addPodAddress(netns, addr);
      run('ip', '-n', router, 'route', 'add', `${addr}/32`, 'dev', device);
      if (shape.offload) continue;
      for (const [where, name] of [
        [router, device],
        [netns, 'eth0'],
      ] as const) {
        run(
          'ip',
          'netns',
          'exec',
          where,
          'ethtool',
          '-K',
          name,
          'tx',
          'off',
          'rx',
          'off',
          'tso',
          'off',
          'gso',
          'off',
          'gro',
          'off',
        );
      }
    }
    const to = `${SERVER_ADDR}:${PORT}`;
    const rule = ['-d', VIP, '-p', 'tcp', '--dport', String(PORT), '-j', 'DNAT', '--to-destination', to];
    run('ip', 'netns', 'exec', router, 'iptables', '-t', 'nat', '-A', 'PREROUTING', ...rule);
  } catch (error) {
    await close();
    throw error;
  }
  return { name: 'veth + iptables DNAT', mtu: shape.mtu, target: VIP, clientNetns, serverNetns, close };
}
