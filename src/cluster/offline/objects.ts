// What manifests say, for a Node that no API server runs: Services, EndpointSlices, the Node, its KubeProxyConfiguration, be that in
// the ConfigMap of a cluster. Slices are taken as given; a Service without any gets them from its Endpoints, or from the Pods that its
// selector matches, those of workloads among them (workload-pods.ts). What an API server would have allocated (ClusterIPs, node ports,
// Pods' addresses) and is missing is given out in file order.
import type { ConfigMap, Endpoints, Node, Pod, Service } from '../../api/core-v1.ts';
import {
  type EndpointSlice,
  LABEL_HEADLESS,
  LABEL_SERVICE_NAME,
  LABEL_SERVICE_PROXY_NAME,
} from '../../api/discovery-v1.ts';
import { type FieldFailure, ManifestError, type ManifestObject, parseManifests } from '../../api/manifest.ts';
import type { KubeObject } from '../../api/meta.ts';
import { CONFIGMAPS, ENDPOINTS, ENDPOINTSLICES, NODES, PODS, SERVICES } from '../../api/resources.ts';
import { matchesSet } from '../../api/selectors.ts';
import { desiredGroups, newSlice } from '../../controller/endpointslice/desired.ts';
import {
  CONFIG_MAP,
  ConfigError,
  type KubeProxyConfig,
  type ProxyMode,
  parseKubeProxyConfiguration,
} from '../../proxy/config.ts';
import { fieldWarnings } from '../../proxy/config-fields.ts';
import { formatIPv4, parseCIDR, parseIPv4 } from '../../tcpip-ts/wire/address.ts';
import {
  familyOf,
  formatIpPrefix,
  isInPrefix,
  networkOf,
  parseIpAddress,
  parseIpPrefix,
} from '../../tcpip-ts/wire/ip-address.ts';
import { shaped } from './shape.ts';
import { podsOfWorkloads, WORKLOAD_KINDS, type Workload } from './workload-pods.ts';

export interface OfflineObjects {
  readonly services: readonly Service[];
  readonly slices: readonly EndpointSlice[];
  readonly pods: readonly Pod[];
  readonly nodes: readonly Node[];
  /** The document; absent when there is none. */
  readonly kubeProxy: Record<string, unknown> | undefined;
  readonly kubeProxyFailure: FieldFailure;
  /** About what the files say and nothing heeds, each beginning with where. */
  readonly warnings: readonly string[];
  /** As `address/length`. */
  readonly serviceCIDRs: readonly string[];
}

const KUBE_PROXY_VERSION = 'kubeproxy.config.k8s.io/v1alpha1';
const READ_KINDS: readonly string[] = [
  ...[NODES, PODS, SERVICES, ENDPOINTSLICES, ENDPOINTS].map(({ kind }) => kind),
  ...WORKLOAD_KINDS,
];
const DEFAULT_SERVICE_CIDR = '10.96.0.0/12';
const DEFAULT_POD_CIDR = '10.244.0.0/16';
/** Of that, what the one Node has. */
const DEFAULT_NODE_POD_CIDR = '10.244.0.0/24';
const LIKELY_PREFIX = { 4: 16, 6: 112 } as const;
/** A Node's whose object says none. */
export const DEFAULT_NODE_IP = { 4: '192.168.49.2', 6: 'fd00:49::2' } as const;
/** Above the static bands of the allocators. */
const FIRST_CLUSTER_IP = '10.96.1.1';
const FIRST_NODE_PORT = 30086;

/** Throws ManifestError. Kinds that nothing here asks for are read and left alone. */
export function readObjects(files: readonly { readonly name: string; readonly text: string }[]): OfflineObjects {
  const { read, kubeProxy, kubeProxyFailure, serviceCIDRs, warnings } = readDocuments(files);
  const manifests = read
    .filter(({ type }) => READ_KINDS.includes(type.kind))
    .map((manifest) => ({ ...manifest, object: shaped(manifest, (text) => warnings.push(text)) }));
  const nodes = ofKind<Node>(manifests, NODES.kind);
  const all = nodes.length > 0 ? nodes : [defaultNode(kubeProxy)];
  const services = ofKind<Service>(manifests, SERVICES.kind).filter(isWatched).map(namespaced);
  const given = ofKind<Pod>(manifests, PODS.kind).map(namespaced);
  const workloads = WORKLOAD_KINDS.flatMap((kind) => ofKind<Workload>(manifests, kind).map(namespaced));
  const pods = [...given, ...podsOfWorkloads(workloads, given)];
  allocateServices(services);
  allocatePods(pods, all[0]!);
  const slices = ofKind<EndpointSlice>(manifests, ENDPOINTSLICES.kind).map(namespaced);
  const sliced = new Set(slices.map((s) => `${s.metadata.namespace}/${s.metadata.labels?.[LABEL_SERVICE_NAME]}`));
  const endpoints = ofKind<Endpoints>(manifests, ENDPOINTS.kind).map(namespaced);
  for (const service of services) {
    if (sliced.has(keyOf(service))) continue;
    const own = endpoints.find((e) => keyOf(e) === keyOf(service));
    slices.push(...(own ? slicesOfEndpoints(own) : slicesOfPods(service, pods, all)));
  }
  return {
    services,
    slices: slices.filter(isWatched),
    pods,
    nodes: all,
    kubeProxy,
    kubeProxyFailure,
    warnings,
    serviceCIDRs: serviceCIDRs.length > 0 ? serviceCIDRs : likelyServiceCIDRs(services),
  };
}

type Documents = Pick<OfflineObjects, 'kubeProxy' | 'kubeProxyFailure' | 'serviceCIDRs'> & {
  readonly read: readonly ManifestObject[];
  /** More may be added. */
  readonly warnings: string[];
};

/** The objects that have a schema here, and what the other documents say of kube-proxy and the Service network. */
function readDocuments(files: readonly { readonly name: string; readonly text: string }[]): Documents {
  let kubeProxy: Record<string, unknown> | undefined;
  const serviceCIDRs: string[] = [];
  let kubeProxyFailure: FieldFailure = (_path, message) => new ManifestError('', 1, 1, message);
  const warnings: string[] = [];
  const other = (object: Record<string, unknown>, fail: FieldFailure): boolean => {
    const { apiVersion, kind } = object;
    if (kind === 'KubeProxyConfiguration') {
      if (apiVersion !== KUBE_PROXY_VERSION) throw fail(['apiVersion'], `expected ${KUBE_PROXY_VERSION}`);
      if (kubeProxy) warnings.push(fail([], 'a second KubeProxyConfiguration: this one holds').message);
      kubeProxy = object;
      kubeProxyFailure = fail;
      for (const { path, message } of fieldWarnings(object)) warnings.push(fail(path, message).message);
    } else if (kind === 'ServiceCIDR') {
      serviceCIDRs.push(...cidrsOf(object.spec, fail));
    } else if (READ_KINDS.includes(kind as string)) {
      warnings.push(fail(['apiVersion'], `${kind} of ${apiVersion} is not known, and is left out`).message);
    }
    return true;
  };
  const read = files.flatMap(({ name, text }) => parseManifests(text, name, { other }));
  // A document of its own goes before the ConfigMap that a cluster has it in.
  for (const { file, object } of read) {
    const text = kubeProxy ? undefined : proxyConfigIn(object);
    if (text !== undefined) parseManifests(text, `${file}: ConfigMap ${CONFIG_MAP.name}: ${CONFIG_MAP.key}`, { other });
  }
  return { read, kubeProxy, kubeProxyFailure, serviceCIDRs, warnings };
}

function proxyConfigIn(object: KubeObject): string | undefined {
  const { namespace, name, key } = CONFIG_MAP;
  const { kind, metadata } = object;
  if (kind !== CONFIGMAPS.kind || metadata?.namespace !== namespace || metadata.name !== name) return undefined;
  const text = (object as ConfigMap).data?.[key];
  return typeof text === 'string' ? text : undefined;
}

/** The configuration, in `mode` when given. Without a document: what `podwire up` has. Throws ManifestError. */
export function configOf(objects: OfflineObjects, mode: ProxyMode | undefined): KubeProxyConfig {
  const { kubeProxy, kubeProxyFailure } = objects;
  if (kubeProxy) {
    try {
      return parseKubeProxyConfiguration(kubeProxy, mode);
    } catch (error) {
      throw error instanceof ConfigError ? kubeProxyFailure(error.path, error.message) : error;
    }
  }
  return parseKubeProxyConfiguration({ clusterCIDR: DEFAULT_POD_CIDR }, mode ?? 'ipvs');
}

/** The Node that kube-proxy runs on: the one it is told to be, else the first. Throws ManifestError: there is none of that name. */
export function nodeOf({ nodes, kubeProxy, kubeProxyFailure }: OfflineObjects): Node {
  const override = nameOverride(kubeProxy);
  if (override === '') return nodes[0]!;
  const node = nodes.find((n) => n.metadata.name === override);
  if (!node) throw kubeProxyFailure(['hostnameOverride'], `the files have no Node ${override}`);
  return node;
}

/** When the files have no Node. */
function defaultNode(kubeProxy: OfflineObjects['kubeProxy']): Node {
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: nameOverride(kubeProxy) || 'node-1' },
    spec: { podCIDR: DEFAULT_NODE_POD_CIDR },
    status: { addresses: [{ type: 'InternalIP', address: DEFAULT_NODE_IP[4] }] },
  };
}

/** '': none. */
function nameOverride(kubeProxy: OfflineObjects['kubeProxy']): string {
  return typeof kubeProxy?.hostnameOverride === 'string' ? kubeProxy.hostnameOverride : '';
}

function cidrsOf(spec: unknown, fail: FieldFailure): readonly string[] {
  const { cidrs = [] } = (spec ?? {}) as { cidrs?: unknown };
  const isRange = (text: unknown): text is string => typeof text === 'string' && parseIpPrefix(text) !== undefined;
  if (Array.isArray(cidrs) && cidrs.every(isRange)) return cidrs;
  throw fail(['spec', 'cidrs'], 'ServiceCIDR: spec.cidrs: expected a list of ADDRESS/LENGTH');
}

/** Deviation: without a ServiceCIDR object, the default network, or the /16 (IPv6: /112) around each ClusterIP outside of it. */
function likelyServiceCIDRs(services: readonly Service[]): string[] {
  const defaultNetwork = parseIpPrefix(DEFAULT_SERVICE_CIDR)!;
  const cidrs = new Set<string>();
  for (const { spec } of services) {
    for (const text of spec.clusterIPs ?? [spec.clusterIP ?? '']) {
      const ip = parseIpAddress(text);
      if (ip === undefined) continue;
      const prefixLen = LIKELY_PREFIX[familyOf(ip)];
      cidrs.add(
        isInPrefix(defaultNetwork, ip) ? DEFAULT_SERVICE_CIDR : formatIpPrefix([networkOf(ip, prefixLen), prefixLen]),
      );
    }
  }
  return cidrs.size > 0 ? [...cidrs] : [DEFAULT_SERVICE_CIDR];
}

/** Objects that kube-proxy asks for; others' are somebody else's. */
function isWatched({ metadata: { labels } }: KubeObject): boolean {
  return labels?.[LABEL_SERVICE_PROXY_NAME] === undefined && labels?.[LABEL_HEADLESS] === undefined;
}

function allocateServices(services: readonly Service[]): void {
  const takenIPs = new Set(services.flatMap(({ spec }) => [spec.clusterIP, ...(spec.clusterIPs ?? [])]));
  const takenPorts = new Set(services.flatMap(({ spec }) => (spec.ports ?? []).map((p) => p.nodePort)));
  let ip = parseIPv4(FIRST_CLUSTER_IP)!;
  let port = FIRST_NODE_PORT;
  for (const { spec } of services) {
    // One that has a ClusterIP comes from an API server and is taken as it is.
    if (spec.type === 'ExternalName' || spec.clusterIP || spec.clusterIPs?.length) continue;
    while (takenIPs.has(formatIPv4(ip))) ip++;
    spec.clusterIP = formatIPv4(ip++);
    const hasNodePorts =
      spec.type === 'NodePort' || (spec.type === 'LoadBalancer' && spec.allocateLoadBalancerNodePorts !== false);
    if (!hasNodePorts || (spec.ports ?? []).some((p) => p.nodePort)) continue;
    for (const servicePort of spec.ports ?? []) {
      while (takenPorts.has(port)) port++;
      servicePort.nodePort = port++;
    }
  }
}

/** A Pod without a Node is on `node`; one without an address gets the next of that Node's network, and is ready. */
function allocatePods(pods: readonly Pod[], node: Node): void {
  const taken = new Set(pods.map((p) => p.status?.podIP));
  const [network] = parseCIDR(node.spec?.podCIDR ?? DEFAULT_NODE_POD_CIDR) ?? [0];
  let ip = network! + 2;
  for (const pod of pods) {
    pod.spec.nodeName ??= node.metadata.name!;
    if (pod.status?.podIP) continue;
    while (taken.has(formatIPv4(ip))) ip++;
    const podIP = formatIPv4(ip++);
    pod.status = { phase: 'Running', podIP, podIPs: [{ ip: podIP }], conditions: [{ type: 'Ready', status: 'True' }] };
  }
}

function slicesOfPods(service: Service, pods: readonly Pod[], nodes: readonly Node[]): EndpointSlice[] {
  const { selector } = service.spec;
  if (!selector || Object.keys(selector).length === 0) return [];
  const chosen = pods.filter(
    (p) => p.metadata.namespace === service.metadata.namespace && matchesSet(selector, p.metadata.labels ?? {}),
  );
  const nodeNamed = (name: string): Node => nodes.find((n) => n.metadata.name === name) ?? nodes[0]!;
  const groups = [...desiredGroups(service, chosen, nodeNamed, 'IPv4').values()];
  return groups.map(({ ports, endpoints }, i) => named(newSlice(service, 'IPv4', ports, endpoints), service, i));
}

/** As the EndpointSlice mirroring controller makes them. */
function slicesOfEndpoints(endpoints: Endpoints): EndpointSlice[] {
  return (endpoints.subsets ?? []).map((subset, i) => {
    const ready = (subset.addresses ?? []).map((a) => endpointOf(a, true));
    const notReady = (subset.notReadyAddresses ?? []).map((a) => endpointOf(a, false));
    const slice: EndpointSlice = {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: {
        namespace: endpoints.metadata.namespace!,
        labels: { [LABEL_SERVICE_NAME]: endpoints.metadata.name! },
      },
      addressType: 'IPv4',
      endpoints: [...ready, ...notReady],
      ports: (subset.ports ?? []).map(({ name, port, protocol }) => ({
        name: name ?? '',
        port,
        protocol: protocol ?? 'TCP',
      })),
    };
    return named(slice, endpoints, i);
  });
}

function endpointOf(
  { ip, nodeName }: { ip: string; nodeName?: string },
  ready: boolean,
): EndpointSlice['endpoints'][0] {
  return {
    addresses: [ip],
    conditions: { ready, serving: ready, terminating: false },
    ...(nodeName ? { nodeName } : {}),
  };
}

function named(slice: EndpointSlice, of: KubeObject, i: number): EndpointSlice {
  return { ...slice, metadata: { ...slice.metadata, name: `${of.metadata.name}-offline-${i}` } };
}

function ofKind<T extends KubeObject>(manifests: readonly ManifestObject[], kind: string): T[] {
  return manifests.filter(({ type }) => type.kind === kind).map(({ object }) => object as T);
}

function namespaced<T extends KubeObject>(object: T): T {
  return { ...object, metadata: { ...object.metadata, namespace: object.metadata.namespace ?? 'default' } };
}

function keyOf({ metadata: { namespace, name } }: KubeObject): string {
  return `${namespace}/${name}`;
}
