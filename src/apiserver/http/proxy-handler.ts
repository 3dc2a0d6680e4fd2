// The subresource proxy of Pods, Services and Nodes: HTTP through the API server, for who cannot reach their networks.
//   /api/v1/namespaces/NS/services/[SCHEME:]NAME[:PORT]/proxy/PATH     /api/v1/namespaces/NS/pods/NAME[:PORT]/proxy/PATH
//   /api/v1/nodes/NAME:PORT/proxy/PATH
// A Service's port is its name or number; the request goes to one of its ready endpoints. After kubernetes
// pkg/registry/core/{service,pod,node} (ResourceLocation) and k8s.io/apimachinery pkg/util/proxy (UpgradeAwareHandler, Transport);
// wording as there.
//
// Deviation: the connection is one that `kubectl port-forward` would make, so endpoints that are no Pods cannot be reached; and one to a
// Node begins on the Node, so what listens on its loopback address alone is reached, too (kube-proxy's metrics by default), for which
// a real cluster wants somebody on the Node. A Node without a port is its kubelet, which serves no HTTP here.
// Left out: https to the Pod, upgrades, and the links in HTML that the real server rewrites.
import { request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import { Duplex, PassThrough } from 'node:stream';
import type { Endpoints, Pod, Service } from '../../api/core-v1.ts';
import type { ResourceType } from '../../api/meta.ts';
import { ENDPOINTS, NODES, PODS, SERVICES } from '../../api/resources.ts';
import { badRequest, StatusError } from '../../api/status-error.ts';
import type { Rng } from '../../lib/rng.ts';
import type { Registries } from '../local-client.ts';
import type { PodBackend } from '../streaming/pod-backend.ts';
import type { ForwardStreams } from '../streaming/port-forward.ts';
import type { CommandSession } from '../streaming/remote-command.ts';
import type { RequestInfo } from './request-info.ts';
import { sendError } from './respond.ts';

export interface ProxyEnv {
  readonly api: Registries;
  readonly backend: PodBackend;
  readonly rng: Rng;
}

interface Target {
  /** ADDRESS:PORT */
  readonly host: string;
  open(streams: ForwardStreams): CommandSession;
}

const DEFAULT_PORT = 80;
/** What follows is the Pod's, whatever it looks like. */
const TO_PROXY = /^\/+api\/+v1\/+(namespaces\/+[^/]+\/+)?[^/]+\/+[^/]+\/+proxy/;
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
  const { host, open } = await TARGETS[info.resource as keyof typeof TARGETS](info, env);
  const headers = passedOn(request.headers);
  const forwarded = {
    'x-forwarded-host': headers['host'] ?? request.headers[':authority'] ?? '',
    'x-forwarded-proto': 'https',
    'x-forwarded-uri': url.pathname,
  };
  const outgoing = httpRequest({
    ...{ method: request.method ?? 'GET', path: (path || '/') + url.search },
    headers: { ...headers, host, ...forwarded },
    createConnection: () => connect(open) as never, // and so without an agent
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

async function podTarget(info: RequestInfo, { api, backend }: ProxyEnv): Promise<Target> {
  const { name, port } = splitName(info);
  const pod = await (await api.registry(PODS)).get(info.namespace, name);
  if (!pod.status?.podIP) throw badRequest('address not allowed');
  const first = pod.spec.containers.flatMap(({ ports = [] }) => ports)[0]?.containerPort;
  return targetOf(pod, port === '' ? (first ?? DEFAULT_PORT) : Number(port), backend);
}

async function serviceTarget(info: RequestInfo, { api, backend, rng }: ProxyEnv): Promise<Target> {
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
  return targetOf(await (await api.registry(PODS)).get(namespace, podName), chosen.port, backend);
}

function targetOf({ metadata, spec, status }: Pod, port: number, backend: PodBackend): Target {
  const { name = '', namespace = 'default' } = metadata;
  const pod = { namespace, pod: name, nodeName: spec.nodeName ?? '' };
  return { host: `${status?.podIP}:${port}`, open: (streams) => backend.portForward(pod, port, streams) };
}

async function nodeTarget(info: RequestInfo, { api, backend }: ProxyEnv): Promise<Target> {
  const { name, port } = splitName(info);
  const { status } = await (await api.registry(NODES)).get(undefined, name);
  if (port === '')
    throw unavailable(
      `error trying to reach service: the kubelet of an emulated Node serves no HTTP; name a port, as in nodes/${name}:10249/proxy/metrics`,
    );
  const address = status?.addresses?.find(({ type }) => type === 'InternalIP')?.address;
  return { host: `${address}:${port}`, open: (streams) => backend.connect(name, Number(port), streams) };
}

const TARGETS = {
  [PODS.resource]: podTarget,
  [SERVICES.resource]: serviceTarget,
  [NODES.resource]: nodeTarget,
} as const;

/** Whether `TYPE/NAME/proxy` is served. */
export function isProxied(type: ResourceType): boolean {
  return type === PODS || type === SERVICES || type === NODES;
}

/** After k8s.io/apimachinery pkg/util/net/port_split.go (SplitSchemeNamePort). */
function splitName({ name: id = '', resource }: RequestInfo): { name: string; port: string } {
  const parts = id.split(':');
  const [scheme, name, port] = parts.length === 1 ? ['', id, ''] : parts.length === 2 ? ['', ...parts] : parts;
  const knownScheme = scheme === '' || scheme === 'http' || scheme === 'https';
  const knownPort = resource === SERVICES.resource || /^\d*$/.test(port ?? '');
  if (parts.length > 3 || !name || !knownScheme || !knownPort)
    throw badRequest(`invalid ${resource.slice(0, -1)} request "${id}"`);
  if (scheme === 'https') throw badRequest('this proxy speaks no https to what it leads to');
  return { name, port: port ?? '' };
}

/** A connection to the target; it is destroyed with the reason when there is none. */
function connect(open: Target['open']): Duplex {
  const [stdin, stdout] = [new PassThrough(), new PassThrough()];
  const connection = Duplex.from({ readable: stdout, writable: stdin });
  const session = open({ stdin, stdout });
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
