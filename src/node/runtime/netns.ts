// The netns runtime: a Pod is a network, UTS, IPC, PID and mount namespace held by `pod-init sandbox`; its containers and
// execs are host processes started by `pod-init exec` (native/pod-init.c). Its only network device is a TAP whose other end is
// the emulated Node. The namespace is named (`ip netns exec pw_dev_jump curl ent:8080` works), with iproute2's
// /etc/netns/NAME files. Files of the Pod live below the state directory of this run and go with it.
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { Duplex, type Readable, type Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { formatIPv4, formatMac } from '../../tcpip-ts/wire/address.ts';
import type { Cni } from '../cni.ts';
import { APPLETS_IN_POD, linkApplets } from './busybox.ts';
import {
  connectError,
  type ExitStatus,
  type ProcessConfig,
  type RunningProcess,
  type Runtime,
  type Sandbox,
  type SandboxConfig,
} from './runtime.ts';

const run = promisify(execFile);
const READY_TIMEOUT_MS = 20_000;
const LINGER_MS = 200;
/** Where pod-init is found inside a Pod, wherever Podwire itself is installed. */
const POD_INIT_IN_POD = '/.podwire/pod-init';

export interface NetnsEnv {
  readonly cni: Cni;
  /** The pod-init binary. */
  readonly podInit: string;
  /** A private directory of this run. */
  readonly stateDir: string;
  /** Marks namespaces as this cluster's. */
  readonly netnsPrefix: string;
}

/** `_` cannot occur in Kubernetes names, so the name is unambiguous. */
export function netnsName(prefix: string, namespace: string, pod: string): string {
  return `${prefix}${namespace}_${pod}`;
}

export class NetnsRuntime implements Runtime {
  readonly handler = 'netns';
  readonly #env: NetnsEnv;
  /** BusyBox's applets; made with the first Pod. */
  #applets: string | null | undefined;

  constructor(env: NetnsEnv) {
    this.#env = env;
  }

  async create(config: SandboxConfig): Promise<Sandbox> {
    if (this.#applets === undefined) {
      const directory = join(this.#env.stateDir, 'busybox');
      this.#applets = linkApplets(directory) ? directory : null;
    }
    const sandbox = new NetnsSandbox(this.#env, config, this.#applets);
    try {
      await sandbox.open();
      return sandbox;
    } catch (error) {
      await sandbox.close();
      throw error;
    }
  }
}

class NetnsSandbox implements Sandbox {
  podIP = 0;
  readonly #env: NetnsEnv;
  readonly #config: SandboxConfig;
  readonly #applets: string | null;
  readonly #netns: string;
  readonly #dir: string;
  readonly #etc: string;
  readonly #paths = new Map<string, string>();
  #detach: () => void = () => {};
  #holder: ChildProcess | null = null;
  #pid = '';
  #named = false;
  #closing: Promise<void> | null = null;

  constructor(env: NetnsEnv, config: SandboxConfig, applets: string | null) {
    this.#env = env;
    this.#config = config;
    this.#applets = applets;
    this.#netns = netnsName(env.netnsPrefix, config.namespace, config.name);
    this.#dir = join(env.stateDir, 'pods', this.#netns);
    this.#etc = join('/etc/netns', this.#netns);
  }

  async open(): Promise<void> {
    await ip(['netns', 'add', this.#netns]);
    this.#named = true;
    const attachment = this.#env.cni.attachTap(this.#config, `/run/netns/${this.#netns}`);
    this.podIP = attachment.podIP;
    this.#detach = attachment.detach;
    await ip(
      ['-n', this.#netns, '-batch', '-'],
      [
        'link set lo up',
        `link set eth0 address ${formatMac(attachment.podMac)} mtu ${attachment.mtu} up`,
        `addr add ${formatIPv4(attachment.podIP)}/32 dev eth0`,
        `route add ${formatIPv4(attachment.gateway)} dev eth0 scope link`,
        `route add default via ${formatIPv4(attachment.gateway)}`,
      ].join('\n'),
    );
    this.#writeFiles();
    await this.#startHolder();
  }

  async run(config: ProcessConfig): Promise<RunningProcess> {
    const { io } = config;
    const argv = config.argv[0] === 'web' ? [POD_INIT_IN_POD, ...config.argv] : config.argv;
    const child = spawn(
      this.#env.podInit,
      ['exec', '--target', this.#pid, '--cwd', config.cwd, ...(io.tty ? ['--tty'] : []), '--', ...argv],
      { env: { ...config.env }, stdio: [io.stdin ? 'pipe' : 'ignore', 'pipe', 'pipe', io.tty ? 'pipe' : 'ignore'] },
    );
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', (cause) => reject(new Error(`start ${argv[0]}: ${cause.message}`, { cause })));
    });
    return new NetnsProcess(child, io.stdin, io.stdout, io.stderr);
  }

  async connect(port: number): Promise<Duplex> {
    const netns = `/run/netns/${this.#netns}`;
    const child = spawn(this.#env.podInit, ['forward', '--netns', netns, '--port', String(port)], { stdio: 'pipe' });
    let complaint = '';
    child.stderr.on('data', (chunk: Buffer) => {
      complaint += chunk.toString();
    });
    // One byte tells that it has connected; what follows is the Pod's.
    const first = await new Promise<Buffer | undefined>((resolve, reject) => {
      child.stdout.once('data', (chunk: Buffer) => {
        child.stdout.pause();
        resolve(chunk);
      });
      child.once('close', () => resolve(undefined));
      child.once('error', reject);
    });
    if (!first) {
      const [ipv4 = '', ipv6 = ''] = complaint.trim().split('\n');
      throw connectError(this.#config, netns, port, ipv4, ipv6);
    }
    if (first.length > 1) child.stdout.unshift(first.subarray(1));
    const connection = Duplex.from({ readable: child.stdout, writable: child.stdin });
    connection.on('close', () => child.kill('SIGKILL'));
    return connection;
  }

  updateFile(path: string, text: string): void {
    const at = this.#paths.get(path);
    if (at) writeFileSync(at, text); // in place: the Pod sees the same inode through its bind mount
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  #writeFiles(): void {
    mkdirSync(join(this.#dir, 'root'), { recursive: true });
    mkdirSync(this.#etc, { recursive: true });
    let n = 0;
    for (const [path, text] of this.#config.files) {
      const at = join(this.#dir, `file-${n++}`);
      writeFileSync(at, text);
      this.#paths.set(path, at);
      if (path === '/etc/resolv.conf' || path === '/etc/hosts')
        writeFileSync(join(this.#etc, path.slice('/etc/'.length)), text);
    }
  }

  async #startHolder(): Promise<void> {
    const binds = [...this.#paths].flatMap(([path, at]) => ['--bind', at, path]);
    const holder = spawn(
      this.#env.podInit,
      [
        'sandbox',
        ...[
          '--netns',
          `/run/netns/${this.#netns}`,
          '--hostname',
          this.#config.hostname,
          '--root',
          join(this.#dir, 'root'),
        ],
        ...['--bind', this.#env.podInit, POD_INIT_IN_POD],
        ...(this.#applets ? ['--bind', this.#applets, APPLETS_IN_POD] : []),
        ...binds,
      ],
      { stdio: ['pipe', 'pipe', 'pipe'] },
    );
    this.#holder = holder;
    holder.stdin.on('error', () => {}); // it has ended, and `close` says so
    let complaint = '';
    holder.stderr.on('data', (chunk: Buffer) => {
      complaint += chunk.toString();
    });
    this.#pid = await new Promise<string>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error('pod-init: not ready in time')), READY_TIMEOUT_MS);
      let text = '';
      holder.stdout.on('data', (chunk: Buffer) => {
        text += chunk.toString();
        if (!text.endsWith('\n')) return;
        clearTimeout(timer);
        resolve(text.trim());
      });
      holder.once('error', reject);
      holder.once('close', () => {
        clearTimeout(timer);
        reject(new Error(complaint.trim() || 'pod-init ended before the Pod was ready'));
      });
    });
  }

  async #close(): Promise<void> {
    const holder = this.#holder;
    if (holder && holder.exitCode === null && holder.signalCode === null) {
      const gone = new Promise<void>((resolve) => holder.once('close', () => resolve()));
      holder.stdin?.end();
      await gone;
    }
    this.#detach();
    rmSync(this.#etc, { recursive: true, force: true });
    rmSync(this.#dir, { recursive: true, force: true });
    if (this.#named) await ip(['netns', 'del', this.#netns]).catch(() => undefined); // already gone is fine
  }
}

class NetnsProcess implements RunningProcess {
  readonly exit: Promise<ExitStatus>;
  readonly #child: ChildProcess;

  constructor(child: ChildProcess, stdin: Readable | null, stdout: Writable, stderr: Writable) {
    this.#child = child;
    // A program may end, or close its stdin, before it has read everything: that is its business (EPIPE).
    if (stdin && child.stdin) void pipeline(stdin, child.stdin).catch(() => undefined);
    // The same goes for a new size of its terminal: nobody reads that any more.
    const control = child.stdio[3];
    if (control) control.on('error', () => {});
    // The caller's streams outlive this process (a container's log spans restarts): end: false.
    const outputs = [
      pipeline(child.stdout!, stdout, { end: false }).catch(() => undefined),
      pipeline(child.stderr!, stderr, { end: false }).catch(() => undefined),
    ];
    const ended = new Promise<ExitStatus>((resolve) => {
      child.once('exit', (code, signal) => resolve({ code: code ?? 128 + (signal ? constants.signals[signal] : 0) }));
    });
    this.exit = ended.then(async (status) => {
      // Something the program left behind may hold its output open for as long as the Pod lives: do not wait for that.
      await Promise.race([Promise.all(outputs), new Promise((resolve) => setTimeout(resolve, LINGER_MS))]);
      return status;
    });
  }

  signal(name: 'SIGTERM' | 'SIGINT' | 'SIGKILL'): void {
    this.#child.kill(name === 'SIGKILL' ? 'SIGUSR2' : name); // pod-init turns SIGUSR2 into killing the process group
  }

  resize(columns: number, rows: number): void {
    const control = this.#child.stdio[3];
    if (control && 'write' in control) control.write(`${columns} ${rows}\n`);
  }
}

/** Runs iproute2's `ip`. Rejects with what it printed. */
async function ip(args: readonly string[], batch?: string): Promise<void> {
  const call = run('ip', [...args]);
  call.child.stdin?.on('error', () => {}); // it has ended before it read everything: how it ended says why
  if (batch !== undefined) call.child.stdin?.end(`${batch}\n`);
  try {
    await call;
  } catch (error) {
    const stderr = (error as { stderr?: string }).stderr?.trim();
    throw new Error(`ip ${args.join(' ')}: ${stderr || (error as Error).message}`, { cause: error });
  }
}
