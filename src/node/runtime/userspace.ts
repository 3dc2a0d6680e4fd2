// The userspace runtime: a Pod is an @tcpip-ts stack on an in-memory link to the Node, and its processes are Programs in this
// thread. Nothing here needs root. A Program that ignores its signal keeps running until it next looks, but its exit is
// reported and its sockets are closed with the Pod's stack (Deviation: there is no preemption inside a thread).
import { type Duplex, PassThrough } from 'node:stream';
import type { ApiClient } from '../../client/client.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Rng } from '../../lib/rng.ts';
import type { SkbPool } from '../../tcpip-ts/skb.ts';
import { TcpSocket } from '../../tcpip-ts/socket/tcp-socket.ts';
import { Stack } from '../../tcpip-ts/stack.ts';
import type { Cni } from '../cni.ts';
import { PodFiles, type Program, type ProgramTable } from '../workloads/program.ts';
import {
  connectError,
  type ExitStatus,
  type ProcessConfig,
  type RunningProcess,
  type Runtime,
  type Sandbox,
  type SandboxConfig,
} from './runtime.ts';
import { Terminal } from './terminal.ts';

export interface UserspaceEnv {
  readonly clock: Clock;
  readonly rng: Rng;
  readonly pool: SkbPool;
  readonly cni: Cni;
  readonly programs: ProgramTable;
  /** What a process may ask of the API; null: none. */
  readonly api: ApiClient | null;
}

/** One flow's packets in flight must leave room for others in the Node's packet pool, which all of its Pods share. */
const RECEIVE_BUFFER_MAX = 1 << 20;

/** What was sent at the end is on its way before the network goes: a namespace outlives its processes, too, for as long as its removal takes. */
const LAST_WORDS_US = 1000;

const SIGNAL_EXIT = { SIGINT: 130, SIGKILL: 137, SIGTERM: 143 } as const;

export class UserspaceRuntime implements Runtime {
  readonly handler = 'userspace';
  readonly #env: UserspaceEnv;

  constructor(env: UserspaceEnv) {
    this.#env = env;
  }

  async create(config: SandboxConfig): Promise<Sandbox> {
    return new UserspaceSandbox(this.#env, config);
  }
}

class UserspaceSandbox implements Sandbox {
  readonly podIP: number;
  readonly #env: UserspaceEnv;
  readonly #config: SandboxConfig;
  readonly #stack: Stack;
  readonly #files = new PodFiles();
  readonly #detach: () => void;
  readonly #running = new Set<RunningProcess>();
  readonly #forwarded = new Set<TcpSocket>();
  #closed = false;

  constructor(env: UserspaceEnv, config: SandboxConfig) {
    this.#env = env;
    this.#config = config;
    const attachment = env.cni.attachRing(config);
    this.podIP = attachment.podIP;
    this.#detach = attachment.detach;
    this.#stack = new Stack({
      clock: env.clock,
      rng: env.rng,
      pool: env.pool,
      tcp: { receiveBufferMax: RECEIVE_BUFFER_MAX },
    });
    const eth0 = this.#stack.addInterface(attachment.podLink, {
      mac: attachment.podMac,
      addr: attachment.podIP,
      prefixLen: 32,
    });
    this.#stack.addRoute(attachment.gateway, 32, 0, eth0.ifIndex);
    this.#stack.addRoute(0, 0, attachment.gateway, eth0.ifIndex);
    for (const [path, text] of config.files) this.#files.write(path, text);
  }

  async run(config: ProcessConfig): Promise<RunningProcess> {
    const command = config.argv[0] ?? '';
    const program = this.#env.programs.get(command.slice(command.lastIndexOf('/') + 1));
    const { io } = config;
    // One that was killed is at an end for whoever started it, and may yet write before it notices.
    for (const output of [io.stdout, io.stderr]) output.on('error', () => {});
    const terminal = io.tty ? new Terminal(io.stdin, io.stdout) : undefined;
    const foreground = terminal?.enter(() => process.signal('SIGINT'));
    const process: UserspaceProcess = new UserspaceProcess(program ?? notFound, terminal, (signal) => ({
      argv: config.argv,
      env: config.env,
      stdin: foreground?.input ?? io.stdin ?? new PassThrough().end(),
      stdout: terminal?.output ?? io.stdout,
      stderr: terminal?.output ?? io.stderr,
      tty: io.tty,
      ...(terminal ? { terminal } : {}),
      stack: this.#stack,
      files: this.#files,
      cwd: config.cwd,
      hostname: this.#config.hostname,
      podIP: this.podIP,
      clock: this.#env.clock,
      rng: this.#env.rng,
      ...(this.#env.api ? { api: this.#env.api } : {}),
      signal,
    }));
    this.#running.add(process);
    void process.exit.then(() => this.#running.delete(process));
    return process;
  }

  connect(port: number): Promise<Duplex> {
    const socket = new TcpSocket(this.#stack, { allowHalfOpen: true });
    return new Promise((resolve, reject) => {
      socket.once('error', (error: NodeJS.ErrnoException) => {
        const why = error.code === 'ECONNREFUSED' ? 'connection refused' : error.message;
        // The stack has no IPv6, so there is no ::1 either.
        const { namespace, name } = this.#config;
        reject(connectError(this.#config, `${namespace}/${name}`, port, why, 'cannot assign requested address'));
      });
      socket.connect(port, 'localhost', () => {
        this.#forwarded.add(socket);
        socket.on('close', () => this.#forwarded.delete(socket));
        resolve(socket);
      });
    });
  }

  updateFile(path: string, text: string): void {
    this.#files.write(path, text);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const process of this.#running) process.signal('SIGKILL');
    for (const socket of this.#forwarded) socket.destroy();
    this.#stack.tcp.release();
    await new Promise<void>((resolve) => this.#env.clock.after(LAST_WORDS_US, resolve));
    this.#stack.close();
    this.#detach();
  }
}

class UserspaceProcess implements RunningProcess {
  readonly exit: Promise<ExitStatus>;
  readonly #abort = new AbortController();
  readonly #terminal: Terminal | undefined;

  constructor(
    program: Program,
    terminal: Terminal | undefined,
    context: (signal: AbortSignal) => Parameters<Program>[0],
  ) {
    this.#terminal = terminal;
    const ctx = context(this.#abort.signal);
    const killed = new Promise<ExitStatus>((resolve) => {
      this.#abort.signal.addEventListener('abort', () => {
        // A handled SIGTERM may still end with the program's own code; SIGKILL does not ask.
        if (this.#abort.signal.reason === 'SIGKILL') resolve({ code: SIGNAL_EXIT.SIGKILL });
      });
    });
    this.exit = Promise.race([killed, this.#execute(program, ctx)]);
  }

  signal(name: 'SIGTERM' | 'SIGINT' | 'SIGKILL'): void {
    if (!this.#abort.signal.aborted) this.#abort.abort(name);
    else if (name === 'SIGKILL') this.#killAnyway();
  }

  resize(columns: number): void {
    if (this.#terminal) this.#terminal.columns = columns;
  }

  #killAnyway: () => void = () => {};

  async #execute(program: Program, ctx: Parameters<Program>[0]): Promise<ExitStatus> {
    const killedLater = new Promise<ExitStatus>((resolve) => {
      this.#killAnyway = () => resolve({ code: SIGNAL_EXIT.SIGKILL });
    });
    try {
      return await Promise.race([killedLater, program(ctx).then((code) => ({ code }))]);
    } catch (error) {
      const { aborted, reason } = this.#abort.signal;
      if (aborted) return { code: SIGNAL_EXIT[reason as keyof typeof SIGNAL_EXIT] ?? 137 };
      ctx.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
      return { code: 1 };
    } finally {
      await this.#terminal?.flush();
    }
  }
}

const notFound: Program = async (ctx) => {
  ctx.stderr.write(
    `exec: "${ctx.argv[0]}": executable file not found in $PATH\n(userspace Pods have a small toolbox: run \`help\`)\n`,
  );
  return 127;
};
