// wget as busybox 1.35 words it, which is what the images have that people try Services with: wget [-cqS] [--spider] [-O FILE]
// [--header STR] [--post-data STR] [-P DIR] [-U AGENT] [-T SEC] URL... Plain HTTP.
// Left out: https, ftp, proxies, -c for a file that is there already, the progress line while a transfer goes on.
import { type IncomingMessage, request } from 'node:http';
import { basename } from 'node:path/posix';
import { formatIPv4 } from '../../tcpip-ts/wire/address.ts';
import type { ProcessContext, Program } from '../workloads/program.ts';
import { type ParsedArguments, parseArguments } from './arguments.ts';
import { connectTcp } from './connect.ts';
import { Interrupted } from './dns/client.ts';
import { ResolveError, resolve } from './dns/resolver.ts';
import { absolutePath, whyNotWritable } from './paths.ts';
import { strerror } from './socket-errors.ts';
import { StackAgent } from './stack-agent.ts';

const SPEC = {
  ...{ c: false, q: false, S: false, spider: false, 'no-check-certificate': false },
  ...{ O: true, P: true, U: true, T: true, Y: true, header: true, 'post-data': true },
};
const ALIASES = {
  ...{ quiet: 'q', continue: 'c', 'server-response': 'S', 'output-document': 'O', 'directory-prefix': 'P' },
  ...{ 'user-agent': 'U', timeout: 'T', proxy: 'Y' },
};
const USAGE =
  'Usage: wget [-cqS] [--spider] [-O FILE] [--header STR]\n\t[--post-data STR] [-P DIR] [-U AGENT] [-T SEC] URL...\n';
const DEFAULT_TIMEOUT_S = 900;
const MAX_REDIRECTS = 5;
/** What the progress line takes beside its bar. */
const BESIDE_BAR = 48;
const DEFAULT_COLUMNS = 80;

/** Ends wget with `wget: MESSAGE` and exit code 1. */
class WgetError extends Error {}

export const wget: Program = async (ctx) => {
  const parsed = parseArguments(ctx.argv.slice(1), SPEC, ALIASES);
  const { operands, problem } = parsed;
  if (problem || operands.length === 0) {
    if (problem) {
      const isLetter = problem.letter.length === 1;
      const what =
        problem.kind === 'valueless'
          ? 'option requires an argument'
          : isLetter
            ? 'invalid option'
            : 'unrecognized option';
      const which = isLetter ? `-- '${problem.letter}'` : `'${problem.option}'`;
      ctx.stderr.write(`wget: ${what} ${which}\n`);
    }
    ctx.stderr.write(USAGE);
    return 1;
  }
  const download = new Download(ctx, parsed.options);
  try {
    for (const url of operands) await download.fetch(url);
    return 0;
  } catch (error) {
    if (!(error instanceof WgetError)) throw error;
    ctx.stderr.write(`wget: ${error.message}\n`);
    return 1;
  } finally {
    download.close();
  }
};

class Download {
  readonly #ctx: ProcessContext;
  readonly #options: ParsedArguments['options'];
  readonly #agent = new StackAgent();
  /** What -O has gathered from all URLs. */
  readonly #collected: Buffer[] = [];

  constructor(ctx: ProcessContext, options: ParsedArguments['options']) {
    this.#ctx = ctx;
    this.#options = options;
  }

  async fetch(text: string): Promise<void> {
    if (/^[a-z]+:\/\//i.test(text) && !/^http:\/\//i.test(text)) throw new WgetError(`not an http or ftp url: ${text}`);
    let url: URL;
    try {
      url = new URL(/^http:\/\//i.test(text) ? text : `http://${text}`);
    } catch {
      throw new WgetError(`bad address '${text}'`);
    }
    let announces = true;
    for (let redirects = 0; redirects < MAX_REDIRECTS; redirects++) {
      const from = url;
      const location: string | undefined = await this.#ask(from, announces, (response) => this.#take(from, response));
      if (location === undefined) return;
      announces = !location.startsWith('/'); // on the same server busybox connects again without a word
      url = new URL(location, from);
    }
    throw new WgetError('too many redirections');
  }

  close(): void {
    this.#agent.destroy();
  }

  /** What to do with a response: where it leads, or nothing once it is saved. */
  async #take(url: URL, response: IncomingMessage): Promise<string | undefined> {
    const { statusCode = 0, statusMessage, httpVersion, headers } = response;
    this.#showResponse(response);
    if (statusCode < 300 && !this.#options.has('spider')) {
      await this.#save(url, response);
      return undefined;
    }
    response.destroy();
    if (statusCode >= 300 && statusCode < 400 && headers.location !== undefined) return headers.location;
    if (statusCode >= 300)
      throw new WgetError(`server returned error: HTTP/${httpVersion} ${statusCode} ${statusMessage}`);
    this.#say('remote file exists\n');
    return undefined;
  }

  /** `take` is called while the head is fresh, before any of the body can be missed. */
  async #ask<T>(url: URL, announces: boolean, take: (response: IncomingMessage) => Promise<T>): Promise<T> {
    const port = Number(url.port || 80);
    const addresses = await resolve(this.#ctx, url.hostname).catch((error: Error) => {
      throw error instanceof ResolveError ? new WgetError(`bad address '${url.hostname}'`) : error;
    });
    const host = formatIPv4(addresses[0]!);
    if (announces) this.#say(`Connecting to ${url.host} (${host}:${port})\n`);
    const socket = await connectTcp(this.#ctx, addresses[0]!, port).catch((error: Error) => {
      if (error instanceof Interrupted) throw error;
      throw new WgetError(`can't connect to remote host (${host}): ${strerror(error)}`);
    });
    const idleS = Number(this.#options.get('T')?.at(-1) ?? DEFAULT_TIMEOUT_S);
    socket.setTimeout(idleS * 1000, () => socket.destroy(new WgetError('download timed out')));
    this.#agent.prepare(socket);
    const body = this.#options.get('post-data')?.at(-1);
    const headers: Record<string, string | number> = {
      Host: url.host,
      'User-Agent': this.#options.get('U')?.at(-1) ?? 'Wget',
      Connection: 'close',
    };
    for (const line of this.#options.get('header') ?? []) {
      const [name = '', value = ''] = line.split(/:\s*(.*)/s, 2);
      headers[name] = value;
    }
    if (body !== undefined) {
      headers['Content-Type'] ??= 'application/x-www-form-urlencoded';
      headers['Content-Length'] = Buffer.byteLength(body);
    }
    const method = body === undefined ? 'GET' : 'POST';
    return new Promise((done, failed) => {
      const call = request({
        agent: this.#agent,
        method,
        host: url.hostname,
        port,
        path: url.pathname + url.search,
        headers,
      });
      call.on('response', (response) => done(take(response)));
      call.on('error', (error: NodeJS.ErrnoException) => {
        if (error instanceof WgetError || error instanceof Interrupted) return failed(error);
        const why = error.code === 'ECONNRESET' && error.message !== 'socket hang up' ? `: ${strerror(error)}` : '';
        failed(new WgetError(`error getting response${why}`));
      });
      call.end(body);
    });
  }

  async #save(url: URL, response: IncomingMessage): Promise<void> {
    const { files, cwd, stdout } = this.#ctx;
    const named = this.#options.get('O')?.at(-1);
    const directory = this.#options.get('P')?.at(-1);
    const fromUrl = basename(url.pathname) || 'index.html';
    const file = named ?? (directory === undefined ? fromUrl : `${directory.replace(/\/$/, '')}/${fromUrl}`);
    const toStdout = file === '-';
    const path = absolutePath(cwd, file);
    if (!toStdout && path !== '/dev/null') {
      const problem =
        named === undefined && files.read(path) !== undefined ? 'File exists' : whyNotWritable(files, path);
      if (problem) {
        response.destroy();
        throw new WgetError(`can't open '${file}': ${problem}`);
      }
    }
    this.#say(toStdout ? 'writing to stdout\n' : `saving to '${file}'\n`);
    const chunks = named === undefined ? [] : this.#collected;
    const size = await this.#receive(response, (chunk) => {
      if (toStdout) return stdout.write(chunk);
      chunks.push(chunk);
      return true;
    });
    if (!toStdout && path !== '/dev/null') files.write(path, Buffer.concat(chunks).toString());
    if (size > 0) this.#say(this.#progress(basename(file), size));
    this.#say(toStdout ? 'written to stdout\n' : `'${file}' saved\n`);
  }

  /** The bytes of the body, each chunk given to `take`, which may ask for a pause until stdout has drained. */
  #receive(response: IncomingMessage, take: (chunk: Buffer) => boolean): Promise<number> {
    let size = 0;
    return new Promise((done, failed) => {
      response.on('data', (chunk: Buffer) => {
        size += chunk.length;
        if (take(chunk)) return;
        response.pause();
        this.#ctx.stdout.once('drain', () => response.resume());
      });
      response.on('end', () => done(size));
      response.on('error', (error) => {
        if (error instanceof WgetError || error instanceof Interrupted) return failed(error);
        failed(new WgetError(this.#ctx.signal.aborted ? 'interrupted' : 'connection closed prematurely'));
      });
    });
  }

  #showResponse({ httpVersion, statusCode, statusMessage, rawHeaders }: IncomingMessage): void {
    if (!this.#options.has('S')) return;
    const lines = [`HTTP/${httpVersion} ${statusCode} ${statusMessage}`];
    for (let i = 0; i < rawHeaders.length; i += 2) lines.push(`${rawHeaders[i]}: ${rawHeaders[i + 1]}`);
    for (const line of [...lines, '']) this.#ctx.stderr.write(`  ${line}\n`);
  }

  #progress(file: string, size: number): string {
    const { tty, terminal } = this.#ctx;
    const columns = (tty && terminal?.columns) || DEFAULT_COLUMNS;
    const bar = columns > BESIDE_BAR ? `|${'*'.repeat(columns - BESIDE_BAR)}|` : '';
    const [amount, unit] = scaled(size);
    return `${tty ? '\r' : ''}${file.slice(0, 20).padEnd(20)} 100% ${bar}${String(amount).padStart(6)}${unit} 0:00:00 ETA\n`;
  }

  #say(text: string): void {
    if (!this.#options.has('q')) this.#ctx.stderr.write(text);
  }
}

/** In the unit that leaves it below a hundred thousand. */
function scaled(size: number): [number, string] {
  const units = [' ', 'k', 'M', 'G', 'T'];
  let amount = size;
  while (amount >= 100_000 && units.length > 1) {
    amount = Math.floor(amount / 1024);
    units.shift();
  }
  return [amount, units[0]!];
}
