// A userspace Pod without a cluster: its stack at 10.0.0.1, and at 10.0.0.2, a millisecond away, a host that serves the DNS of a small
// zone and whatever a test sets up. On a virtual clock: `run` plays a command to its end and tells what it wrote.
import { PassThrough, type Readable } from 'node:stream';
import dnsPacket, { type Answer, type DecodedPacket, type Packet } from 'dns-packet';
import type { VirtualClock } from '../../src/lib/clock.ts';
import { SeededRng } from '../../src/lib/rng.ts';
import { TOOLBOX } from '../../src/node/toolbox/toolbox.ts';
import { PodFiles, type ProcessContext, type Program } from '../../src/node/workloads/program.ts';
import { web } from '../../src/node/workloads/web.ts';
import { TcpServer } from '../../src/tcpip-ts/socket/tcp-server.ts';
import type { TcpSocket } from '../../src/tcpip-ts/socket/tcp-socket.ts';
import type { Stack } from '../../src/tcpip-ts/stack.ts';
import { A, B, type Hosts, twoHosts } from './hosts.ts';

export interface Result {
  readonly stdout: string;
  readonly stderr: string;
  readonly code: number;
  /** Virtual time that passed. */
  readonly seconds: number;
}

export interface RunOptions {
  readonly stdin?: string | Readable;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly tty?: boolean;
  readonly signal?: AbortSignal;
  /** Virtual seconds after which a command is given up. */
  readonly limitS?: number;
}

/** What the DNS says to one question: records, an rcode, or nothing at all. */
export type Zone = (name: string, type: string) => readonly Answer[] | 'NXDOMAIN' | 'SERVFAIL' | 'REFUSED' | 'silence';

export interface AskedQuestion {
  readonly name: string;
  readonly type: string;
  readonly port: number;
  readonly transport: 'udp' | 'tcp';
  readonly atS: number;
}

/** Enough for what follows from one timer; a chain that is longer is waited for where it matters, in virtual time not passing. */
const TURNS_PER_TIMER = 4;
const HANGS_AFTER_MS = 60_000;

const SOA: Answer = {
  type: 'SOA',
  name: 'cluster.local',
  ttl: 30,
  data: {
    mname: 'ns.dns.cluster.local',
    rname: 'hostmaster.cluster.local',
    serial: 1_700_000_000,
    refresh: 7200,
    retry: 1800,
    expire: 86400,
    minimum: 30,
  },
};

export function a(name: string, data: string): Answer {
  return { type: 'A', name, ttl: 30, data };
}

/** ent, ext (an alias of ent), headless, kube-dns, and the names of their addresses; other names do not exist, other domains fail. */
export const clusterZone: Zone = (name, type) => {
  const ent = a('ent.dev.svc.cluster.local', '10.0.0.2');
  const records: Readonly<Record<string, readonly Answer[]>> = {
    'ent.dev.svc.cluster.local': [ent],
    'ext.dev.svc.cluster.local': [
      { type: 'CNAME', name: 'ext.dev.svc.cluster.local', ttl: 30, data: 'ent.dev.svc.cluster.local' },
      ent,
    ],
    'headless.dev.svc.cluster.local': [
      a('headless.dev.svc.cluster.local', '10.0.0.2'),
      a('headless.dev.svc.cluster.local', '10.0.0.3'),
    ],
    'kube-dns.kube-system.svc.cluster.local': [a('kube-dns.kube-system.svc.cluster.local', '10.0.0.2')],
    '2.0.0.10.in-addr.arpa': [
      { type: 'PTR', name: '2.0.0.10.in-addr.arpa', ttl: 30, data: 'ent.dev.svc.cluster.local' },
    ],
    'dns-version.cluster.local': [{ type: 'TXT', name: 'dns-version.cluster.local', ttl: 30, data: ['1.1.0'] }],
    '_http._tcp.headless.dev.svc.cluster.local': [
      {
        type: 'SRV',
        name: '_http._tcp.headless.dev.svc.cluster.local',
        ttl: 30,
        data: { priority: 0, weight: 100, port: 8080, target: '10-0-0-2.headless.dev.svc.cluster.local' },
      },
    ],
  };
  const found = records[name.toLowerCase()];
  if (found) return found.filter((r) => r.type === type || r.type === 'CNAME');
  return name.endsWith('cluster.local') ? 'NXDOMAIN' : 'SERVFAIL';
};

export class PodWorld {
  readonly hosts: Hosts;
  readonly clock: VirtualClock;
  readonly pod: Stack;
  /** The host at 10.0.0.2. */
  readonly far: Stack;
  readonly files = new PodFiles();
  readonly asked: AskedQuestion[] = [];
  zone: Zone = clusterZone;
  /** Whether answers over UDP are cut. */
  truncates = false;
  readonly #end = new AbortController();

  constructor() {
    this.hosts = twoHosts({ delayUs: 500 });
    this.clock = this.hosts.clock;
    this.pod = this.hosts.a;
    this.far = this.hosts.b;
    this.files.write(
      '/etc/resolv.conf',
      'nameserver 10.0.0.2\nsearch dev.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n',
    );
    this.files.write('/etc/hosts', '127.0.0.1\tlocalhost\n10.0.0.1\tjump\n');
    this.files.write('/etc/hostname', 'jump\n');
    this.#serveDns();
  }

  /** Ends what was started with `startWeb`. */
  close(): void {
    this.#end.abort('SIGTERM');
    this.hosts.a.close();
    this.hosts.b.close();
  }

  /** The web workload at 10.0.0.2:PORT. */
  startWeb(args: readonly string[]): PassThrough {
    const log = new PassThrough();
    void web(this.context(['web', ...args], { signal: this.#end.signal }, this.far, log, log));
    return log;
  }

  /** A raw TCP service at 10.0.0.2. */
  serve(port: number, onConnection: (socket: TcpSocket) => void): void {
    new TcpServer(this.far, { allowHalfOpen: true }, (socket) => {
      socket.on('error', () => {});
      onConnection(socket);
    }).listen(port);
  }

  /** A service that answers each connection's first bytes with `reply`, then closes unless told to stay. */
  replyWith(port: number, reply: string, stays = false): void {
    this.serve(port, (socket) => {
      socket.once('data', () => {
        socket.write(reply);
        if (!stays) socket.end();
      });
    });
  }

  /** Runs a command line, split at blanks, or an argv. */
  async run(command: string | readonly string[], options: RunOptions = {}): Promise<Result> {
    const argv = typeof command === 'string' ? command.split(' ') : command;
    const program = TOOLBOX.get(argv[0]!);
    if (!program) throw new Error(`no such program: ${argv[0]}`);
    return this.play(program, argv, options);
  }

  async play(program: Program, argv: readonly string[], options: RunOptions = {}): Promise<Result> {
    const stdout = new PassThrough();
    const stderr = new PassThrough();
    const collected = { stdout: '', stderr: '' };
    stdout.on('data', (chunk: Buffer) => void (collected.stdout += chunk.toString()));
    stderr.on('data', (chunk: Buffer) => void (collected.stderr += chunk.toString()));
    const startUs = this.clock.nowUs();
    let code: number | Error | undefined;
    program(this.context(argv, options, this.pod, stdout, stderr)).then(
      (exit) => void (code = exit),
      (error: Error) => void (code = error),
    );
    await this.until(() => code !== undefined, options.limitS ?? 600, argv.join(' '));
    const seconds = (this.clock.nowUs() - startUs) / 1e6;
    await turns(5); // output that is still on its way
    if (code instanceof Error) throw code;
    return { ...collected, code: code!, seconds };
  }

  context(
    argv: readonly string[],
    { stdin, env, cwd, tty, signal }: RunOptions,
    stack: Stack,
    stdout: PassThrough,
    stderr: PassThrough,
  ): ProcessContext {
    return {
      argv,
      env: env ?? { HOME: '/root', HOSTNAME: 'jump' },
      stdin: stdin instanceof PassThrough ? stdin : new PassThrough().end(stdin ?? ''),
      stdout,
      stderr,
      tty: tty ?? false,
      stack,
      files: this.files,
      cwd: cwd ?? '/',
      hostname: 'jump',
      podIP: stack === this.pod ? A : B,
      clock: this.clock,
      rng: new SeededRng(7),
      signal: signal ?? new AbortController().signal,
    };
  }

  /**
   * Lets time pass, timer by timer, until `done`. Between two timers the code under test gets all the turns of the event loop that
   * it asks for: only when nothing is left to wait for, and after seconds of the real clock, it is taken to hang.
   */
  async until(done: () => boolean, limitS: number, what: string): Promise<void> {
    const endUs = this.clock.nowUs() + limitS * 1e6;
    let idleSinceMs: number | undefined;
    while (!done()) {
      await turns(TURNS_PER_TIMER);
      if (done()) return;
      let looks = 0;
      const fired = await this.clock
        .until(() => looks++ > 0, Math.max(0, endUs - this.clock.nowUs()))
        .then(
          () => true,
          () => false,
        );
      if (fired) idleSinceMs = undefined;
      else idleSinceMs ??= performance.now();
      if (idleSinceMs !== undefined && performance.now() - idleSinceMs > HANGS_AFTER_MS)
        throw new Error(`${what}: not done after ${limitS} virtual seconds`);
    }
  }

  #serveDns(): void {
    const socket = this.far.udp.bind({ port: 53 });
    socket.onMessage = (bytes, saddr, sport) => {
      const reply = this.#answer(bytes, sport, 'udp');
      if (reply) socket.send(reply, saddr, sport);
    };
    this.serve(53, (tcp) => {
      tcp.on('data', (chunk: Buffer) => {
        const reply = this.#answer(chunk.subarray(2), tcp.remotePort ?? 0, 'tcp');
        if (reply) tcp.write(Buffer.concat([Buffer.from([reply.length >> 8, reply.length & 255]), reply]));
      });
      tcp.on('end', () => tcp.end());
    });
  }

  #answer(bytes: Uint8Array, port: number, transport: 'udp' | 'tcp'): Buffer | undefined {
    const query: DecodedPacket = dnsPacket.decode(Buffer.from(bytes));
    const { name, type } = query.questions![0]!;
    this.asked.push({ name, type, port, transport, atS: this.clock.nowUs() / 1e6 });
    const said = this.zone(name, type);
    if (said === 'silence') return undefined;
    const rcode = typeof said === 'string' ? { NXDOMAIN: 3, SERVFAIL: 2, REFUSED: 5 }[said] : 0;
    const cut = transport === 'udp' && this.truncates;
    const records = typeof said === 'string' || cut ? [] : said;
    const isOurs = rcode === 0 || rcode === 3;
    const flags =
      (query.flag_rd ? dnsPacket.RECURSION_DESIRED : 0) |
      (isOurs ? dnsPacket.AUTHORITATIVE_ANSWER : 0) |
      (cut ? dnsPacket.TRUNCATED_RESPONSE : 0);
    const reply: Packet = {
      type: 'response',
      id: query.id!,
      flags: flags | rcode,
      questions: query.questions!,
      answers: [...records],
      authorities: isOurs && records.length === 0 && !cut ? [SOA] : [],
      additionals: query.additionals ?? [], // EDNS comes back as it was sent, cookie and all
    };
    return dnsPacket.encode(reply);
  }
}

export async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise<void>((resolve) => setImmediate(resolve));
}

/** One that is closed with the test. */
export function podWorld(t: { teardown(end: () => void): void }): PodWorld {
  const world = new PodWorld();
  t.teardown(() => world.close());
  return world;
}
