// What the real server's admission plugins do to a new Pod: DefaultTolerationSeconds, Priority and RuntimeClass. After
// kubernetes/plugin/pkg/admission/*.
import type { Pod, PodSpec } from '../../api/core-v1.ts';
import { PODS, RUNTIMECLASSES } from '../../api/resources.ts';
import { type AdmissionPlugin, forbidden, type Lookup } from './admission.ts';

const TOLERATION_S = 300;
const NOT_READY = 'node.kubernetes.io/not-ready';
const UNREACHABLE = 'node.kubernetes.io/unreachable';

const PRIORITIES: Readonly<Record<string, number>> = {
  'system-cluster-critical': 2_000_000_000,
  'system-node-critical': 2_000_001_000,
};

export const podAdmission: AdmissionPlugin = {
  name: 'PodAdmission',
  async admit({ operation, type, draft }, lookup): Promise<void> {
    if (operation !== 'CREATE' || type.resource !== PODS.resource || type.group !== '' || !draft) return;
    const pod = draft as Pod;
    setPriority(pod);
    tolerate(pod.spec, NOT_READY);
    tolerate(pod.spec, UNREACHABLE);
    await checkRuntimeClass(pod, lookup);
  },
};

function setPriority({ metadata, spec }: Pod): void {
  const name = spec.priorityClassName;
  const priority = name ? PRIORITIES[name] : 0;
  if (priority === undefined) {
    throw forbidden(PODS, metadata.name ?? '', `no PriorityClass with name ${name} was found`);
  }
  if (spec.priority !== undefined && spec.priority !== priority) {
    throw forbidden(
      PODS,
      metadata.name ?? '',
      `the integer value of priority (${spec.priority}) must not be provided in pod spec; priority admission controller computed ${priority} from the given PriorityClass name`,
    );
  }
  spec.priority = priority;
  spec.preemptionPolicy ??= 'PreemptLowerPriority';
}

/** A Pod stays five minutes on a Node that is away, unless it says otherwise. */
function tolerate(spec: PodSpec, key: string): void {
  const tolerations = spec.tolerations ?? [];
  const covered = tolerations.some(
    (t) => (t.key === key || (!t.key && t.operator === 'Exists')) && (!t.effect || t.effect === 'NoExecute'),
  );
  if (covered) return;
  spec.tolerations = [
    ...tolerations,
    { key, operator: 'Exists', effect: 'NoExecute', tolerationSeconds: TOLERATION_S },
  ];
}

async function checkRuntimeClass({ metadata, spec }: Pod, lookup: Lookup): Promise<void> {
  const name = spec.runtimeClassName;
  if (!name || (await lookup.find(RUNTIMECLASSES, undefined, name))) return;
  throw forbidden(PODS, metadata.name ?? '', `pod rejected: RuntimeClass "${name}" not found`);
}
