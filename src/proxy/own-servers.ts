// kube-proxy's two servers about itself, at the addresses that its configuration says: healthz, which health-check.ts answers, and
// metrics: /metrics, /proxyMode, /configz and /healthz. After serveHealthz() and serveMetrics() of cmd/kube-proxy/app/server.go, v1.34.
// Leaves out: /flagz, /statusz and profiling; another try every five seconds when an address cannot be had.
import type { RequestListener, ServerResponse } from 'node:http';
import type { KubeProxyConfig, ListenAddress } from './config.ts';
import { configz } from './configz.ts';

/** Serves HTTP on the Node. */
export type HttpListen = (at: ListenAddress, answer: RequestListener) => { close(): void };

interface Server {
  readonly at: ListenAddress;
  close(): void;
}

export class OwnServers {
  readonly #listen: HttpListen;
  readonly #answers: { readonly healthz: RequestListener; readonly metrics: RequestListener };
  readonly #servers: { healthz?: Server; metrics?: Server } = {};

  constructor(listen: HttpListen, healthz: RequestListener, metrics: RequestListener) {
    this.#listen = listen;
    this.#answers = { healthz, metrics };
  }

  /** Listens where the configuration says, if it does not already. */
  serve({ healthzBindAddress, metricsBindAddress }: KubeProxyConfig): void {
    this.#serve('healthz', healthzBindAddress);
    this.#serve('metrics', metricsBindAddress);
  }

  close(): void {
    for (const server of Object.values(this.#servers)) server.close();
  }

  #serve(which: 'healthz' | 'metrics', at: ListenAddress): void {
    const before = this.#servers[which];
    if (before?.at.host === at.host && before.at.port === at.port) return;
    before?.close();
    const server = this.#listen(at, this.#answers[which]);
    this.#servers[which] = { at, close: () => server.close() };
  }
}

/** Answers what the metrics server is asked. */
export function answerMetrics(config: () => KubeProxyConfig, metrics: () => string): RequestListener {
  return ({ url }, response) => {
    const path = (url ?? '').split('?')[0];
    if (path === '/metrics') send(response, 'text/plain; version=0.0.4; charset=utf-8', metrics());
    else if (path === '/proxyMode') send(response, 'text/plain; charset=utf-8', config().mode);
    else if (path === '/configz') send(response, 'application/json', JSON.stringify(configz(config())));
    else if (path === '/healthz') send(response, 'text/plain; charset=utf-8', 'ok');
    else {
      response.statusCode = 404;
      send(response, 'text/plain; charset=utf-8', '404 page not found\n');
    }
  };
}

function send(response: ServerResponse, type: string, body: string): void {
  response.setHeader('Content-Type', type);
  response.setHeader('X-Content-Type-Options', 'nosniff');
  response.end(body);
}
