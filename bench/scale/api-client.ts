// A client of the API server for load: requests and watches over a few HTTP/2 connections, as client-go keeps them.
import { type ClientHttp2Session, type ClientHttp2Stream, connect } from 'node:http2';
import type { Started } from './server.ts';

/** Below the server's limit of streams a connection. */
const STREAMS = 200;

export class ApiLoad {
  readonly #at: Started;
  readonly #sessions: ClientHttp2Session[] = [];
  #used = 0;

  constructor(at: Started) {
    this.#at = at;
  }

  /** The body of the answer; rejects when it is none of 200 and 201. */
  async request(method: string, path: string, body?: unknown, type = 'application/json'): Promise<Buffer> {
    const stream = this.#sessionFor(0).request({ ':method': method, ':path': path, 'content-type': type });
    stream.end(body === undefined ? undefined : JSON.stringify(body));
    let status = 0;
    stream.on('response', (headers) => {
      status = headers[':status'] ?? 0;
    });
    const chunks: Buffer[] = [];
    for await (const chunk of stream) chunks.push(chunk as Buffer);
    const answer = Buffer.concat(chunks);
    if (status !== 200 && status !== 201) throw new Error(`${method} ${path}: ${status} ${answer.toString()}`);
    return answer;
  }

  /** A stream of its own that stays; connections are added as they fill. */
  watch(path: string, onChunk: (chunk: Buffer) => void): Promise<ClientHttp2Stream> {
    const stream = this.#sessionFor(1 + Math.floor(this.#used++ / STREAMS)).request({ ':path': path });
    stream.on('data', onChunk);
    return new Promise((resolve, reject) => {
      stream.once('response', () => resolve(stream));
      stream.once('error', reject);
    });
  }

  close(): void {
    for (const session of this.#sessions) session.destroy();
  }

  #sessionFor(index: number): ClientHttp2Session {
    let session = this.#sessions[index];
    if (!session) {
      const { port, ca, cert, key } = this.#at;
      this.#sessions[index] = session = connect(`https://127.0.0.1:${port}`, { ca, cert, key });
      // Windows as large as client-go's, else a list crawls.
      session.on('connect', () => session!.setLocalWindowSize(1 << 30));
      session.settings({ initialWindowSize: 4 << 20 });
    }
    return session;
  }
}

/** Calls `onLine` with each whole line of what is fed to it. */
export function lines(onLine: (line: string) => void): (chunk: Buffer) => void {
  let rest = '';
  return (chunk) => {
    const parts = (rest + chunk.toString('latin1')).split('\n');
    rest = parts.pop()!;
    for (const line of parts) onLine(line);
  };
}
