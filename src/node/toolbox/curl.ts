// curl, as far as people test Services with it: plain HTTP over the Pod's own TCP. Options, messages and exit codes are curl's.
// Left out: https, other protocols, cookies, config files, progress meters (as with -s, always).
import { type IncomingMessage, request } from 'node:http';
import type { Socket } from 'node:net';
import { TcpSocket } from '../../tcpip-ts/socket/tcp-socket.ts';
import { formatIPv4 } from '../../tcpip-ts/wire/address.ts';
import type { ProcessContext, Program } from '../workloads/program.ts';
import { type ParsedArguments, parseArguments } from './arguments.ts';
import { absolutePath } from './paths.ts';
import { resolve } from './resolver.ts';

const SPEC: Readonly<Record<string, boolean>> = {
  s: false,
  S: false,
  o: true,
  O: false,
  w: true,
  i: false,
  I: false,
  v: false,
  X: true,
  d: true,
  H: true,
  m: true,
  L: false,
  f: false,
  A: true,
  'connect-timeout': true,
  4: false,
  k: false,
  N: false,
};
const ALIASES: Readonly<Record<string, string>> = {
  silent: 's',
  'show-error': 'S',
  output: 'o',
  'remote-name': 'O',
  'write-out': 'w',
  include: 'i',
  head: 'I',
  verbose: 'v',
  request: 'X',
  data: 'd',
  header: 'H',
  'max-time': 'm',
  location: 'L',
  fail: 'f',
  'user-agent': 'A',
  ipv4: '4',
  insecure: 'k',
  'no-buffer': 'N',
};
const USER_AGENT = 'curl/7.88.1';
const MAX_REDIRECTS = 50;
const DEFAULT_CONNECT_TIMEOUT_S = 300;

class CurlError extends Error {
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

export const curl: Program = async (ctx) => {
  const parsed = parseArguments(ctx.argv.slice(1), SPEC, ALIASES);
  if (parsed.problem) {
    const what = parsed.problem.kind === 'unknown' ? 'is unknown' : 'requires parameter';
    ctx.stderr.write(`curl: option ${parsed.problem.option}: ${what}\ncurl: try 'curl --help' for more information\n`);
    return 2;
  }
  if (parsed.operands.length === 0) {
    ctx.stderr.write("curl: try 'curl --help' for more information\n");
    return 2;
  }
  let code = 0;
  for (const operand of parsed.operands) code = await fetchOne(ctx, parsed, operand);
  return code;
};

async function fetchOne(ctx: ProcessContext, { options }: ParsedArguments, operand: string): Promise<number> {
  const last = (name: string): string | undefined => options.get(name)?.at(-1);
  try {
    let url = parseUrl(operand);
    for (let hops = 0; ; hops++) {
      const result = await transfer(ctx, options, url);
      if (options.has('L') && result.location && hops < MAX_REDIRECTS) {
        url = new URL(result.location, url);
        continue;
      }
      if (options.has('f') && result.status >= 400)
        throw new CurlError(22, `The requested URL returned error: ${result.status}`);
      deliver(ctx, options, url, result);
      const format = last('w');
      if (format !== undefined) ctx.stdout.write(expandFormat(format, result, url));
      return 0;
    }
  } catch (error) {
    if (!(error instanceof CurlError)) throw error;
    if (last('w') !== undefined) ctx.stdout.write(expandFormat(last('w')!, undefined, undefined));
    if (!options.has('s') || options.has('S')) ctx.stderr.write(`curl: (${error.code}) ${error.message}\n`);
    return error.code;
  }
}

function parseUrl(text: string): URL {
  let url: URL;
  try {
    url = new URL(/^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `http://${text}`);
  } catch {
    throw new CurlError(3, 'URL using bad/illegal format or missing URL');
  }
  if (url.protocol !== 'http:')
    throw new CurlError(1, `Protocol "${url.protocol.slice(0, -1)}" not supported or disabled in libcurl`);
  return url;
}

interface Result {
  readonly status: number;
  readonly head: string;
  readonly body: Buffer;
  readonly location: string | undefined;
  readonly remoteIP: string;
  readonly seconds: number;
}

async function transfer(ctx: ProcessContext, options: ParsedArguments['options'], url: URL): Promise<Result> {
  const startUs = ctx.clock.nowUs();
  const elapsedMs = (): number => Math.round((ctx.clock.nowUs() - startUs) / 1000);
  const verbose = (line: string): void => void (options.has('v') && ctx.stderr.write(`${line}\n`));
  const port = Number(url.port || 80);
  const addresses = await resolve(ctx, url.hostname).catch(() => {
    throw new CurlError(6, `Could not resolve host: ${url.hostname}`);
  });
  const remoteIP = formatIPv4(addresses[0]!);
  verbose(`*   Trying ${remoteIP}:${port}...`);
  const maxMs = Number(options.get('m')?.at(-1) ?? 0) * 1000;
  const connectMs = Number(options.get('connect-timeout')?.at(-1) ?? DEFAULT_CONNECT_TIMEOUT_S) * 1000;
  const socket = new TcpSocket(ctx.stack);
  let timedOut: string | undefined;
  const expire = (why: () => string) => (): void => {
    timedOut = why();
    socket.destroy(new Error('timed out'));
  };
  const limits = [
    ctx.clock.after(
      connectMs * 1000,
      expire(() => `Failed to connect to ${url.hostname} port ${port} after ${elapsedMs()} ms: Timeout was reached`),
    ),
  ];
  if (maxMs > 0)
    limits.push(
      ctx.clock.after(
        maxMs * 1000,
        expire(() => `Operation timed out after ${elapsedMs()} milliseconds with 0 bytes received`),
      ),
    );
  const abandon = (): void => void socket.destroy(new Error('interrupted'));
  ctx.signal.addEventListener('abort', abandon, { once: true });
  try {
    await new Promise<void>((connected, failed) => {
      socket.once('connect', connected);
      socket.once('error', failed);
      socket.connect(port, remoteIP);
    }).catch(() => {
      if (timedOut) throw new CurlError(28, timedOut);
      throw new CurlError(
        7,
        `Failed to connect to ${url.hostname} port ${port} after ${elapsedMs()} ms: Couldn't connect to server`,
      );
    });
    limits[0]!.cancel();
    verbose(`* Connected to ${url.hostname} (${remoteIP}) port ${port} (#0)`);
    const { response, body } = await exchange(socket, options, url, verbose).catch((error: NodeJS.ErrnoException) => {
      if (timedOut) throw new CurlError(28, timedOut);
      if (error.code === 'ECONNRESET' && !/hang up/.test(error.message))
        throw new CurlError(56, 'Recv failure: Connection reset by peer');
      throw new CurlError(52, 'Empty reply from server');
    });
    verbose(`* Connection #0 to host ${url.hostname} left intact`);
    const status = response.statusCode ?? 0;
    const headers = Array.from(
      { length: response.rawHeaders.length / 2 },
      (_, i) => `${response.rawHeaders[i * 2]}: ${response.rawHeaders[i * 2 + 1]}\r\n`,
    );
    return {
      status,
      head: `HTTP/${response.httpVersion} ${status} ${response.statusMessage}\r\n${headers.join('')}\r\n`,
      body,
      location: status >= 300 && status < 400 ? response.headers.location : undefined,
      remoteIP,
      seconds: (ctx.clock.nowUs() - startUs) / 1e6,
    };
  } finally {
    ctx.signal.removeEventListener('abort', abandon);
    for (const limit of limits) limit.cancel();
    socket.destroy();
  }
}

function exchange(
  socket: TcpSocket,
  options: ParsedArguments['options'],
  url: URL,
  verbose: (line: string) => void,
): Promise<{ response: IncomingMessage; body: Buffer }> {
  const data = options.get('d')?.join('&');
  const method = options.get('X')?.at(-1) ?? (options.has('I') ? 'HEAD' : data === undefined ? 'GET' : 'POST');
  const headers: Record<string, string> = {
    Host: url.host,
    'User-Agent': options.get('A')?.at(-1) ?? USER_AGENT,
    Accept: '*/*',
  };
  if (data !== undefined) {
    headers['Content-Type'] = 'application/x-www-form-urlencoded';
    headers['Content-Length'] = String(Buffer.byteLength(data));
  }
  for (const line of options.get('H') ?? []) {
    const [name = '', value = ''] = line.split(/:\s*(.*)/s, 2);
    headers[name] = value;
  }
  verbose(`> ${method} ${url.pathname}${url.search} HTTP/1.1`);
  for (const [name, value] of Object.entries(headers)) verbose(`> ${name}: ${value}`);
  verbose('> ');
  return new Promise((done, failed) => {
    const call = request({
      method,
      path: url.pathname + url.search,
      headers,
      createConnection: () => socket as unknown as Socket, // a Duplex with what node:http uses of net.Socket
    });
    call.on('error', failed);
    call.on('response', (response) => {
      verbose(`< HTTP/${response.httpVersion} ${response.statusCode} ${response.statusMessage}`);
      for (let i = 0; i < response.rawHeaders.length; i += 2)
        verbose(`< ${response.rawHeaders[i]}: ${response.rawHeaders[i + 1]}`);
      verbose('< ');
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => done({ response, body: Buffer.concat(chunks) }));
      response.on('error', failed);
    });
    call.end(data);
  });
}

function deliver(ctx: ProcessContext, options: ParsedArguments['options'], url: URL, result: Result): void {
  const head = options.has('i') || options.has('I') ? result.head : '';
  const file =
    options.get('o')?.at(-1) ?? (options.has('O') ? url.pathname.split('/').at(-1) || 'index.html' : undefined);
  if (file === undefined || file === '-') {
    if (head) ctx.stdout.write(head);
    ctx.stdout.write(result.body);
  } else if (file !== '/dev/null') {
    ctx.files.write(absolutePath(ctx.cwd, file), head + result.body.toString());
  }
}

/** The variables of -w that people use; unknown ones expand to nothing. */
function expandFormat(format: string, result: Result | undefined, url: URL | undefined): string {
  const variables: Record<string, string> = {
    http_code: String(result?.status ?? 0).padStart(3, '0'),
    response_code: String(result?.status ?? 0).padStart(3, '0'),
    remote_ip: result?.remoteIP ?? '',
    size_download: String(result?.body.length ?? 0),
    time_total: (result?.seconds ?? 0).toFixed(6),
    url_effective: url?.href ?? '',
  };
  return format
    .replace(/%\{(\w+)\}/g, (_, name: string) => variables[name] ?? '')
    .replaceAll('\\n', '\n')
    .replaceAll('\\t', '\t');
}
