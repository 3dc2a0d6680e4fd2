// nc, worded as Debian's netcat-openbsd 1.219: nc [-Nnuvz4] [-w SECONDS] [-q SECONDS] [-p PORT] HOST PORT[-PORT]..., and
// nc -l [-kNnuv] [-w SECONDS] PORT. Deviation: -l names 0.0.0.0 without asking the DNS for it.
// Left out: proxies, UNIX sockets, telnet negotiation, TTLs, buffer sizes.
import { TcpServer } from '../../tcpip-ts/socket/tcp-server.ts';
import type { TcpSocket } from '../../tcpip-ts/socket/tcp-socket.ts';
import { formatIPv4, parseIPv4 } from '../../tcpip-ts/wire/address.ts';
import type { ProcessContext, Program } from '../workloads/program.ts';
import { type ParsedArguments, parseArguments } from './arguments.ts';
import { ConnectTimeout, connectTcp } from './connect.ts';
import { Interrupted } from './dns/client.ts';
import { ResolveError, resolve, reverseLookup } from './dns/resolver.ts';
import { strerror } from './socket-errors.ts';
import { exitBySignal, signalled, sleepMs, unlessSignalled } from './wait.ts';

const SPEC = {
  ...{ z: false, v: false, u: false, n: false, l: false, k: false, N: false, 4: false, h: false, d: false },
  ...{ w: true, p: true, q: true },
};
const USAGE = `usage: nc [-4dhklNnuvz] [-p port] [-q seconds] [-w timeout] [destination] [port]\n`;
/** getservbyport(3) of the ports that people probe in a cluster. */
const SERVICES: Readonly<Record<string, number>> = {
  ...{ ftp: 21, ssh: 22, telnet: 23, smtp: 25, domain: 53, http: 80, pop3: 110, ntp: 123, ldap: 389, https: 443 },
  ...{ mysql: 3306, postgresql: 5432, redis: 6379, 'http-alt': 8080 },
};
const UDP_ONLY = new Set(['ntp']);
/** What -z -u sends, and how far apart. */
const UDP_PROBES = 4;
const UDP_PROBE_GAP_MS = 250;

interface Options {
  readonly udp: boolean;
  readonly verbose: boolean;
  readonly numeric: boolean;
  /** Look, do not talk. */
  readonly scan: boolean;
  readonly keepListening: boolean;
  /** Shut down the sending side at the end of stdin. */
  readonly shutdown: boolean;
  readonly readsStdin: boolean;
  readonly waitMs: number;
  /** How long to stay after the end of stdin. */
  readonly quitMs: number;
}

export const nc: Program = async (ctx) => {
  const parsed = parseArguments(ctx.argv.slice(1), SPEC);
  const { options, operands, problem } = parsed;
  const fail = (message: string): number => {
    ctx.stderr.write(message);
    return 1;
  };
  if (problem) {
    const what = problem.kind === 'unknown' ? 'invalid option' : 'option requires an argument';
    return fail(`nc: ${what} -- '${problem.letter}'\n${USAGE}`);
  }
  if (options.has('h')) {
    ctx.stderr.write(`OpenBSD netcat (podwire)\n${USAGE}`);
    return 0;
  }
  const listens = options.has('l');
  if (operands.length === 0 && !(listens && options.has('p')))
    return fail(listens ? 'nc: missing port number\n' : USAGE);
  if (operands.length === 1 && !listens) return fail('nc: missing port number\n');
  const portText =
    operands.length === 0 || (operands.length === 1 && options.has('p')) ? options.get('p')!.at(-1)! : operands.at(-1)!;
  const ports = portRange(portText, listens);
  if (typeof ports === 'string') return fail(`nc: ${ports}\n`);
  try {
    if (listens) return await listen(ctx, ports[0]!, settings(parsed));
    return await reach(ctx, operands[0]!, ports, settings(parsed));
  } catch (error) {
    if (error instanceof Interrupted) return exitBySignal(ctx.signal);
    if (!(error instanceof ResolveError)) throw error;
    return fail(`nc: getaddrinfo for host "${operands[0]}" port ${portText.split('-')[0]}: ${error.message}\n`);
  }
};

function settings({ options }: ParsedArguments): Options {
  const ms = (name: string): number => {
    const value = options.get(name)?.at(-1);
    return value === undefined || Number(value) < 0 ? Number.POSITIVE_INFINITY : Number(value) * 1000;
  };
  return {
    udp: options.has('u'),
    verbose: options.has('v'),
    numeric: options.has('n'),
    scan: options.has('z'),
    keepListening: options.has('k'),
    shutdown: options.has('N'),
    readsStdin: !options.has('d'),
    waitMs: ms('w'),
    quitMs: ms('q'),
  };
}

/** The ports of `80`, `http` or, when not listening, `8000-8010`; or what is wrong. */
function portRange(text: string, single: boolean): number[] | string {
  const ends = single || text in SERVICES ? [text] : text.split(/-(.*)/s, 2);
  const numbers: number[] = [];
  for (const end of ends) {
    const port = SERVICES[end] ?? Number(end);
    if (!/^\d+$/.test(end) && !(end in SERVICES)) return `port number invalid: ${end}`;
    if (port < 1) return `port number too small: ${end}`;
    if (port > 65535) return `port number too large: ${end}`;
    numbers.push(port);
  }
  const [low, high] = [Math.min(...numbers), Math.max(...numbers)];
  return Array.from({ length: high - low + 1 }, (_, i) => low + i);
}

async function reach(ctx: ProcessContext, host: string, ports: readonly number[], options: Options): Promise<number> {
  const daddr = (await resolve(ctx, host))[0]!;
  let code = 1;
  for (const port of ports) {
    const done = options.udp ? await udp(ctx, host, daddr, port, options) : await tcp(ctx, host, daddr, port, options);
    if (done) code = 0;
  }
  return code;
}

function label(host: string, daddr: number): string {
  return parseIPv4(host) !== undefined ? host : `${host} (${formatIPv4(daddr)})`;
}

function succeeded(ctx: ProcessContext, where: string, port: number, { udp, verbose, numeric }: Options): void {
  const service = Object.keys(SERVICES).find((name) => SERVICES[name] === port && (udp || !UDP_ONLY.has(name)));
  const name = numeric ? '*' : (service ?? '*');
  if (verbose) ctx.stderr.write(`Connection to ${where} ${port} port [${udp ? 'udp' : 'tcp'}/${name}] succeeded!\n`);
}

async function tcp(ctx: ProcessContext, host: string, daddr: number, port: number, options: Options): Promise<boolean> {
  const where = label(host, daddr);
  let socket: TcpSocket;
  try {
    socket = await connectTcp(ctx, daddr, port, options.waitMs);
  } catch (error) {
    if (error instanceof Interrupted) throw error;
    const how =
      error instanceof ConnectTimeout ? 'timed out: Operation now in progress' : `failed: ${strerror(error as Error)}`;
    // A time limit is told even without -v.
    if (options.verbose || error instanceof ConnectTimeout)
      ctx.stderr.write(`nc: connect to ${where} port ${port} (tcp) ${how}\n`);
    return false;
  }
  try {
    succeeded(ctx, where, port, options);
    if (!options.scan) await converse(ctx, socket, options);
    return true;
  } finally {
    socket.destroy();
  }
}

/** Until the peer has closed its side, nothing happened for -w, or -q after the end of stdin. */
function converse(
  ctx: ProcessContext,
  socket: TcpSocket,
  { waitMs, quitMs, shutdown, readsStdin }: Options,
): Promise<void> {
  return new Promise((resolve, reject) => {
    let timer: { cancel(): void } | undefined;
    const finish = (error?: Error): void => {
      timer?.cancel();
      ctx.stdin.off('data', forward);
      ctx.stdin.off('end', inputEnded);
      if (error instanceof Interrupted) reject(error);
      else resolve();
    };
    const within = (ms: number): void => {
      timer?.cancel();
      if (ms < Number.POSITIVE_INFINITY) timer = ctx.clock.after(ms * 1000, () => finish());
    };
    const forward = (chunk: Buffer): void => {
      if (!socket.write(chunk)) {
        ctx.stdin.pause();
        socket.once('drain', () => ctx.stdin.resume());
      }
      within(waitMs);
    };
    const inputEnded = (): void => {
      if (shutdown) socket.end();
      if (quitMs < Number.POSITIVE_INFINITY) within(quitMs);
    };
    within(waitMs);
    socket.on('data', (chunk: Buffer) => {
      ctx.stdout.write(chunk);
      within(waitMs);
    });
    socket.on('end', finish);
    socket.on('error', finish);
    socket.on('close', () => finish());
    if (!readsStdin) return;
    if (ctx.stdin.readableEnded) inputEnded();
    ctx.stdin.on('data', forward);
    ctx.stdin.on('end', inputEnded);
  });
}

async function udp(ctx: ProcessContext, host: string, daddr: number, port: number, options: Options): Promise<boolean> {
  const { scan, verbose, waitMs, readsStdin } = options;
  const where = label(host, daddr);
  const socket = ctx.stack.udp.bind();
  try {
    if (socket.connect(daddr, port) < 0) {
      if (verbose) ctx.stderr.write(`nc: connect to ${where} port ${port} (udp) failed: Network is unreachable\n`);
      return false;
    }
    let refused = false;
    socket.onError = (_errno, { isHard }) => {
      refused ||= isHard;
    };
    socket.onMessage = (bytes) => void ctx.stdout.write(bytes);
    for (let i = 0; i < UDP_PROBES && scan && !refused && !ctx.signal.aborted; i++) {
      socket.send(Buffer.from('X'));
      await sleepMs(ctx, UDP_PROBE_GAP_MS);
    }
    if (refused) return false;
    succeeded(ctx, where, port, options);
    if (scan) return true;
    if (readsStdin) for await (const chunk of ctx.stdin) socket.send(chunk as Buffer);
    if (!refused) await (waitMs < Number.POSITIVE_INFINITY ? sleepMs(ctx, waitMs) : signalled(ctx));
    return !refused;
  } finally {
    socket.close();
  }
}

async function listen(ctx: ProcessContext, port: number, options: Options): Promise<number> {
  if (options.udp) return listenUdp(ctx, port, options);
  const server = new TcpServer(ctx.stack);
  const waiting: TcpSocket[] = [];
  let wake: () => void = () => {};
  try {
    server.on('connection', (socket) => {
      waiting.push(socket);
      wake();
    });
    const failure = await new Promise<Error | undefined>((resolve) => {
      server.once('error', resolve);
      server.listen(port, () => resolve(undefined));
    });
    if (failure) {
      ctx.stderr.write(`nc: ${strerror(failure)}\n`);
      return 1;
    }
    if (options.verbose) ctx.stderr.write(`Listening on 0.0.0.0 ${port}\n`);
    do {
      if (waiting.length === 0) await unlessSignalled(ctx, new Promise<void>((resolve) => void (wake = resolve)));
      const socket = waiting.shift();
      if (!socket) return exitBySignal(ctx.signal);
      if (!options.keepListening) server.close();
      await serve(ctx, socket, options);
    } while (options.keepListening && !ctx.signal.aborted);
    return 0;
  } finally {
    server.close();
    for (const socket of waiting) socket.destroy();
  }
}

async function serve(ctx: ProcessContext, socket: TcpSocket, options: Options): Promise<void> {
  const interrupt = (): void => void socket.destroy(new Interrupted('interrupted'));
  ctx.signal.addEventListener('abort', interrupt);
  try {
    const peer = socket.remoteAddress ?? '';
    if (options.verbose) {
      const name = options.numeric ? undefined : await reverseLookup(ctx, parseIPv4(peer) ?? 0);
      ctx.stderr.write(`Connection received on ${name ?? peer} ${socket.remotePort}\n`);
    }
    await converse(ctx, socket, options);
  } finally {
    ctx.signal.removeEventListener('abort', interrupt);
    socket.destroy();
  }
}

/** Talks to whoever sends first. */
async function listenUdp(ctx: ProcessContext, port: number, { verbose, waitMs }: Options): Promise<number> {
  const socket = ctx.stack.udp.bind({ port });
  try {
    if (verbose) ctx.stderr.write(`Bound on 0.0.0.0 ${port}\n`);
    socket.onMessage = (bytes, saddr, sport) => {
      if (socket.peerPort === 0) {
        socket.connect(saddr, sport);
        if (verbose) ctx.stderr.write(`Connection received on ${formatIPv4(saddr)} ${sport}\n`);
        ctx.stdin.on('data', (chunk: Buffer) => socket.send(chunk));
      }
      ctx.stdout.write(bytes);
    };
    await (waitMs < Number.POSITIVE_INFINITY ? sleepMs(ctx, waitMs) : signalled(ctx));
    return ctx.signal.aborted ? exitBySignal(ctx.signal) : 0;
  } finally {
    socket.close();
  }
}
