// wget as busybox words it: what the images people try Services with have. Plain HTTP.
import { get, type IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { TcpSocket } from '../../tcpip-ts/socket/tcp-socket.ts';
import { formatIPv4 } from '../../tcpip-ts/wire/address.ts';
import type { ProcessContext, Program } from '../workloads/program.ts';
import { parseArguments } from './arguments.ts';
import { absolutePath } from './paths.ts';
import { resolve } from './resolver.ts';

const SPEC = { q: false, O: true, T: true, S: false, c: false, Y: true, P: true };
const ALIASES = { quiet: 'q', 'output-document': 'O', timeout: 'T', 'server-response': 'S' };
const DEFAULT_TIMEOUT_S = 900;
const BAR = 30;

export const wget: Program = async (ctx) => {
  const { options, operands, problem } = parseArguments(ctx.argv.slice(1), SPEC, ALIASES);
  const [target] = operands;
  if (problem || target === undefined) {
    if (problem)
      ctx.stderr.write(
        `wget: ${problem.kind === 'unknown' ? 'unrecognized option' : 'option requires an argument'} '${problem.option}'\n`,
      );
    ctx.stderr.write('Usage: wget [-qS] [-O FILE] [-T SEC] URL...\n');
    return 1;
  }
  const say = (text: string): void => void (options.has('q') || ctx.stderr.write(text));
  const fail = (message: string): number => {
    ctx.stderr.write(`wget: ${message}\n`);
    return 1;
  };
  if (/^[a-z]+:\/\//i.test(target) && !target.startsWith('http://')) return fail(`not an http or ftp url: ${target}`);
  const url = new URL(target.startsWith('http://') ? target : `http://${target}`);
  const addresses = await resolve(ctx, url.hostname).catch(() => undefined);
  if (!addresses) return fail(`bad address '${url.hostname}'`);
  const host = formatIPv4(addresses[0]!);
  const port = Number(url.port || 80);
  say(`Connecting to ${url.host} (${host}:${port})\n`);
  let response: IncomingMessage;
  let body: Buffer;
  try {
    ({ response, body } = await fetchBody(ctx, url, host, port, Number(options.get('T')?.at(-1) ?? DEFAULT_TIMEOUT_S)));
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (message === 'timed out') return fail('download timed out');
    const why = {
      ECONNREFUSED: 'Connection refused',
      ETIMEDOUT: 'Connection timed out',
      EHOSTUNREACH: 'No route to host',
      ENETUNREACH: 'Network is unreachable',
    }[code ?? ''];
    return fail(why ? `can't connect to remote host (${host}): ${why}` : 'error getting response');
  }
  const { statusCode = 0, statusMessage = '' } = response;
  if (options.has('S')) say(`  HTTP/${response.httpVersion} ${statusCode} ${statusMessage}\n`);
  if (statusCode >= 400)
    return fail(`server returned error: HTTP/${response.httpVersion} ${statusCode} ${statusMessage}`);
  const file = options.get('O')?.at(-1) ?? (url.pathname.split('/').at(-1) || 'index.html');
  if (file === '-') {
    say('writing to stdout\n');
    ctx.stdout.write(body);
    say(`${progress('-', body.length)}\nwritten to stdout\n`);
    return 0;
  }
  const path = absolutePath(ctx.cwd, file);
  if (!options.has('O') && ctx.files.read(path) !== undefined) return fail(`can't open '${file}': File exists`);
  say(`saving to '${file}'\n`);
  if (path !== '/dev/null') ctx.files.write(path, body.toString());
  say(`${progress(file, body.length)}\n'${file}' saved\n`);
  return 0;
};

function progress(file: string, size: number): string {
  return `${file.slice(0, 20).padEnd(20)} 100% |${'*'.repeat(BAR)}| ${String(size).padStart(5)}  0:00:00 ETA`;
}

function fetchBody(
  ctx: ProcessContext,
  url: URL,
  host: string,
  port: number,
  timeoutS: number,
): Promise<{ response: IncomingMessage; body: Buffer }> {
  const socket = new TcpSocket(ctx.stack);
  const abandon = (): void => void socket.destroy(new Error('interrupted'));
  ctx.signal.addEventListener('abort', abandon, { once: true });
  const timer = ctx.clock.after(timeoutS * 1e6, () => socket.destroy(new Error('timed out')));
  return new Promise<{ response: IncomingMessage; body: Buffer }>((done, failed) => {
    const call = get(url, {
      headers: { Host: url.host, 'User-Agent': 'Wget', Connection: 'close' },
      createConnection: () => socket.connect(port, host) as unknown as Socket, // a Duplex with what node:http uses of net.Socket
    });
    call.on('error', failed);
    call.on('response', (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => done({ response, body: Buffer.concat(chunks) }));
      response.on('error', failed);
    });
  }).finally(() => {
    ctx.signal.removeEventListener('abort', abandon);
    timer.cancel();
    socket.destroy();
  });
}
