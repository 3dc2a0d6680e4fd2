// nc, worded as Debian's netcat-openbsd: nc [-z] [-v] [-u] [-n] [-w SECONDS] HOST PORT, and nc -l [-u] PORT.
import type { Readable } from 'node:stream';
import { TcpServer } from '../../tcpip-ts/socket/tcp-server.ts';
import { TcpSocket } from '../../tcpip-ts/socket/tcp-socket.ts';
import { formatIPv4, parseIPv4 } from '../../tcpip-ts/wire/address.ts';
import type { ProcessContext, Program } from '../workloads/program.ts';
import { type ParsedArguments, parseArguments } from './arguments.ts';
import { resolve } from './resolver.ts';
import { signalled, sleepMs } from './wait.ts';

const SPEC = { z: false, v: false, u: false, n: false, w: true, l: false, p: true, k: false, N: false, q: true };
const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'Connection refused',
  ETIMEDOUT: 'Connection timed out',
  EHOSTUNREACH: 'No route to host',
  ENETUNREACH: 'Network is unreachable',
};

export const nc: Program = async (ctx) => {
  const parsed = parseArguments(ctx.argv.slice(1), SPEC);
  const { options, operands, problem } = parsed;
  const port = Number(operands.at(-1) ?? options.get('p')?.at(-1));
  if (problem || !Number.isInteger(port) || (!options.has('l') && operands.length < 2)) {
    ctx.stderr.write('usage: nc [-lNnuvz] [-w timeout] [destination] [port]\n');
    return 1;
  }
  if (options.has('l')) return listen(ctx, port, options.has('v'));
  const host = operands[0]!;
  const addresses = await resolve(ctx, host).catch(() => undefined);
  if (!addresses) {
    ctx.stderr.write(`nc: getaddrinfo for host "${host}" port ${port}: Name or service not known\n`);
    return 1;
  }
  return options.has('u') ? udp(ctx, parsed, addresses[0]!, port) : connect(ctx, parsed, host, addresses[0]!, port);
};

function label(host: string, address: string): string {
  return parseIPv4(host) !== undefined ? host : `${host} (${address})`;
}

async function connect(
  ctx: ProcessContext,
  { options }: ParsedArguments,
  host: string,
  daddr: number,
  port: number,
): Promise<number> {
  const address = formatIPv4(daddr);
  const socket = new TcpSocket(ctx.stack);
  const waitS = Number(options.get('w')?.at(-1) ?? 0);
  const timer =
    waitS > 0
      ? ctx.clock.after(waitS * 1e6, () => socket.destroy(Object.assign(new Error('timed out'), { code: 'ETIMEDOUT' })))
      : undefined;
  const abandon = (): void => void socket.destroy();
  ctx.signal.addEventListener('abort', abandon, { once: true });
  try {
    const failure = await new Promise<NodeJS.ErrnoException | undefined>((done) => {
      socket.once('connect', () => done(undefined));
      socket.once('error', done);
      socket.connect(port, address);
    });
    if (failure) {
      if (options.has('v'))
        ctx.stderr.write(
          `nc: connect to ${label(host, address)} port ${port} (tcp) failed: ${REASONS[failure.code ?? ''] ?? failure.message}\n`,
        );
      return 1;
    }
    if (options.has('v')) ctx.stderr.write(`Connection to ${label(host, address)} ${port} port [tcp/*] succeeded!\n`);
    if (options.has('z')) return 0;
    timer?.cancel();
    return await converse(ctx, socket);
  } finally {
    timer?.cancel();
    ctx.signal.removeEventListener('abort', abandon);
    socket.destroy();
  }
}

/** Until the peer has closed its side. */
function converse(ctx: ProcessContext, socket: TcpSocket): Promise<number> {
  return new Promise((done) => {
    (ctx.stdin as Readable).pipe(socket);
    socket.on('data', (chunk: Buffer) => ctx.stdout.write(chunk));
    socket.on('end', () => done(0));
    socket.on('error', () => done(1));
    socket.on('close', () => done(0));
  });
}

async function udp(ctx: ProcessContext, { options }: ParsedArguments, daddr: number, port: number): Promise<number> {
  const socket = ctx.stack.udp.bind();
  let refused = false;
  socket.onError = () => {
    refused = true;
  };
  socket.onMessage = (bytes) => void ctx.stdout.write(bytes);
  socket.connect(daddr, port);
  try {
    if (options.has('z')) {
      for (let i = 0; i < 4 && !refused; i++) {
        socket.send(new TextEncoder().encode('X'));
        await sleepMs(ctx, 250);
      }
      if (refused) return 1;
      if (options.has('v')) ctx.stderr.write(`Connection to ${formatIPv4(daddr)} ${port} port [udp/*] succeeded!\n`);
      return 0;
    }
    for await (const chunk of ctx.stdin) socket.send(chunk as Buffer);
    await sleepMs(ctx, Number(options.get('w')?.at(-1) ?? 1) * 1000);
    return refused ? 1 : 0;
  } finally {
    socket.close();
  }
}

async function listen(ctx: ProcessContext, port: number, verbose: boolean): Promise<number> {
  const server = new TcpServer(ctx.stack);
  try {
    if (verbose) ctx.stderr.write(`Listening on 0.0.0.0 ${port}\n`);
    const socket = await Promise.race([
      new Promise<TcpSocket | Error>((done) => {
        server.once('connection', done);
        server.once('error', done);
        server.listen(port);
      }),
      signalled(ctx).then(() => new Error('interrupted')),
    ]);
    if (socket instanceof Error) {
      ctx.stderr.write(`nc: ${socket.message}\n`);
      return 1;
    }
    if (verbose) ctx.stderr.write(`Connection received on ${socket.remoteAddress} ${socket.remotePort}\n`);
    return await converse(ctx, socket);
  } finally {
    server.close();
  }
}
