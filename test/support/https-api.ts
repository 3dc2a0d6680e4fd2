// An API server with its HTTPS face on a free port, and a client for it: what a test of the face needs, without Nodes.
import { type ClientHttp2Session, connect } from 'node:http2';
import { type RequestOptions, request } from 'node:https';
import type { Test } from 'tap';
import { NAMESPACES, SERVICEACCOUNTS } from '../../src/api/resources.ts';
import { ApiServer } from '../../src/apiserver/apiserver.ts';
import { CertificateAuthority } from '../../src/apiserver/auth/certificates.ts';
import { kubeconfig } from '../../src/apiserver/auth/kubeconfig.ts';
import { bootstrapRoles } from '../../src/apiserver/auth/rbac/bootstrap.ts';
import type { User } from '../../src/apiserver/auth/user.ts';
import { HttpsServer } from '../../src/apiserver/http/https-server.ts';
import type { Store } from '../../src/apiserver/storage/store.ts';
import type { PodBackend } from '../../src/apiserver/streaming/pod-backend.ts';
import { type Clock, RealClock } from '../../src/lib/clock.ts';
import { SeededRng } from '../../src/lib/rng.ts';
import { serviceAccount } from './api.ts';

export interface Answer {
  readonly code: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: a test looks into whatever came
  readonly json: any;
}

export const NO_NODES: PodBackend = {
  exec: () => {
    throw new Error('no Nodes here');
  },
  attach: () => {
    throw new Error('no Nodes here');
  },
  portForward: () => {
    throw new Error('no Nodes here');
  },
  connect: () => {
    throw new Error('no Nodes here');
  },
  logs: () => Promise.reject(new Error('no Nodes here')),
  followLogs: () => ({ ended: Promise.resolve(), stop: () => {} }),
};

export interface Watching {
  close(): void;
  /** Reads no further. */
  pause(): void;
  readonly ended: Promise<void>;
}

export class HttpsApi {
  readonly api: ApiServer;
  readonly port: number;
  readonly #tls: { ca: string; cert: string; key: string };

  private constructor(api: ApiServer, port: number, tls: { ca: string; cert: string; key: string }) {
    this.api = api;
    this.port = port;
    this.#tls = tls;
  }

  /** `users`: by their bearer tokens. */
  static async start(
    t: Test,
    {
      backend = NO_NODES,
      users = {},
      store,
      clock = new RealClock(),
    }: { backend?: PodBackend; users?: Readonly<Record<string, User>>; store?: Store; clock?: Clock } = {},
  ): Promise<HttpsApi> {
    const rng = new SeededRng(1);
    const api = new ApiServer({ clock, rng, ...(store ? { store } : {}) });
    await api.client().create(NAMESPACES, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'default' } });
    await api.client().create(SERVICEACCOUNTS, serviceAccount('default'));
    await bootstrapRoles(api.client());
    const authority = await CertificateAuthority.create('kubernetes', clock.unixMs());
    const serving = await authority.server('kube-apiserver', ['127.0.0.1']);
    const admin = await authority.client('admin', ['system:masters']);
    const server = new HttpsServer({
      ...{ api, clock, rng, backend, serving },
      clientAuthority: authority.certificate,
      staticTokens: new Map(Object.entries(users)),
    });
    const port = await server.listen('127.0.0.1', 0);
    t.teardown(async () => {
      server.close();
      await api.close();
    });
    return new HttpsApi(api, port, { ca: authority.certificate, cert: admin.certificate, key: admin.key });
  }

  /** The administrator's, for kubectl. */
  kubeconfig(): string {
    const { ca, cert, key } = this.#tls;
    return kubeconfig({
      ...{ name: 'podwire', server: `https://127.0.0.1:${this.port}`, authority: ca },
      client: { certificate: cert, key },
    });
  }

  /** As the administrator; `anonymous` leaves the certificate out, `token` shows that instead. */
  fetch(
    method: string,
    path: string,
    {
      body,
      headers = {},
      token,
      anonymous = token !== undefined,
    }: { body?: unknown; headers?: Record<string, string>; token?: string; anonymous?: boolean } = {},
  ): Promise<Answer> {
    const { ca, cert, key } = this.#tls;
    const raw =
      body === undefined ? undefined : typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body);
    const options: RequestOptions = {
      ...{ host: '127.0.0.1', port: this.port, method, path, ca, agent: false },
      ...(anonymous ? {} : { cert, key }),
      headers: {
        // Node frames no body of a DELETE by itself.
        ...(raw === undefined ? {} : { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(raw) }),
        ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }),
        ...headers,
      },
    };
    return new Promise((resolve, reject) => {
      const sent = request(options, (response) => {
        let text = '';
        response.on('data', (chunk: Buffer) => {
          text += chunk.toString();
        });
        response.on('end', () => {
          const isJson = /json/.test(String(response.headers['content-type']));
          resolve({
            code: response.statusCode!,
            headers: response.headers,
            text,
            json: isJson ? JSON.parse(text) : undefined,
          });
        });
      });
      sent.on('error', reject);
      sent.end(raw);
    });
  }

  /** An HTTP/2 connection of the administrator's whose streams take about `windowBytes` unread. */
  connect(windowBytes: number): ClientHttp2Session {
    const { ca, cert, key } = this.#tls;
    const settings = { initialWindowSize: windowBytes };
    return connect(`https://127.0.0.1:${this.port}`, { ca, cert, key, settings });
  }

  /** Lines of a watch over HTTP/2, as they come. */
  watch(path: string, onLine: (event: { type: string; object: Record<string, unknown> }) => void): Watching {
    const { ca, cert, key } = this.#tls;
    const session: ClientHttp2Session = connect(`https://127.0.0.1:${this.port}`, { ca, cert, key });
    const stream = session.request({ ':path': path });
    let rest = '';
    stream.on('data', (chunk: Buffer) => {
      const lines = (rest + chunk.toString()).split('\n');
      rest = lines.pop()!;
      for (const line of lines) onLine(JSON.parse(line) as { type: string; object: Record<string, unknown> });
    });
    const ended = new Promise<void>((resolve) => stream.on('close', () => resolve()));
    return { close: () => session.destroy(), pause: () => stream.pause(), ended };
  }
}
