// What kube-proxy answers when asked how it is, over HTTP: a port for each Service with a healthCheckNodePort, which says how many
// ready endpoints the Node has, and healthz and livez of kube-proxy itself. After pkg/proxy/healthcheck/{service_health,
// proxy_health}.go, v1.32.
//
// kube-proxy is healthy while no change has waited for its sync longer than twice the sync period.
import type { RequestListener, ServerResponse } from 'node:http';
import type { Clock } from '../lib/clock.ts';
import type { HttpListen } from './own-servers.ts';

/** Of one Service, `namespace/name`. */
export interface ServiceHealth {
  readonly service: string;
  readonly port: number;
  /** Ready ones on this Node. */
  readonly localEndpoints: number;
}

export class HealthChecks {
  readonly #listen: HttpListen;
  readonly #clock: Clock;
  readonly #servers = new Map<string, { readonly where: string; close(): void }>();
  readonly #counts = new Map<string, number>();
  readonly #answered: (path: 'healthz' | 'livez', code: number) => void;
  /** Since when the oldest change waits; null: none does. */
  #waitingSinceUs: number | null = null;
  #lastUpdatedMs: number;
  #timeoutUs = 60e6;
  /** Not while the Node is about to be taken away. */
  nodeEligible = true;

  /** `answered` hears how kube-proxy's own questions were answered. */
  constructor(
    listen: HttpListen,
    clock: Clock,
    answered: (path: 'healthz' | 'livez', code: number) => void = () => {},
  ) {
    this.#listen = listen;
    this.#clock = clock;
    this.#answered = answered;
    this.#lastUpdatedMs = clock.unixMs();
  }

  /** A change waits for its sync. */
  queued(): void {
    this.#waitingSinceUs ??= this.#clock.nowUs();
  }

  /** A sync went through; these Services have health-check node ports, on these addresses (`0.0.0.0`: all). */
  synced(services: readonly ServiceHealth[], hosts: readonly string[], syncPeriodUs: number): void {
    this.#waitingSinceUs = null;
    this.#lastUpdatedMs = this.#clock.unixMs();
    this.#timeoutUs = 2 * syncPeriodUs;
    const wanted = new Map(services.map((s) => [s.service, s]));
    const where = (port: number): string => `${hosts.join()}:${port}`;
    for (const [service, server] of this.#servers) {
      const now = wanted.get(service);
      if (now && where(now.port) === server.where) continue;
      server.close();
      this.#servers.delete(service);
      this.#counts.delete(service);
    }
    for (const { service, port, localEndpoints } of services) {
      this.#counts.set(service, localEndpoints);
      if (this.#servers.has(service)) continue;
      const answer: RequestListener = (_request, response) => this.#answer(service, response);
      const listening = hosts.map((host) => this.#listen({ host, port }, answer));
      const close = (): void => listening.forEach((server) => void server.close());
      this.#servers.set(service, { where: where(port), close });
    }
  }

  close(): void {
    for (const server of this.#servers.values()) server.close();
    this.#servers.clear();
  }

  get #isHealthy(): boolean {
    return this.#waitingSinceUs === null || this.#clock.nowUs() - this.#waitingSinceUs < this.#timeoutUs;
  }

  #answer(service: string, response: ServerResponse): void {
    const [namespace, name] = service.split('/');
    const localEndpoints = this.#counts.get(service) ?? 0;
    const serviceProxyHealthy = this.#isHealthy;
    response.statusCode = localEndpoints > 0 && serviceProxyHealthy ? 200 : 503;
    response.setHeader('X-Load-Balancing-Endpoint-Weight', String(localEndpoints));
    send(response, { service: { namespace, name }, localEndpoints, serviceProxyHealthy });
  }

  /** What kube-proxy is asked about itself. */
  readonly answerOwn: RequestListener = ({ url }, response) => {
    const path = (url ?? '').split('?')[0];
    if (path !== '/healthz' && path !== '/livez') {
      response.statusCode = 404;
      response.end('404 page not found\n');
      return;
    }
    const { nodeEligible } = this;
    // A load balancer shall leave a Node that goes away; nobody shall restart its kube-proxy for that.
    const isWell = this.#isHealthy && (nodeEligible || path === '/livez');
    response.statusCode = isWell ? 200 : 503;
    this.#answered(path === '/livez' ? 'livez' : 'healthz', response.statusCode);
    const now = new Date(this.#clock.unixMs()).toISOString();
    const lastUpdated = this.#isHealthy ? now : new Date(this.#lastUpdatedMs).toISOString();
    send(response, { lastUpdated, currentTime: now, nodeEligible });
  };
}

function send(response: ServerResponse, body: object): void {
  response.setHeader('Content-Type', 'application/json');
  response.setHeader('X-Content-Type-Options', 'nosniff');
  response.end(JSON.stringify(body, null, '\t'));
}
