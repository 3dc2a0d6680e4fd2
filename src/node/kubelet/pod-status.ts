// The status of a Pod from the states of its containers, after pkg/kubelet/kubelet_pods.go (getPhase) and
// pkg/kubelet/status/generate.go (conditions). Pure.
import type { ContainerStatus, Pod, PodPhase, PodStatus } from '../../api/core-v1.ts';
import type { Condition } from '../../api/meta.ts';
import { qosClass } from '../../api/qos.ts';

export interface PodFacts {
  readonly pod: Pod;
  readonly hostIP: string;
  /** Absent until the sandbox has its network; kept when it has gone. */
  readonly podIP: string | undefined;
  readonly hasSandbox: boolean;
  /** Set when the Pod was ended as a whole. */
  readonly failure?: { readonly reason: string; readonly message: string } | undefined;
  readonly startTime: string;
  readonly initStatuses: readonly ContainerStatus[];
  readonly statuses: readonly ContainerStatus[];
  readonly ephemeralStatuses?: readonly ContainerStatus[];
  readonly initialized: boolean;
  readonly now: string;
}

export function podStatus(facts: PodFacts): PodStatus {
  const { pod, podIP, hostIP, statuses, initStatuses } = facts;
  const phase = facts.failure ? 'Failed' : podPhase(pod, initStatuses, statuses, facts.initialized);
  const done = phase === 'Succeeded' || phase === 'Failed';
  const unready = statuses.filter((s) => !s.ready).map((s) => s.name);
  const notReady = (): Partial<Condition> =>
    done
      ? { reason: phase === 'Succeeded' ? 'PodCompleted' : 'PodFailed' }
      : { reason: 'ContainersNotReady', message: `containers with unready status: [${unready.join(' ')}]` };
  const pending = initStatuses.filter((s) => !s.ready && !s.started).map((s) => s.name);
  const ready = unready.length === 0 && statuses.length > 0 && !done;
  const gates = done ? [] : unmetGates(pod);
  const conditions = [
    condition('PodReadyToStartContainers', facts.hasSandbox),
    condition('Initialized', facts.initialized, {
      reason: 'ContainersNotInitialized',
      message: `containers with incomplete status: [${pending.join(' ')}]`,
    }),
    ready && gates.length > 0
      ? condition('Ready', false, { reason: 'ReadinessGatesNotReady', message: gates.join(', ') })
      : condition('Ready', ready, notReady()),
    condition('ContainersReady', ready, notReady()),
    condition('PodScheduled', true),
  ];
  const { generation } = pod.metadata;
  return {
    ...(generation === undefined ? {} : { observedGeneration: generation }),
    phase,
    ...facts.failure,
    conditions: [
      ...conditions.map((c) => ({
        ...withTransition(c, pod.status?.conditions, facts.now),
        ...(generation === undefined ? {} : { observedGeneration: generation }),
      })),
      ...(pod.status?.conditions ?? []).filter(({ type }) => !conditions.some((own) => own.type === type)),
    ],
    hostIP,
    hostIPs: [{ ip: hostIP }],
    ...(podIP ? { podIP, podIPs: [{ ip: podIP }] } : {}),
    startTime: facts.startTime,
    ...(initStatuses.length > 0 ? { initContainerStatuses: [...initStatuses] } : {}),
    containerStatuses: [...statuses],
    ...(facts.ephemeralStatuses?.length ? { ephemeralContainerStatuses: [...facts.ephemeralStatuses] } : {}),
    qosClass: qosClass(pod),
  };
}

function unmetGates({ spec, status }: Pod): string[] {
  return (spec.readinessGates ?? []).flatMap(({ conditionType }) => {
    const found = status?.conditions?.find((c) => c.type === conditionType);
    if (found?.status === 'True') return [];
    return [
      found
        ? `the status of pod readiness gate "${conditionType}" is not "True", but ${found.status}`
        : `corresponding condition of pod readiness gate "${conditionType}" does not exist.`,
    ];
  });
}

function podPhase(
  pod: Pod,
  initStatuses: readonly ContainerStatus[],
  statuses: readonly ContainerStatus[],
  initialized: boolean,
): PodPhase {
  const never = pod.spec.restartPolicy === 'Never';
  const initFailed = initStatuses.some((s) => (s.state?.terminated?.exitCode ?? 0) !== 0);
  if (!initialized) return never && initFailed ? 'Failed' : 'Pending';
  const ended = statuses.map((s) => s.state?.terminated ?? (s.state?.waiting ? s.lastState?.terminated : undefined));
  if (statuses.some((s) => s.state?.running)) return 'Running';
  if (statuses.some((s, i) => s.state?.waiting && !ended[i])) return 'Pending';
  if ((pod.spec.restartPolicy ?? 'Always') === 'Always') return 'Running';
  if (ended.every((e) => e?.exitCode === 0)) return 'Succeeded';
  return never ? 'Failed' : 'Running';
}

function condition(type: string, holds: boolean, otherwise: Partial<Condition> = {}): Condition {
  return { type, status: holds ? 'True' : 'False', ...(holds ? {} : otherwise) };
}

/** The time of the last change of its status, kept while the status stays. */
function withTransition(next: Condition, old: readonly Condition[] | undefined, now: string): Condition {
  const before = old?.find((c) => c.type === next.type);
  const lastTransitionTime = before?.status === next.status ? (before.lastTransitionTime ?? now) : now;
  return { ...next, lastProbeTime: null, lastTransitionTime };
}
