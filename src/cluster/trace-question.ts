// From what a user asks (`podwire trace --pod dev/jump --to ent:8080`) to what a Node is asked: names become addresses the way the
// asking Pod would resolve them, and the Node is the one that would see the packet first.
import type { Service } from '../api/core-v1.ts';
import { PODS, SERVICES } from '../api/resources.ts';
import type { TraceQuestion } from '../kernel/what-if/types.ts';
import { parseIPv4 } from '../tcpip-ts/wire/address.ts';
import type { Cluster } from './cluster.ts';
import type { NodeHandle } from './node-handle.ts';
import { podName } from './object-name.ts';

export interface AskedTrace {
  /** `namespace/name` of the Pod that sends; or `from`. */
  readonly pod?: string;
  /** `ADDRESS[:PORT]`: a Node's own address, or someone outside. */
  readonly from?: string;
  /** `HOST:PORT`, `HOST` alone for icmp. HOST is an address or a name as the Pod would use it. */
  readonly to: string;
  readonly protocol: 'tcp' | 'udp' | 'sctp' | 'icmp';
}

export async function resolveQuestion(
  cluster: Cluster,
  asked: AskedTrace,
): Promise<{ node: NodeHandle; question: TraceQuestion }> {
  const [host, port] = splitHostPort(asked.to, asked.protocol !== 'icmp');
  // Deviation: the emulated kernel has no packet path for IPv6.
  for (const text of [host, asked.from ?? ''])
    if (text.includes('::') || text.split(':').length > 2)
      throw new Error(`${text}: a running cluster is IPv4 only; ask with -f about IPv6`);
  if (asked.protocol !== 'icmp' && port === undefined) throw new Error(`--to ${asked.to}: expected HOST:PORT`);
  const { client } = cluster;
  let node = cluster.nodes[0]!;
  let namespace = 'default';
  let from = asked.from;
  if (asked.pod) {
    const [podNamespace, name] = podName(asked.pod);
    const pod = await client.get(PODS, podNamespace, name);
    if (!pod.status?.podIP) throw new Error(`pod ${asked.pod} has no address yet (${pod.status?.phase ?? 'Pending'})`);
    namespace = podNamespace;
    from = pod.status.podIP;
    node = await cluster.nodeOf(podNamespace, name);
  }
  if (!from) throw new Error('expected --pod NAMESPACE/NAME or --from ADDRESS');
  const [source, sourcePort] = splitHostPort(from);
  const services = (await client.list(SERVICES)).items;
  const address =
    parseIPv4(host) !== undefined ? host : resolveService(host, namespace, cluster.settings.clusterDomain, services);
  return {
    node,
    question: {
      from: source,
      ...(sourcePort !== undefined ? { fromPort: sourcePort } : {}),
      to: address,
      ...(port !== undefined ? { toPort: port } : {}),
      protocol: asked.protocol,
    },
  };
}

/** As resolvers give up on a chain of CNAMEs. */
const MAX_ALIASES = 8;

/** The ClusterIP that a Pod of `namespace` gets for a name through its search list; an ExternalName is followed. */
export function resolveService(
  name: string,
  namespace: string,
  domain: string,
  services: readonly Service[],
  aliases = 0,
): string {
  const absolute = name.replace(/\.$/, '');
  const candidates = [
    `${absolute}.${namespace}.svc.${domain}`,
    `${absolute}.svc.${domain}`,
    `${absolute}.${domain}`,
    absolute,
  ];
  for (const candidate of candidates) {
    const service = services.find((s) => `${s.metadata.name}.${s.metadata.namespace}.svc.${domain}` === candidate);
    const address = service?.spec.clusterIP;
    if (address === 'None')
      throw new Error(
        `${name} is a headless Service: its name stands for the Pods themselves; trace to a Pod's address`,
      );
    if (address) return address;
    const external = service?.spec.externalName;
    if (service?.spec.type !== 'ExternalName' || !external) continue;
    const target = external.replace(/\.$/, '');
    if (parseIPv4(target) !== undefined || !target.endsWith(`.svc.${domain}`) || aliases === MAX_ALIASES)
      throw new Error(
        `${name} is an ExternalName Service: it stands for ${external}; trace to an address of that name`,
      );
    return resolveService(target, namespace, domain, services, aliases + 1);
  }
  throw new Error(
    `${name}: no Service by that name is reachable from namespace ${namespace} (tried ${candidates.join(', ')})`,
  );
}

/** `10.0.0.1:80`, `[fd00::1]:80`, `ent:8080`; the port may be missing. An IPv6 address may do without its brackets. */
export function splitHostPort(text: string, needsPort = false): [host: string, port: number | undefined] {
  const bracketed = /^\[([^\]]*)\](?::(.*))?$/.exec(text);
  if (bracketed) return [bracketed[1]!, bracketed[2] === undefined ? undefined : portOf(text, bracketed[2])];
  const at = text.lastIndexOf(':');
  const isIPv6 = at !== text.indexOf(':');
  if (at < 0 || (isIPv6 && !needsPort)) return [text, undefined];
  return [text.slice(0, at), portOf(text, text.slice(at + 1))];
}

function portOf(text: string, digits: string): number {
  const port = Number(digits);
  if (!/^\d+$/.test(digits) || port < 1 || port > 65535)
    throw new Error(`${text}: expected a port from 1 to 65535 after the colon`);
  return port;
}
