// Pods. After kubernetes/pkg/registry/core/pod/strategy.go and storage/storage.go (binding).

import type { Pod } from '../../api/core-v1.ts';
import { defaultPod } from '../../api/defaults/pod.ts';
import type { Stored } from '../../api/meta.ts';
import { dns1123SubdomainErrors } from '../../api/names.ts';
import { qosClass } from '../../api/qos.ts';
import { PODS } from '../../api/resources.ts';
import { invalid, StatusError } from '../../api/status-error.ts';
import { validatePod } from '../../api/validation/pod.ts';
import { validatePodUpdate } from '../../api/validation/pod-update.ts';
import { clone } from '../../lib/tree.ts';
import { withEphemeralContainers } from './ephemeral-containers.ts';
import type { Strategy } from './strategy.ts';

export const podStrategy: Strategy<Pod> = {
  type: PODS,
  nameErrors: dns1123SubdomainErrors,
  generation: true,
  defaults: defaultPod,
  prepareForCreate(pod) {
    delete pod.spec.ephemeralContainers; // only its own subresource adds them
    pod.status = { phase: 'Pending', qosClass: qosClass(pod) };
  },
  validate: validatePod,
  validateUpdate: validatePodUpdate,
  status: {},
  subresources: { binding: bind, ephemeralcontainers: withEphemeralContainers },
  gracePeriodSeconds,
  fields: {
    'spec.nodeName': (pod) => pod.spec.nodeName ?? '',
    'spec.restartPolicy': (pod) => pod.spec.restartPolicy ?? '',
    'spec.schedulerName': (pod) => pod.spec.schedulerName ?? '',
    'spec.serviceAccountName': (pod) => pod.spec.serviceAccountName ?? '',
    'spec.hostNetwork': (pod) => String(pod.spec.hostNetwork ?? false),
    'status.phase': (pod) => pod.status?.phase ?? '',
    'status.podIP': (pod) => pod.status?.podIP ?? '',
    'status.nominatedNodeName': (pod) =>
      (pod.status as { nominatedNodeName?: string } | undefined)?.nominatedNodeName ?? '',
  },
};

/** Pods that no kubelet has, or that have ended, go at once. */
function gracePeriodSeconds(pod: Stored<Pod>, asked: number | undefined): number {
  const phase = pod.status?.phase;
  if (!pod.spec.nodeName || phase === 'Failed' || phase === 'Succeeded') return 0;
  const grace = asked ?? pod.spec.terminationGracePeriodSeconds ?? 0;
  return grace < 0 ? 1 : grace;
}

/** Takes a core/v1 Binding (`target.name`) or a Pod (`spec.nodeName`). */
function bind(input: Pod & { target?: { name?: string } }, old: Stored<Pod>, now: string): Pod {
  const { name } = old.metadata;
  const nodeName = input.target?.name || input.spec?.nodeName;
  if (!nodeName) {
    throw invalid(PODS, name, [{ reason: 'FieldValueRequired', message: 'Required value', field: 'target.name' }]);
  }
  const refuse = (why: string): StatusError =>
    new StatusError('Conflict', 409, `Operation cannot be fulfilled on pods/binding "${name}": ${why}`, {
      name,
      kind: 'pods/binding',
    });
  if (old.metadata.deletionTimestamp) throw refuse(`pod ${name} is being deleted, cannot be assigned to a host`);
  if (old.spec.nodeName) throw refuse(`pod ${name} is already assigned to node "${old.spec.nodeName}"`);
  const pod = clone(old) as Pod;
  pod.spec.nodeName = nodeName;
  pod.status ??= {};
  const others = (pod.status.conditions ?? []).filter((c) => c.type !== 'PodScheduled');
  pod.status.conditions = [
    ...others,
    { type: 'PodScheduled', status: 'True', lastProbeTime: null, lastTransitionTime: now },
  ];
  return pod;
}
