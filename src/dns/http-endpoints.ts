// The small HTTP servers of the plugins health (8080), ready (8181) and prometheus (9153). One HTTP server an address, shared by
// whoever serves a path there; connections come from the same sockets as DNS and are handed to node:http. Units: none.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { DnsSockets, TcpPort } from './sockets.ts';

export interface HttpAnswer {
  readonly status: number;
  readonly body: string;
  readonly contentType?: string;
}

type Respond = () => HttpAnswer;

interface Endpoint {
  readonly paths: Map<string, Respond>;
  readonly listening: Promise<TcpPort>;
}

export class HttpEndpoints {
  readonly #sockets: DnsSockets;
  readonly #endpoints = new Map<string, Endpoint>();

  constructor(sockets: DnsSockets) {
    this.#sockets = sockets;
  }

  /** Serves `path` at `host:port` (`:8080`); a later caller takes the path over. Resolves to the port once it listens. */
  async serve(address: string, path: string, respond: Respond): Promise<number> {
    let endpoint = this.#endpoints.get(address);
    if (endpoint === undefined) {
      const paths = new Map<string, Respond>();
      endpoint = { paths, listening: this.#listen(address, paths) };
      this.#endpoints.set(address, endpoint);
    }
    endpoint.paths.set(path, respond);
    try {
      return (await endpoint.listening).local.port;
    } catch (error) {
      this.#endpoints.delete(address);
      throw error;
    }
  }

  /** Ends it, unless another has taken the path over since. The last one to leave closes the port. */
  release(address: string, path: string, respond: Respond): void {
    const endpoint = this.#endpoints.get(address);
    if (endpoint?.paths.get(path) !== respond) return;
    endpoint.paths.delete(path);
    if (endpoint.paths.size > 0) return;
    this.#endpoints.delete(address);
    endpoint.listening.then(
      (port) => port.close(),
      () => {},
    );
  }

  #listen(address: string, paths: Map<string, Respond>): Promise<TcpPort> {
    const { host, port } = splitAddress(address);
    const server = createServer((request, response) => answer(paths, request, response));
    return this.#sockets.listenTcp(host, port, ({ stream }) => server.emit('connection', stream));
  }
}

function answer(paths: Map<string, Respond>, request: IncomingMessage, response: ServerResponse): void {
  const path = (request.url ?? '/').split('?')[0]!;
  const respond = paths.get(path);
  if (respond === undefined) {
    response.writeHead(404, { 'Content-Type': 'text/plain; charset=utf-8' }).end('404 page not found\n');
    return;
  }
  const { status, body, contentType = 'text/plain; charset=utf-8' } = respond();
  response.writeHead(status, { 'Content-Type': contentType, 'Content-Length': Buffer.byteLength(body) }).end(body);
}

/** `:8080`, `127.0.0.1:8080`, `[::1]:8080`; `localhost` is 127.0.0.1. Throws when there is no port. */
function splitAddress(address: string): { host: string; port: number } {
  const match = /^(?:\[([0-9a-fA-F:]+)\]|([^:]*)):(\d{1,5})$/.exec(address);
  if (match === null || Number(match[3]) > 65535) throw new Error(`address ${address}: missing or invalid port`);
  const host = match[1] ?? match[2]!;
  return { host: host === 'localhost' ? '127.0.0.1' : host, port: Number(match[3]) };
}
