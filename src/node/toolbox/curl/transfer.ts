// One URL of curl's command line, redirects included: look up, connect (or take an idle connection), ask, write what comes.
import { type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Timer } from '../../../lib/clock.ts';
import type { TcpSocket } from '../../../tcpip-ts/socket/tcp-socket.ts';
import { formatIPv4, parseIPv4 } from '../../../tcpip-ts/wire/address.ts';
import type { ProcessContext } from '../../workloads/program.ts';
import { ConnectTimeout, connectTcp } from '../connect.ts';
import { Interrupted } from '../dns/client.ts';
import { ResolveError, resolve } from '../dns/resolver.ts';
import { absolutePath, whyNotWritable } from '../paths.ts';
import { strerror } from '../socket-errors.ts';
import type { StackAgent } from '../stack-agent.ts';
import type { CurlOptions } from './options.ts';
import * as outcomes from './outcome.ts';
import { CurlError, newOutcome, type Outcome } from './outcome.ts';
import { type CurlRequest, headText, makeRequest } from './request.ts';
import { startTls, transportOf } from './tls.ts';

/** The whole transfer's time is over. */
class Expired extends Error {}

/** Connections that one curl process has made: `#0`, `#1`... */
export interface ConnectionCount {
  count: number;
}

export class Transfer {
  readonly #ctx: ProcessContext;
  readonly #options: CurlOptions;
  readonly #agent: StackAgent;
  readonly #connections: ConnectionCount;
  readonly #startUs: number;
  #outcome: Outcome = newOutcome('');
  /** The number of the connection in use. */
  #connection = 0;
  #chunks: Buffer[] = [];

  constructor(ctx: ProcessContext, options: CurlOptions, agent: StackAgent, connections: ConnectionCount) {
    this.#ctx = ctx;
    this.#options = options;
    this.#agent = agent;
    this.#connections = connections;
    this.#startUs = ctx.clock.nowUs();
  }

  /** Never rejects with CurlError: that is part of the outcome. `output` is the -o that belongs to this URL. */
  async run(operand: string, output: string | undefined): Promise<Outcome> {
    const outcome = newOutcome(operand);
    this.#outcome = outcome;
    try {
      const url = parseUrl(operand);
      outcome.effectiveUrl = url.href;
      outcome.file = this.#fileName(url, output);
      await this.#follow(url);
    } catch (error) {
      if (!(error instanceof CurlError)) throw error;
      outcome.error = error;
    }
    if (outcome.file !== undefined && outcome.file !== '/dev/null' && this.#chunks.length > 0)
      this.#ctx.files.write(absolutePath(this.#ctx.cwd, outcome.file), Buffer.concat(this.#chunks).toString());
    outcome.times.totalUs = this.#elapsedUs();
    return outcome;
  }

  async #follow(first: URL): Promise<void> {
    const { follow, maxRedirects } = this.#options;
    const outcome = this.#outcome;
    let url = first;
    let redirected: number | undefined;
    for (;;) {
      const response = await this.#hop(url, makeRequest(this.#options, url, redirected));
      const { location } = response.headers;
      outcome.redirectUrl = '';
      if (location === undefined || outcome.status < 300 || outcome.status >= 400) return;
      const next = new URL(location, url);
      if (!follow) {
        outcome.redirectUrl = next.href;
        return;
      }
      if (outcome.redirects >= maxRedirects)
        throw new CurlError(outcomes.TOO_MANY_REDIRECTS, `Maximum (${maxRedirects}) redirects followed`);
      if (!isServed(next)) throw unsupported(next);
      if (portOf(next) !== portOf(url))
        this.#verbose(`Clear auth, redirects to port from ${portOf(url)} to ${portOf(next)}`);
      this.#verbose(`Issue another request to this URL: '${next.href}'`);
      outcome.redirects++;
      outcome.times.redirectUs = this.#elapsedUs();
      outcome.effectiveUrl = next.href;
      redirected = outcome.status;
      url = next;
    }
  }

  /** One request and its response, all of it read. */
  async #hop(url: URL, request: CurlRequest): Promise<IncomingMessage> {
    const port = portOf(url);
    if (this.#agent.hasIdle(url.hostname, port)) {
      this.#verbose(`Re-using existing connection #${this.#connection} with host ${url.hostname}`);
    } else {
      const tcp = await this.#connect(url.hostname, port);
      this.#agent.prepare(url.protocol === 'https:' ? await this.#secure(tcp, url.hostname, port) : tcp);
    }
    this.#outcome.times.pretransferUs = this.#elapsedUs();
    this.#outcome.method = request.method;
    try {
      return await this.#exchange(url, request);
    } catch (error) {
      throw this.#closing(error);
    }
  }

  async #connect(host: string, port: number): Promise<TcpSocket> {
    const { times } = this.#outcome;
    const { connectTimeoutMs, maxTimeMs } = this.#options;
    this.#connection = this.#connections.count++;
    const daddr = await this.#lookUp(host, port);
    times.lookupUs = this.#elapsedUs();
    const address = formatIPv4(daddr);
    this.#verbose(`  Trying ${address}:${port}...`);
    const leftMs = Math.max(0, maxTimeMs - this.#elapsedUs() / 1000);
    try {
      const socket = await connectTcp(this.#ctx, daddr, port, Math.min(connectTimeoutMs, leftMs));
      times.connectUs = this.#elapsedUs();
      this.#outcome.connects++;
      this.#verbose(`Connected to ${host} (${address}) port ${port} (#${this.#connection})`);
      return socket;
    } catch (error) {
      if (error instanceof Interrupted) throw error;
      throw this.#closing(this.#connectError(error as NodeJS.ErrnoException, host, address, port, leftMs));
    }
  }

  async #secure(tcp: TcpSocket, host: string, port: number): Promise<Duplex> {
    const { maxTimeMs, connectTimeoutMs, tls } = this.#options;
    const spentMs = this.#elapsedUs() / 1000;
    const limitMs = Math.max(0, Math.min(maxTimeMs, connectTimeoutMs) - spentMs);
    try {
      const socket = await startTls(this.#ctx, tcp, { host, port }, tls, limitMs, (line) => this.#verbose(line));
      this.#outcome.times.appConnectUs = this.#elapsedUs();
      return socket;
    } catch (error) {
      throw this.#closing(error);
    }
  }

  #connectError(error: NodeJS.ErrnoException, host: string, address: string, port: number, leftMs: number): CurlError {
    const { connectTimeoutMs } = this.#options;
    const failed = `Failed to connect to ${host} port ${port} after ${this.#elapsedMs()} ms`;
    if (error instanceof ConnectTimeout) {
      if (leftMs <= connectTimeoutMs)
        return new CurlError(
          outcomes.OPERATION_TIMEDOUT,
          `Connection timed out after ${this.#elapsedMs()} milliseconds`,
        );
      this.#verbose(`ipv4 connect timeout after ${connectTimeoutMs}ms, move on!`);
      return new CurlError(outcomes.OPERATION_TIMEDOUT, `${failed}: Timeout was reached`);
    }
    this.#verbose(`connect to ${address} port ${port} failed: ${strerror(error)}`);
    const code = error.code === 'ETIMEDOUT' ? outcomes.OPERATION_TIMEDOUT : outcomes.COULDNT_CONNECT;
    return new CurlError(code, `${failed}: Couldn't connect to server`);
  }

  async #lookUp(host: string, port: number): Promise<number> {
    const given = parseIPv4(this.#options.resolved.get(`${host}:${port}`) ?? '');
    if (given !== undefined) {
      this.#verbose(`Hostname ${host} was found in DNS cache`);
      return given;
    }
    if (host === 'localhost') return 0x7f000001; // known to libcurl itself
    const { maxTimeMs } = this.#options;
    try {
      const addresses = resolve(this.#ctx, host);
      if (maxTimeMs === Number.POSITIVE_INFINITY) return (await addresses)[0]!;
      let timer: Timer | undefined;
      const expired = new Promise<undefined>((resolve) => {
        timer = this.#ctx.clock.after(maxTimeMs * 1000 - this.#elapsedUs(), () => resolve(undefined));
      });
      const found = await Promise.race([addresses, expired]).finally(() => timer?.cancel());
      addresses.catch(() => {}); // when nobody waits for it any more
      if (found) return found[0]!;
      const message = `Resolving timed out after ${this.#elapsedMs()} milliseconds`;
      throw this.#closing(new CurlError(outcomes.OPERATION_TIMEDOUT, message));
    } catch (error) {
      if (!(error instanceof ResolveError)) throw error;
      throw this.#closing(new CurlError(outcomes.COULDNT_RESOLVE_HOST, `Could not resolve host: ${host}`));
    }
  }

  #exchange(url: URL, request: CurlRequest): Promise<IncomingMessage> {
    const { clock } = this.#ctx;
    const { maxTimeMs } = this.#options;
    const head = headText(request);
    for (const line of head) this.#trace('>', `${line}\r`); // as it goes out
    this.#outcome.requestBytes += head.reduce((sum, line) => sum + Buffer.byteLength(line) + 2, 0);
    this.#outcome.uploaded += request.body?.length ?? 0;
    if (request.body && request.body.length > 0) this.#traceData('}', request.body.length);
    const headers: Record<string, string | string[]> = {};
    for (const [name, value] of request.headers)
      headers[name] = headers[name] === undefined ? value : [headers[name], value].flat();
    return new Promise<IncomingMessage>((resolve, reject) => {
      const call: ClientRequest = httpRequest({
        agent: this.#agent,
        host: url.hostname,
        port: portOf(url),
        method: request.method,
        path: request.path,
        headers,
      });
      call.removeHeader('Connection'); // curl leaves it to the protocol's default
      const timer =
        maxTimeMs < Number.POSITIVE_INFINITY
          ? clock.after(maxTimeMs * 1000 - this.#elapsedUs(), () => call.destroy(new Expired('expired')))
          : undefined;
      const finish = (error: Error | undefined, response?: IncomingMessage): void => {
        timer?.cancel();
        if (error) reject(error);
        else resolve(response!);
      };
      let bytes: { length: number; received: number } | undefined;
      call.on('error', (error) => finish(this.#exchangeError(error, bytes)));
      call.on('socket', (socket) => this.#noteSocket(transportOf(socket)));
      call.on('response', (response) => {
        this.#head(response, request.method);
        bytes = { length: Number(response.headers['content-length'] ?? Number.NaN), received: 0 };
        this.#body(response, url.hostname, request.method, bytes, (error) => {
          if (error) finish(this.#exchangeError(error, bytes));
          else setImmediate(finish, undefined, response); // by then the agent has taken its socket back
        });
      });
      call.end(request.body);
    });
  }

  #noteSocket(socket: TcpSocket): void {
    this.#outcome.localIP = socket.localAddress ?? '';
    this.#outcome.localPort = socket.localPort ?? 0;
    this.#outcome.remoteIP = socket.remoteAddress ?? '';
    this.#outcome.remotePort = socket.remotePort ?? 0;
  }

  /** The status line and header fields have come. */
  #head(response: IncomingMessage, method: string): void {
    const { httpVersion, statusCode = 0, statusMessage, rawHeaders } = response;
    const outcome = this.#outcome;
    outcome.times.startUs = this.#elapsedUs();
    outcome.status = statusCode;
    outcome.httpVersion = httpVersion;
    outcome.headerCount = rawHeaders.length / 2;
    outcome.downloaded = 0;
    const lines = [`HTTP/${httpVersion} ${statusCode} ${statusMessage}`];
    const headers = new Map<string, string>();
    for (let i = 0; i < rawHeaders.length; i += 2) {
      lines.push(`${rawHeaders[i]}: ${rawHeaders[i + 1]}`);
      headers.set(rawHeaders[i]!.toLowerCase(), rawHeaders[i + 1]!);
    }
    outcome.headers = headers;
    if (httpVersion === '1.0' && !keepsAlive(response, method)) this.#verbose('HTTP 1.0, assume close after body');
    for (const line of [...lines, '']) this.#trace('<', `${line}\r`);
    const text = [...lines, '', ''].join('\r\n');
    outcome.headerBytes += Buffer.byteLength(text);
    const { include, head, dumpHeader } = this.#options;
    if (include || head) this.#write(Buffer.from(text));
    if (dumpHeader === '-') this.#ctx.stdout.write(text);
    else if (dumpHeader !== undefined) {
      const path = absolutePath(this.#ctx.cwd, dumpHeader);
      this.#ctx.files.write(path, outcome.redirects > 0 ? (this.#ctx.files.read(path) ?? '') + text : text);
    }
  }

  #body(
    response: IncomingMessage,
    host: string,
    method: string,
    bytes: { received: number },
    done: (error?: Error) => void,
  ): void {
    const { follow, fail, failWithBody, head } = this.#options;
    const outcome = this.#outcome;
    const isError = outcome.status >= 400;
    if (fail && isError) {
      response.destroy();
      done(new CurlError(outcomes.HTTP_RETURNED_ERROR, `The requested URL returned error: ${outcome.status}`));
      return;
    }
    const redirects =
      follow && outcome.status >= 300 && outcome.status < 400 && response.headers.location !== undefined;
    const ignores = redirects || head;
    if (redirects && response.headers['content-length'] !== '0') this.#verbose('Ignoring the response-body');
    const { stdout } = this.#ctx;
    response.on('data', (chunk: Buffer) => {
      bytes.received += chunk.length;
      this.#traceData('{', chunk.length);
      if (ignores) return;
      outcome.downloaded += chunk.length;
      if (this.#write(chunk)) return;
      response.pause();
      stdout.once('drain', () => response.resume());
    });
    response.on('error', done);
    response.on('end', () => {
      this.#verbose(
        keepsAlive(response, method)
          ? `Connection #${this.#connection} to host ${host} left intact`
          : `Closing connection ${this.#connection}`,
      );
      const failed = failWithBody && isError;
      done(
        failed
          ? new CurlError(outcomes.HTTP_RETURNED_ERROR, `The requested URL returned error: ${outcome.status}`)
          : undefined,
      );
    });
  }

  #exchangeError(error: NodeJS.ErrnoException, bytes: { length: number; received: number } | undefined): Error {
    if (error instanceof CurlError || error instanceof Interrupted) return error;
    if (this.#ctx.signal.aborted) return new Interrupted('interrupted');
    if (error instanceof Expired) {
      const of = Number.isNaN(bytes?.length ?? Number.NaN) ? '' : ` out of ${bytes!.length}`;
      const got = `${bytes?.received ?? 0}${of} bytes received`;
      return new CurlError(
        outcomes.OPERATION_TIMEDOUT,
        `Operation timed out after ${this.#elapsedMs()} milliseconds with ${got}`,
      );
    }
    if (bytes) {
      const missing = Number.isNaN(bytes.length)
        ? 'outstanding read data remaining'
        : `${bytes.length - bytes.received} bytes remaining to read`;
      return new CurlError(outcomes.PARTIAL_FILE, `transfer closed with ${missing}`);
    }
    if (error.code?.startsWith('HPE_'))
      return new CurlError(outcomes.UNSUPPORTED_PROTOCOL, 'Received HTTP/0.9 when not allowed');
    if (error.message === 'socket hang up') return new CurlError(outcomes.GOT_NOTHING, 'Empty reply from server');
    return new CurlError(outcomes.RECV_ERROR, `Recv failure: ${strerror(error)}`);
  }

  /** False when stdout wants a pause. */
  #write(chunk: Buffer): boolean {
    if (this.#outcome.file === undefined) return this.#ctx.stdout.write(chunk);
    this.#chunks.push(chunk);
    return true;
  }

  /** Where the body goes; undefined: stdout. */
  #fileName(url: URL, output: string | undefined): string | undefined {
    let file = output === '-' ? undefined : output;
    if (output === undefined && this.#options.remoteName) {
      file = url.pathname.split('/').at(-1);
      if (!file) {
        const why = 'Failed writing received data to disk/application';
        throw new CurlError(outcomes.WRITE_ERROR, why, 'Remote file name has no length!');
      }
    }
    if (file === undefined || file === '/dev/null') return file;
    const problem = whyNotWritable(this.#ctx.files, absolutePath(this.#ctx.cwd, file));
    if (problem) throw new CurlError(outcomes.WRITE_ERROR, 'Failure writing output to destination');
    return file;
  }

  /** Tells of the failure and that its connection goes. */
  #closing(error: unknown): unknown {
    if (error instanceof CurlError) {
      this.#verbose(error.message);
      this.#verbose(`Closing connection ${this.#connection}`);
    }
    return error;
  }

  #verbose(text: string): void {
    this.#trace('*', text);
  }

  #trace(mark: string, text: string): void {
    if (this.#options.verbose) this.#ctx.stderr.write(`${mark} ${text}\n`);
  }

  /** Not when the data itself is to be seen on the terminal. */
  #traceData(mark: string, length: number): void {
    if (!this.#ctx.tty || this.#outcome.file !== undefined) this.#trace(mark, `[${length} bytes data]`);
  }

  #elapsedUs(): number {
    return this.#ctx.clock.nowUs() - this.#startUs;
  }

  #elapsedMs(): number {
    return Math.floor(this.#elapsedUs() / 1000);
  }
}

function parseUrl(text: string): URL {
  let url: URL;
  try {
    url = new URL(/^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `http://${text}`);
  } catch {
    throw new CurlError(outcomes.URL_MALFORMED, 'URL using bad/illegal format or missing URL');
  }
  if (!isServed(url)) throw unsupported(url);
  return url;
}

function unsupported(url: URL): CurlError {
  const scheme = url.protocol.slice(0, -1);
  return new CurlError(outcomes.UNSUPPORTED_PROTOCOL, `Protocol "${scheme}" not supported or disabled in libcurl`);
}

function isServed({ protocol }: URL): boolean {
  return protocol === 'http:' || protocol === 'https:';
}

function portOf({ port, protocol }: URL): number {
  return port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port);
}

/** Whether the connection outlives this response: RFC 9112 9.3, and a body whose length is known. */
function keepsAlive({ httpVersion, headers, statusCode = 0 }: IncomingMessage, method: string): boolean {
  const connection = (headers.connection ?? '').toLowerCase();
  if (connection.includes('close')) return false;
  if (httpVersion === '1.0' && !connection.includes('keep-alive')) return false;
  const hasNoBody = method === 'HEAD' || statusCode === 204 || statusCode === 304;
  return hasNoBody || headers['content-length'] !== undefined || headers['transfer-encoding'] !== undefined;
}
