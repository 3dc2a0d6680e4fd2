// From what a user asks to what the Node of the files is asked: Pods and Services by their names in the files.
import type { Pod } from '../../api/core-v1.ts';
import type { TraceQuestion } from '../../kernel/what-if/types.ts';
import { parseIpAddress } from '../../tcpip-ts/wire/ip-address.ts';
import { podName } from '../object-name.ts';
import { type AskedTrace, resolveService, splitHostPort } from '../trace-question.ts';
import type { OfflineObjects } from './objects.ts';

const MAX_LISTED = 10;
const CLUSTER_DOMAIN = 'cluster.local';

/** Throws Error with a message for the user. */
export function offlineQuestion({ pods, services }: OfflineObjects, asked: AskedTrace): TraceQuestion {
  const [host, port] = splitHostPort(asked.to, asked.protocol !== 'icmp');
  if (asked.protocol !== 'icmp' && port === undefined) throw new Error(`${asked.to}: expected HOST:PORT`);
  let namespace = 'default';
  let from = asked.from;
  if (asked.pod) {
    const [podNamespace, name] = podName(asked.pod);
    const pod = pods.find((p) => p.metadata.namespace === podNamespace && p.metadata.name === name);
    if (!pod) throw new Error(`the files have no Pod ${asked.pod}; they have ${listed(pods)}`);
    namespace = podNamespace;
    from = addressOf(pod, host);
  }
  if (!from) throw new Error('expected --pod NAMESPACE/NAME or --from ADDRESS');
  const [source, sourcePort] = splitHostPort(from);
  const isAddress = parseIpAddress(host) !== undefined;
  return {
    from: source,
    ...(sourcePort !== undefined ? { fromPort: sourcePort } : {}),
    to: isAddress ? host : resolveService(host, namespace, CLUSTER_DOMAIN, services),
    ...(port !== undefined ? { toPort: port } : {}),
    protocol: asked.protocol,
  };
}

/** The Pod's address of the family of what it sends to, if it has one. */
function addressOf({ status }: Pod, to: string): string {
  const addresses = [status!.podIP!, ...(status!.podIPs ?? []).map(({ ip }) => ip)];
  return addresses.find((ip) => ip.includes(':') === to.includes(':')) ?? addresses[0]!;
}

function listed(pods: readonly Pod[]): string {
  const names = pods.slice(0, MAX_LISTED).map(({ metadata: { namespace, name } }) => `${namespace}/${name}`);
  if (pods.length > MAX_LISTED) names.push(`${pods.length - MAX_LISTED} more`);
  return names.join(', ') || 'none';
}
