// Every resource the cluster serves, by name. Plural, kind and short names as `kubectl api-resources` prints them.
import type { ControllerRevision, DaemonSet, Deployment, ReplicaSet, StatefulSet } from './apps-v1.ts';
import type { HorizontalPodAutoscaler } from './autoscaling-v2.ts';
import type { CronJob, Job } from './batch-v1.ts';
import type { CertificateSigningRequest } from './certificates-v1.ts';
import type { Lease } from './coordination-v1.ts';
import type {
  ConfigMap,
  Endpoints,
  Event,
  LimitRange,
  Namespace,
  Node,
  Pod,
  ResourceQuota,
  Secret,
  Service,
  ServiceAccount,
} from './core-v1.ts';
import type { EndpointSlice, RuntimeClass } from './discovery-v1.ts';
import type { KubeObject, ResourceType } from './meta.ts';
import type { PodDisruptionBudget } from './policy-v1.ts';
import type { ClusterRole, ClusterRoleBinding, Role, RoleBinding } from './rbac-v1.ts';

function define<T extends KubeObject>(
  gv: string,
  resource: string,
  kind: string,
  namespaced: boolean,
  shortNames: readonly string[] = [],
  categories: readonly string[] = [],
): ResourceType<T> {
  const [group, version] = gv.includes('/') ? (gv.split('/') as [string, string]) : (['', gv] as const);
  return { group, version, resource, singular: kind.toLowerCase(), kind, namespaced, shortNames, categories };
}

export const NAMESPACES = define<Namespace>('v1', 'namespaces', 'Namespace', false, ['ns']);
export const NODES = define<Node>('v1', 'nodes', 'Node', false, ['no']);
export const PODS = define<Pod>('v1', 'pods', 'Pod', true, ['po'], ['all']);
export const SERVICES = define<Service>('v1', 'services', 'Service', true, ['svc'], ['all']);
export const ENDPOINTS = define<Endpoints>('v1', 'endpoints', 'Endpoints', true, ['ep']);
export const CONFIGMAPS = define<ConfigMap>('v1', 'configmaps', 'ConfigMap', true, ['cm']);
export const SECRETS = define<Secret>('v1', 'secrets', 'Secret', true);
export const SERVICEACCOUNTS = define<ServiceAccount>('v1', 'serviceaccounts', 'ServiceAccount', true, ['sa']);
export const EVENTS = define<Event>('v1', 'events', 'Event', true, ['ev']);
export const DEPLOYMENTS = define<Deployment>('apps/v1', 'deployments', 'Deployment', true, ['deploy'], ['all']);
export const REPLICASETS = define<ReplicaSet>('apps/v1', 'replicasets', 'ReplicaSet', true, ['rs'], ['all']);
export const STATEFULSETS = define<StatefulSet>('apps/v1', 'statefulsets', 'StatefulSet', true, ['sts'], ['all']);
export const DAEMONSETS = define<DaemonSet>('apps/v1', 'daemonsets', 'DaemonSet', true, ['ds'], ['all']);
export const CONTROLLERREVISIONS = define<ControllerRevision>(
  'apps/v1',
  'controllerrevisions',
  'ControllerRevision',
  true,
);
export const JOBS = define<Job>('batch/v1', 'jobs', 'Job', true, [], ['all']);
export const CRONJOBS = define<CronJob>('batch/v1', 'cronjobs', 'CronJob', true, ['cj'], ['all']);
export const PODDISRUPTIONBUDGETS = define<PodDisruptionBudget>(
  'policy/v1',
  'poddisruptionbudgets',
  'PodDisruptionBudget',
  true,
  ['pdb'],
);
export const HORIZONTALPODAUTOSCALERS = define<HorizontalPodAutoscaler>(
  'autoscaling/v2',
  'horizontalpodautoscalers',
  'HorizontalPodAutoscaler',
  true,
  ['hpa'],
  ['all'],
);
export const ENDPOINTSLICES = define<EndpointSlice>('discovery.k8s.io/v1', 'endpointslices', 'EndpointSlice', true);
export const RUNTIMECLASSES = define<RuntimeClass>('node.k8s.io/v1', 'runtimeclasses', 'RuntimeClass', false);
export const LEASES = define<Lease>('coordination.k8s.io/v1', 'leases', 'Lease', true);
export const RESOURCEQUOTAS = define<ResourceQuota>('v1', 'resourcequotas', 'ResourceQuota', true, ['quota']);
export const LIMITRANGES = define<LimitRange>('v1', 'limitranges', 'LimitRange', true, ['limits']);
export const CERTIFICATESIGNINGREQUESTS = define<CertificateSigningRequest>(
  'certificates.k8s.io/v1',
  'certificatesigningrequests',
  'CertificateSigningRequest',
  false,
  ['csr'],
);

const RBAC = 'rbac.authorization.k8s.io/v1';
export const ROLES = define<Role>(RBAC, 'roles', 'Role', true);
export const ROLEBINDINGS = define<RoleBinding>(RBAC, 'rolebindings', 'RoleBinding', true);
export const CLUSTERROLES = define<ClusterRole>(RBAC, 'clusterroles', 'ClusterRole', false);
export const CLUSTERROLEBINDINGS = define<ClusterRoleBinding>(RBAC, 'clusterrolebindings', 'ClusterRoleBinding', false);

/** In the order in which the real server tells them: `kubectl get all` prints them so. */
export const RESOURCES: readonly ResourceType[] = [
  NAMESPACES,
  NODES,
  PODS,
  SERVICES,
  ENDPOINTS,
  CONFIGMAPS,
  SECRETS,
  SERVICEACCOUNTS,
  EVENTS,
  CONTROLLERREVISIONS,
  DAEMONSETS,
  DEPLOYMENTS,
  REPLICASETS,
  STATEFULSETS,
  HORIZONTALPODAUTOSCALERS,
  CRONJOBS,
  JOBS,
  PODDISRUPTIONBUDGETS,
  ENDPOINTSLICES,
  RUNTIMECLASSES,
  RESOURCEQUOTAS,
  LIMITRANGES,
  LEASES,
  CERTIFICATESIGNINGREQUESTS,
  CLUSTERROLEBINDINGS,
  CLUSTERROLES,
  ROLEBINDINGS,
  ROLES,
];

/** The resource of a manifest's apiVersion and kind, or undefined when the cluster does not serve it. */
export function resourceOfKind(apiVersion: string, kind: string): ResourceType | undefined {
  return RESOURCES.find(
    (r) => r.kind === kind && (r.group === '' ? r.version : `${r.group}/${r.version}`) === apiVersion,
  );
}
