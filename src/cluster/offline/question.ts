// From what a user asks to what the Node of the files is asked: Pods and Services by their names in the files.
import type { TraceQuestion } from '../../kernel/what-if/types.ts';
import { parseIPv4 } from '../../tcpip-ts/wire/address.ts';
import { type AskedTrace, resolveService, splitHostPort } from '../trace-question.ts';
import type { OfflineObjects } from './objects.ts';

const CLUSTER_DOMAIN = 'cluster.local';

/** Throws Error with a message for the user. */
export function offlineQuestion({ pods, services }: OfflineObjects, asked: AskedTrace): TraceQuestion {
  for (const text of [asked.to, asked.from ?? '']) {
    // Deviation: the emulated kernel has IPv4 only.
    if (text.split(':').length > 2) throw new Error(`${text}: IPv6 is not emulated`);
  }
  const [host, port] = splitHostPort(asked.to);
  if (asked.protocol !== 'icmp' && port === undefined) throw new Error(`${asked.to}: expected HOST:PORT`);
  let namespace = 'default';
  let from = asked.from;
  if (asked.pod) {
    const [podNamespace, name] = asked.pod.includes('/') ? asked.pod.split('/') : ['default', asked.pod];
    const pod = pods.find((p) => p.metadata.namespace === podNamespace && p.metadata.name === name);
    if (!pod) throw new Error(`the files have no Pod ${asked.pod}`);
    namespace = podNamespace!;
    from = pod.status!.podIP!;
  }
  if (!from) throw new Error('expected --pod NAMESPACE/NAME or --from ADDRESS');
  const [source, sourcePort] = splitHostPort(from);
  const isAddress = parseIPv4(host) !== undefined;
  return {
    from: source,
    ...(sourcePort !== undefined ? { fromPort: sourcePort } : {}),
    to: isAddress ? host : resolveService(host, namespace, CLUSTER_DOMAIN, services),
    ...(port !== undefined ? { toPort: port } : {}),
    protocol: asked.protocol,
  };
}
