// The HTTPS face of the API server: TLS with client certificates, HTTP/2 and HTTP/1.1 on one port. After
// k8s.io/apiserver/pkg/server: authentication, impersonation, request info, authorization, then a handler.

import type { IncomingMessage, ServerResponse } from 'node:http';
import { createSecureServer, type Http2SecureServer } from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Pod } from '../../api/core-v1.ts';
import type { KubeObject, ResourceType } from '../../api/meta.ts';
import { PODS, RESOURCES, SERVICEACCOUNTS } from '../../api/resources.ts';
import { badRequest } from '../../api/status-error.ts';
import { TOKEN_REQUESTS } from '../../api/subresources.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Rng } from '../../lib/rng.ts';
import type { ApiServer } from '../apiserver.ts';
import { authenticate, type TokenAuthenticator, tokenUser } from '../auth/authentication.ts';
import type { KeyPair } from '../auth/certificates.ts';
import { impersonate } from '../auth/impersonation.ts';
import { ISSUER } from '../auth/tokens.ts';
import type { User } from '../auth/user.ts';
import { ServerMetrics } from '../metrics/server-metrics.ts';
import { OpenApi } from '../openapi/openapi.ts';
import { decodeObject } from '../registry/decode.ts';
import type { Registry } from '../registry/registry.ts';
import type { PodBackend } from '../streaming/pod-backend.ts';
import { ACCESS_REVIEWS, answerReview, reviewType } from './access-review.ts';
import { contentType, decodeBody, readBody } from './body.ts';
import { discover, type SubresourceInfo } from './discovery.ts';
import { EncodedObjects } from './encoded-objects.ts';
import { checkHealth, HEALTH_PATH, type HealthChecks } from './health.ts';
import { serveOpenApi } from './openapi-handler.ts';
import { OPENID_CONFIGURATION, OPENID_KEYS, openIdConfiguration } from './openid.ts';
import { PodStreams } from './pod-streams.ts';
import { isProxied, serveProxy } from './proxy-handler.ts';
import { requestAttributes } from './request-attributes.ts';
import { isTrue, methodNotAllowed, type RequestInfo, requestInfo } from './request-info.ts';
import { type HandlerEnv, handleResource, noSuchResource } from './resource-handler.ts';
import { asStatus, sendError, sendJson, sendText } from './respond.ts';
import { subresourcesOf } from './subresources.ts';
import { VERSION } from './version.ts';

export interface HttpsServerOptions {
  readonly api: ApiServer;
  readonly clock: Clock;
  readonly rng: Rng;
  readonly backend: PodBackend;
  readonly serving: KeyPair;
  /** PEM of the CA that signs clients' certificates. */
  readonly clientAuthority: string;
  /** Bearer tokens that are known beforehand. */
  readonly staticTokens?: ReadonlyMap<string, User>;
}

/** /api, /api/v1, /apis, /apis/GROUP, /apis/GROUP/VERSION: what is longer is about objects. */
const DISCOVERY = /^\/(api(\/[^/]+)?|apis(\/[^/]+){0,2})$/;
const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8';
/** As the real server; client-go opens another connection when it wants more. */
const MAX_STREAMS = 250;

export class HttpsServer {
  readonly #options: HttpsServerOptions;
  readonly #handlerEnv: HandlerEnv;
  readonly #metrics: ServerMetrics;
  readonly #health: HealthChecks = { store: () => this.#options.api.store.revision(), closing: () => this.#closing };
  #closing = false;
  readonly #server: Http2SecureServer;
  readonly #sockets = new Set<Socket>();
  readonly #openApi = new OpenApi(RESOURCES);
  readonly #streams: PodStreams;
  readonly #tokens: readonly TokenAuthenticator[];

  constructor(options: HttpsServerOptions) {
    this.#options = options;
    this.#metrics = new ServerMetrics(options.api, options.clock);
    this.#handlerEnv = {
      ...{ clock: options.clock, rng: options.rng, api: options.api, encoded: new EncodedObjects() },
      watchEvents: ({ group, resource, version }) => this.#metrics.watchEvents(group, resource, version),
    };
    this.#streams = new PodStreams(options.backend, options.clock);
    const { api, staticTokens } = options;
    this.#tokens = [(token) => staticTokens?.get(token), (token) => api.tokenUser(token)];
    this.#server = createSecureServer({
      ...{ key: options.serving.key, cert: options.serving.certificate, ca: options.clientAuthority },
      requestCert: true,
      rejectUnauthorized: false, // there are other ways to say who one is
      minVersion: 'TLSv1.2',
      allowHTTP1: true,
      settings: { maxConcurrentStreams: MAX_STREAMS },
    });
    this.#server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
    });
    this.#server.on('request', (request, response) => {
      // Node's compatibility API: HTTP/2 requests and responses have what is used of HTTP/1's here.
      void this.#serve(request as unknown as IncomingMessage, response as unknown as ServerResponse);
    });
    this.#server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      void this.#upgrade(request, socket, head);
    });
  }

  /** Resolves to the port; `port` 0: any free one. Rejects with the system's error. */
  listen(host: string, port: number): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, host, () => {
        this.#server.off('error', reject);
        resolve((this.#server.address() as AddressInfo).port);
      });
    });
  }

  /** Ends every connection. Idempotent. */
  close(): void {
    this.#closing = true;
    this.#streams.close();
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on('error', () => {}); // 'close' follows; nobody is left to tell
    try {
      const url = parseUrl(request);
      const path = url.pathname.replace(/(.)\/+$/, '$1');
      const { user, info } = await this.#admit(request, path, url.searchParams);
      this.#observe(request, response, path, url.searchParams, info);
      if (HEALTH_PATH.test(path)) {
        const { code, text } = await checkHealth(path, url.searchParams, this.#health);
        return sendText(response, code, text);
      }
      if (path === '/metrics') return sendText(response, 200, await this.#metrics.text(), METRICS_TYPE);
      if (await this.#serveMeta(url, path, request, response)) return;
      const review = info?.verb === 'create' && reviewType(info.group, info.version, info.resource);
      if (review) {
        const body = decodeBody(await readBody(request), contentType(request), review.kind).value;
        const env = { authorizer: this.#options.api.authorizer, tokenUser: (t: string) => tokenUser(t, this.#tokens) };
        return sendJson(response, 201, await answerReview(review, info.namespace, body, user, env));
      }
      const type = info && typeOf(info.group, info.version, info.resource);
      if (!info || !type) throw noSuchResource();
      if (type === PODS && isStream(info.subresource)) {
        throw badRequest('Upgrade request required');
      }
      if (isProxied(type) && info.subresource === 'proxy' && info.name) {
        return await serveProxy(info, url, request, response, this.#options);
      }
      const registry = await this.#options.api.registry(type);
      if (type === PODS && info.subresource === 'log' && info.verb === 'get') {
        const pod = await registry.get(info.namespace, info.name!);
        return await this.#streams.log(pod as unknown as Pod, url.searchParams, response);
      }
      if (type === SERVICEACCOUNTS && info.subresource === 'token' && info.verb === 'create') {
        const { value } = decodeBody(await readBody(request), contentType(request), TOKEN_REQUESTS.kind);
        const body = decodeObject(TOKEN_REQUESTS, value, {});
        return sendJson(response, 201, await this.#options.api.requestToken(info.namespace!, info.name!, body));
      }
      await handleResource(
        {
          ...{ request, response, query: url.searchParams, info, user, registry: registry as Registry<KubeObject> },
          mayCreate: () => this.#options.api.authorizer.require({ ...info, user, verb: 'create' }),
        },
        this.#handlerEnv,
      );
    } catch (error) {
      sendError(response, error);
    }
  }

  /** Counts the request, and times it until its answer is out. */
  #observe(
    request: IncomingMessage,
    response: ServerResponse,
    path: string,
    query: URLSearchParams,
    info: RequestInfo | undefined,
  ): void {
    const served = info && typeOf(info.group, info.version, info.resource);
    const over = this.#metrics.requests.begin({
      ...{ method: request.method ?? 'GET', path, info: served && info },
      apply: info?.verb === 'patch' && contentType(request).startsWith('application/apply-patch+'),
      dryRun: query.has('dryRun'),
      follows: info?.subresource === 'log' && isTrue(query.get('follow')),
    });
    response.on('close', () => over(response.statusCode));
  }

  /** Who may do what they ask for. Throws StatusError 401 or 403. */
  async #admit(
    request: IncomingMessage,
    path: string,
    query: URLSearchParams,
  ): Promise<{ user: User; info: RequestInfo | undefined }> {
    const { authorizer } = this.#options.api;
    const sender = await authenticate(request, this.#tokens);
    const user = await impersonate(sender, request.headers, request.rawHeaders, authorizer);
    const method = request.method ?? 'GET';
    const info = requestInfo(method, path, query);
    await authorizer.require(requestAttributes(user, method, path, query, info));
    return { user, info };
  }

  /** What is about the server and not about objects; true when that is what was asked. */
  async #serveMeta(url: URL, path: string, request: IncomingMessage, response: ServerResponse): Promise<boolean> {
    const reads = request.method === 'GET' || request.method === 'HEAD';
    if (reads && serveOpenApi(this.#openApi, url, path, request, response, this.#options.clock.unixMs())) return true;
    const answer = await this.#meta(path, request.headers.accept ?? '');
    if (!answer) return false;
    if (!reads) throw methodNotAllowed();
    response.setHeader('Vary', 'Accept');
    sendJson(response, 200, answer.body, answer.contentType);
    return true;
  }

  async #meta(path: string, accept: string): Promise<{ body: unknown; contentType?: string } | undefined> {
    if (path === '/version') return { body: VERSION };
    if (path === OPENID_CONFIGURATION) return { body: openIdConfiguration(ISSUER) };
    if (path === OPENID_KEYS) return { body: this.#options.api.tokenKeys(), contentType: 'application/jwk-set+json' };
    if (path === '/') return { body: { paths: PATHS } };
    if (!DISCOVERY.test(path)) return undefined;
    const subresources = new Map<ResourceType, SubresourceInfo[]>();
    for (const type of RESOURCES) {
      const registry = await this.#options.api.registry(type);
      subresources.set(type, subresourcesOf(type, registry.strategy));
    }
    return discover(path, accept, [...RESOURCES, ...ACCESS_REVIEWS], (type) => subresources.get(type) ?? []);
  }

  async #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    socket.on('error', () => {}); // 'close' follows
    try {
      const url = parseUrl(request);
      const { user, info } = await this.#admit(request, url.pathname, url.searchParams);
      if (!info || typeOf(info.group, info.version, info.resource) !== PODS || !isStream(info.subresource)) {
        throw noSuchResource();
      }
      // A command is more than a look, whatever the method: kubernetes 1.35, AuthorizePodWebsocketUpgradeCreatePermission.
      await this.#options.api.authorizer.require({ ...info, user, verb: 'create' });
      const registry = await this.#options.api.registry(PODS);
      const pod = await registry.get(info.namespace, info.name ?? '');
      const labels = { method: request.method ?? 'GET', path: url.pathname, info };
      const over = this.#metrics.requests.begin({ ...labels, apply: false, dryRun: false, follows: true });
      socket.on('close', () => over(101));
      this.#streams[info.subresource](pod, url.searchParams, request, socket, head);
    } catch (error) {
      refuse(socket, error);
    }
  }
}

const PATHS = [
  ...['/api', '/api/v1', '/apis', '/healthz', '/livez', '/metrics'],
  ...['/openapi/v2', '/openapi/v3', '/readyz', '/version'],
];

function parseUrl(request: IncomingMessage): URL {
  return new URL(request.url ?? '/', 'https://apiserver');
}

function isStream(subresource: string | undefined): subresource is 'exec' | 'attach' | 'portforward' {
  return subresource === 'exec' || subresource === 'attach' || subresource === 'portforward';
}

function typeOf(group: string, version: string, resource: string): ResourceType | undefined {
  return RESOURCES.find((type) => type.resource === resource && type.group === group && type.version === version);
}

/** Answers an upgrade that does not happen. */
function refuse(socket: Duplex, error: unknown): void {
  const status = asStatus(error);
  const body = `${JSON.stringify(status.toStatus())}\n`;
  socket.end(
    `HTTP/1.1 ${status.code} ${status.reason}\r\nContent-Type: application/json\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  );
}
