// The subresource proxy of Pods and Services: HTTP through the API server, for who cannot reach the Pod network.
//   /api/v1/namespaces/NS/services/[SCHEME:]NAME[:PORT]/proxy/PATH     /api/v1/namespaces/NS/pods/NAME[:PORT]/proxy/PATH
// A Service's port is its name or number; the request goes to one of its ready endpoints. After kubernetes
// pkg/registry/core/{service,pod} (ResourceLocation) and k8s.io/apimachinery pkg/util/proxy (UpgradeAwareHandler, Transport);
// wording as there.
//
// Deviation: the connection is one that `kubectl port-forward` would make, so endpoints that are no Pods cannot be reached.
// Left out: https to the Pod, upgrades, and the links in HTML that the real server rewrites.
import { request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import { Duplex, PassThrough } from 'node:stream';
import type { Endpoints, Pod, Service } from '../../api/core-v1.ts';
import { ENDPOINTS, PODS, SERVICES } from '../../api/resources.ts';
import { StatusError } from '../../api/status-error.ts';
import type { Rng } from '../../lib/rng.ts';
import type { Registries } from '../local-client.ts';
import type { PodBackend } from '../streaming/pod-backend.ts';
import type { RequestInfo } from './request-info.ts';
import { sendError } from './respond.ts';

export interface ProxyEnv {
  readonly api: Registries;
  readonly backend: PodBackend;
  readonly rng: Rng;
}

interface Target {
  readonly pod: Pod;
  readonly port: number;
}

const DEFAULT_PORT = 80;
/** What follows is the Pod's, whatever it looks like. */
const TO_PROXY = /^\/+api\/+v1\/+namespaces\/+[^/]+\/+[^/]+\/+[^/]+\/+proxy/;
/** Of one connection (RFC 9110, 7.6.1); and those that the API server has answered itself, which are nobody else's business. */
const NOT_PASSED_ON =
  /^(:.*|connection|keep-alive|proxy-.*|te|trailer|transfer-encoding|upgrade|authorization|impersonate-.*)$/;

/** Throws StatusError before anything has been answered; resolves when the answer has begun to flow. */
export async function serveProxy(
  info: RequestInfo,
  url: URL,
  request: IncomingMessage,
  response: ServerResponse,
  env: ProxyEnv,
): Promise<void> {
  const path = url.pathname.replace(TO_PROXY, '');
  if (path === '' && (request.method === 'GET' || request.method === 'HEAD')) {
    response.writeHead(301, { Location: `${url.pathname}/${url.search}` }).end();
    return;
  }
  const { pod, port } = await (info.resource === PODS.resource ? podTarget(info, env) : serviceTarget(info, env));
  const host = `${pod.status?.podIP}:${port}`;
  const headers = passedOn(request.headers);
  const forwarded = {
    'x-forwarded-host': headers['host'] ?? request.headers[':authority'] ?? '',
    'x-forwarded-proto': 'https',
    'x-forwarded-uri': url.pathname,
  };
  const outgoing = httpRequest({
    ...{ method: request.method ?? 'GET', path: (path || '/') + url.search },
    headers: { ...headers, host, ...forwarded },
    createConnection: () => connect(pod, port, env.backend) as never, // and so without an agent
  });
  outgoing.on('response', (answer) => {
    response.writeHead(answer.statusCode ?? 502, passedOn(answer.headers));
    answer.pipe(response);
    answer.on('error', () => response.destroy());
  });
  outgoing.on('error', (error) => sendError(response, unavailable(`error trying to reach service: ${error.message}`)));
  response.on('close', () => outgoing.destroy());
  request.on('error', () => outgoing.destroy());
  request.pipe(outgoing);
}

async function podTarget(info: RequestInfo, { api }: ProxyEnv): Promise<Target> {
  const { name, port } = splitName(info);
  const pod = await (await api.registry(PODS)).get(info.namespace, name);
  if (!pod.status?.podIP) throw new StatusError('BadRequest', 400, 'address not allowed');
  const first = pod.spec.containers.flatMap(({ ports = [] }) => ports)[0]?.containerPort;
  return { pod, port: port === '' ? (first ?? DEFAULT_PORT) : Number(port) };
}

async function serviceTarget(info: RequestInfo, { api, rng }: ProxyEnv): Promise<Target> {
  const { name, port } = splitName(info);
  const service: Service = await (await api.registry(SERVICES)).get(info.namespace, name);
  const ofNumber = service.spec.ports?.find((p) => p.port === Number(port));
  if (/^\d+$/.test(port) && !ofNumber) throw unavailable(`no service port ${port} found for service "${name}"`);
  const portName = ofNumber ? (ofNumber.name ?? '') : port;
  const endpoints: Endpoints | undefined = await (await api.registry(ENDPOINTS)).find(info.namespace, name);
  const targets = (endpoints?.subsets ?? []).flatMap(({ addresses = [], ports = [] }) => {
    const found = ports.find((p) => (p.name ?? '') === portName);
    return found ? addresses.map(({ targetRef }) => ({ targetRef, port: found.port })) : [];
  });
  const pods = targets.filter(({ targetRef }) => targetRef?.kind === 'Pod');
  const chosen = pods[Math.floor(rng.float() * pods.length)];
  if (!chosen) throw unavailable(`no endpoints available for service "${info.name}"`);
  const { namespace = info.namespace, name: podName = '' } = chosen.targetRef!;
  return { pod: await (await api.registry(PODS)).get(namespace, podName), port: chosen.port };
}

/** After k8s.io/apimachinery pkg/util/net/port_split.go (SplitSchemeNamePort). */
function splitName({ name: id = '', resource }: RequestInfo): { name: string; port: string } {
  const parts = id.split(':');
  const [scheme, name, port] = parts.length === 1 ? ['', id, ''] : parts.length === 2 ? ['', ...parts] : parts;
  const knownScheme = scheme === '' || scheme === 'http' || scheme === 'https';
  if (parts.length > 3 || !name || !knownScheme || (resource === PODS.resource && !/^\d*$/.test(port ?? ''))) {
    throw new StatusError(
      'BadRequest',
      400,
      `invalid ${resource === PODS.resource ? 'pod' : 'service'} request "${id}"`,
    );
  }
  if (scheme === 'https') throw new StatusError('BadRequest', 400, 'https to a Pod is not served by this proxy');
  return { name, port: port ?? '' };
}

/** A connection to a port of the Pod; it is destroyed with the reason when there is none. */
function connect({ metadata, spec }: Pod, port: number, backend: PodBackend): Duplex {
  const [stdin, stdout] = [new PassThrough(), new PassThrough()];
  const connection = Duplex.from({ readable: stdout, writable: stdin });
  const { name = '', namespace = 'default' } = metadata;
  const session = backend.portForward({ namespace, pod: name, nodeName: spec.nodeName ?? '' }, port, { stdin, stdout });
  session.exit.catch((why: unknown) => connection.destroy(why instanceof Error ? why : new Error(String(why))));
  connection.on('close', () => session.kill());
  return connection;
}

function passedOn(headers: IncomingMessage['headers']): Record<string, string | string[]> {
  const found = Object.entries(headers).filter(([name, value]) => value !== undefined && !NOT_PASSED_ON.test(name));
  return Object.fromEntries(found) as Record<string, string | string[]>;
}

function unavailable(message: string): StatusError {
  return new StatusError('ServiceUnavailable', 503, message);
}
