// The row of a Pod. After printPod in k8s.io/kubernetes/pkg/printers/internalversion/printers.go.
import type { Pod } from '../../api/core-v1.ts';
import { isSidecar } from '../../api/pod.ts';
import { age } from './duration.ts';
import { type Cell, column, NAME, type Printer, wide } from './printer.ts';

/** The parts of a container status that are looked at; also those that the emulated kubelet never sets. */
interface Status {
  ready?: boolean;
  started?: boolean;
  restartCount?: number;
  state?: State;
  lastState?: State;
}

interface State {
  waiting?: { reason?: string };
  running?: object;
  terminated?: { exitCode?: number; signal?: number; reason?: string; finishedAt?: string };
}

interface Container {
  restartPolicy?: string;
}

interface Tally {
  text: string;
  ready: number;
  restarts: number;
  /** Milliseconds since the epoch; 0: never. */
  lastRestart: number;
}

export const podPrinter: Printer<Pod> = {
  columns: [
    NAME,
    column('Ready'),
    column('Status'),
    column('Restarts'),
    column('Age'),
    wide('IP'),
    wide('Node'),
    wide('Nominated Node'),
    wide('Readiness Gates'),
  ],
  cells: (pod, nowMs) => {
    const status = pod.status as { podIP?: string; podIPs?: { ip: string }[]; nominatedNodeName?: string } | undefined;
    const tally = tallyOf(pod);
    const sidecars = initContainers(pod).filter(isSidecar).length;
    const restarts =
      tally.lastRestart > 0
        ? `${tally.restarts} (${age(new Date(tally.lastRestart).toISOString(), nowMs)} ago)`
        : `${tally.restarts}`;
    return [
      pod.metadata.name ?? '',
      `${tally.ready}/${pod.spec.containers.length + sidecars}`,
      tally.text,
      restarts,
      age(pod.metadata.creationTimestamp, nowMs),
      status?.podIPs?.[0]?.ip ?? status?.podIP ?? '<none>',
      pod.spec.nodeName || '<none>',
      status?.nominatedNodeName || '<none>',
      readinessGates(pod),
    ] satisfies Cell[];
  },
  conditions: ({ status }) => {
    if (status?.phase === 'Succeeded') {
      return [
        { type: 'Completed', status: 'True', reason: 'Succeeded', message: 'The pod has completed successfully.' },
      ];
    }
    if (status?.phase === 'Failed') {
      return [{ type: 'Completed', status: 'True', reason: 'Failed', message: 'The pod failed.' }];
    }
    return [];
  },
};

function tallyOf(pod: Pod): Tally {
  const status = pod.status as
    | { phase?: string; reason?: string; containerStatuses?: Status[]; initContainerStatuses?: Status[] }
    | undefined;
  const tally: Tally = { text: status?.reason || status?.phase || '', ready: 0, restarts: 0, lastRestart: 0 };
  const condition = (type: string) => pod.status?.conditions?.find((c) => c.type === type);
  if (condition('PodScheduled')?.reason === 'SchedulingGated') tally.text = 'SchedulingGated';
  const sidecars: Tally = { text: '', ready: 0, restarts: 0, lastRestart: 0 };
  const initializing = tallyInit(pod, status?.initContainerStatuses ?? [], tally, sidecars);
  if (!initializing || condition('Initialized')?.status === 'True') {
    Object.assign(tally, { restarts: sidecars.restarts, lastRestart: sidecars.lastRestart });
    const running = tallyContainers(status?.containerStatuses ?? [], tally);
    if (tally.text === 'Completed' && running) {
      tally.text = condition('Ready')?.status === 'True' ? 'Running' : 'NotReady';
    }
  }
  if (pod.metadata.deletionTimestamp) {
    if (status?.reason === 'NodeLost') tally.text = 'Unknown';
    else if (status?.phase !== 'Succeeded' && status?.phase !== 'Failed') tally.text = 'Terminating';
  }
  return tally;
}

/** true: an init container is not done yet. */
function tallyInit(pod: Pod, statuses: readonly Status[], tally: Tally, sidecars: Tally): boolean {
  const containers = initContainers(pod);
  for (const [i, status] of statuses.entries()) {
    countRestarts(status, tally);
    const { terminated, waiting } = status.state ?? {};
    const container = containers[i];
    const sidecar = container !== undefined && isSidecar(container);
    if (sidecar) countRestarts(status, sidecars);
    if (terminated && (terminated.exitCode ?? 0) === 0) continue;
    if (sidecar && status.started) {
      if (status.ready) tally.ready++;
      continue;
    }
    if (terminated) tally.text = `Init:${terminated.reason || exitText(terminated)}`;
    else if (waiting?.reason && waiting.reason !== 'PodInitializing') tally.text = `Init:${waiting.reason}`;
    else tally.text = `Init:${i}/${containers.length}`;
    return true;
  }
  return false;
}

/** true: at least one is ready and running. */
function tallyContainers(statuses: readonly Status[], tally: Tally): boolean {
  let running = false;
  for (const status of [...statuses].reverse()) {
    countRestarts(status, tally);
    const { waiting, terminated, running: runs } = status.state ?? {};
    if (waiting?.reason) tally.text = waiting.reason;
    else if (terminated) tally.text = terminated.reason || exitText(terminated);
    else if (status.ready && runs) {
      running = true;
      tally.ready++;
    }
  }
  return running;
}

function countRestarts({ restartCount = 0, lastState }: Status, tally: Tally): void {
  tally.restarts += restartCount;
  const finished = lastState?.terminated?.finishedAt;
  if (finished) tally.lastRestart = Math.max(tally.lastRestart, Date.parse(finished));
}

function exitText({ signal, exitCode = 0 }: { signal?: number; exitCode?: number }): string {
  return signal ? `Signal:${signal}` : `ExitCode:${exitCode}`;
}

function initContainers(pod: Pod): readonly Container[] {
  return (pod.spec as { initContainers?: Container[] }).initContainers ?? [];
}

function readinessGates(pod: Pod): string {
  const gates = (pod.spec as { readinessGates?: { conditionType: string }[] }).readinessGates ?? [];
  if (gates.length === 0) return '<none>';
  const met = gates.filter((gate) =>
    pod.status?.conditions?.some((c) => c.type === gate.conditionType && c.status === 'True'),
  );
  return `${met.length}/${gates.length}`;
}
