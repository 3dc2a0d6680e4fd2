// podwire status: Nodes, Pods, Services and counters of the running cluster.
import type { Pod, Service } from '../../api/core-v1.ts';
import type { Stored } from '../../api/meta.ts';
import type { NodeStatus } from '../../cluster/node-handle.ts';
import { ask } from '../control-client.ts';
import { table } from '../table.ts';

interface StatusAnswer {
  readonly pid: number;
  readonly nodes: readonly NodeStatus[];
  readonly pods: readonly Stored<Pod>[];
  readonly services: readonly Stored<Service>[];
}

export async function status(options: { output: string }): Promise<void> {
  const answer = (await ask('/status')) as StatusAnswer;
  if (options.output === 'json') {
    process.stdout.write(`${JSON.stringify(answer, null, 2)}\n`);
    return;
  }
  const { nodes, pods, services } = answer;
  process.stdout.write(
    [
      `process ${answer.pid}\n`,
      table(
        ['NODE', 'PROXY-MODE', 'PODS', 'RX-PACKETS', 'TX-PACKETS', 'CONNTRACK', 'DROPS'],
        nodes.map((n) => [n.name, n.proxyMode, n.pods, n.rxPackets, n.txPackets, n.conntrack, drops(n)].map(String)),
      ),
      table(
        ['NAMESPACE', 'POD', 'READY', 'STATUS', 'RESTARTS', 'IP', 'NODE'],
        pods.map((p) => [
          p.metadata.namespace!,
          p.metadata.name,
          ready(p),
          phase(p),
          restarts(p),
          p.status?.podIP ?? '<none>',
          p.spec.nodeName ?? '<none>',
        ]),
      ),
      table(
        ['NAMESPACE', 'SERVICE', 'TYPE', 'CLUSTER-IP', 'PORT(S)'],
        services.map((s) => [
          s.metadata.namespace!,
          s.metadata.name,
          s.spec.type ?? 'ClusterIP',
          s.spec.clusterIP ?? '<none>',
          ports(s),
        ]),
      ),
    ].join('\n'),
  );
}

function drops(node: NodeStatus): string {
  const parts = Object.entries(node.drops).map(([reason, count]) => `${reason}:${count}`);
  return parts.length > 0 ? parts.join(',') : '0';
}

function ready(pod: Pod): string {
  const statuses = pod.status?.containerStatuses ?? [];
  return `${statuses.filter((s) => s.ready).length}/${pod.spec.containers.length}`;
}

function phase(pod: Pod): string {
  if (pod.metadata.deletionTimestamp) return 'Terminating';
  const waiting = pod.status?.containerStatuses?.find((s) => s.state?.waiting)?.state?.waiting?.reason;
  return waiting ?? pod.status?.phase ?? 'Pending';
}

function restarts(pod: Pod): string {
  return String((pod.status?.containerStatuses ?? []).reduce((sum, s) => sum + s.restartCount, 0));
}

function ports(service: Service): string {
  return (service.spec.ports ?? [])
    .map((p) => `${p.port}${p.nodePort ? `:${p.nodePort}` : ''}/${p.protocol ?? 'TCP'}`)
    .join(',');
}
