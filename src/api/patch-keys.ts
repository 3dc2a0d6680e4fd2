// How lists merge under a strategic merge patch: by a key, as a set, or (the default) replaced whole. The patchMergeKey and
// patchStrategy tags of k8s.io/api, by the path of the list; `[]` stands for any element.

export type ListStrategy = { readonly mergeKey: string } | 'set';

const POD_SPEC: Readonly<Record<string, ListStrategy>> = {
  containers: { mergeKey: 'name' },
  initContainers: { mergeKey: 'name' },
  ephemeralContainers: { mergeKey: 'name' },
  volumes: { mergeKey: 'name' },
  imagePullSecrets: { mergeKey: 'name' },
  hostAliases: { mergeKey: 'ip' },
  topologySpreadConstraints: { mergeKey: 'topologyKey' },
  resourceClaims: { mergeKey: 'name' },
};

const CONTAINER: Readonly<Record<string, ListStrategy>> = {
  ports: { mergeKey: 'containerPort' },
  env: { mergeKey: 'name' },
  volumeMounts: { mergeKey: 'mountPath' },
  volumeDevices: { mergeKey: 'devicePath' },
};

const META: Readonly<Record<string, ListStrategy>> = {
  'metadata.ownerReferences': { mergeKey: 'uid' },
  'metadata.finalizers': 'set',
};

function podSpec(path: string): Record<string, ListStrategy> {
  const out: Record<string, ListStrategy> = {};
  for (const [list, strategy] of Object.entries(POD_SPEC)) out[`${path}.${list}`] = strategy;
  for (const containers of ['containers', 'initContainers', 'ephemeralContainers']) {
    for (const [list, strategy] of Object.entries(CONTAINER)) out[`${path}.${containers}[].${list}`] = strategy;
  }
  return out;
}

const CONDITIONS: Readonly<Record<string, ListStrategy>> = { 'status.conditions': { mergeKey: 'type' } };

const WORKLOAD = { ...META, ...CONDITIONS, ...podSpec('spec.template.spec') };

const BY_KIND: Readonly<Record<string, Readonly<Record<string, ListStrategy>>>> = {
  Pod: {
    ...META,
    ...CONDITIONS,
    ...podSpec('spec'),
    'status.podIPs': { mergeKey: 'ip' },
    'status.hostIPs': { mergeKey: 'ip' },
  },
  Service: { ...META, ...CONDITIONS, 'spec.ports': { mergeKey: 'port' } },
  ServiceAccount: { ...META, secrets: { mergeKey: 'name' }, imagePullSecrets: { mergeKey: 'name' } },
  Namespace: { ...META, ...CONDITIONS },
  Node: { ...META, ...CONDITIONS, 'spec.podCIDRs': 'set', 'status.addresses': { mergeKey: 'type' } },
  Deployment: WORKLOAD,
  ReplicaSet: WORKLOAD,
  StatefulSet: WORKLOAD,
  DaemonSet: WORKLOAD,
  Job: WORKLOAD,
};

/** Absent: the list is replaced whole. */
export function listStrategy(kind: string, path: string): ListStrategy | undefined {
  return (BY_KIND[kind] ?? META)[path];
}
