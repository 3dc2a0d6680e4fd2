// The roles and bindings that every cluster has: for users (cluster-admin, admin, edit, view), for everybody (discovery,
// basic-user, public-info-viewer), and for the parts of the control plane. After
// kubernetes/plugin/pkg/auth/authorizer/rbac/bootstrappolicy (policy.go and controller_policy.go, 1.32), and kubeadm's addon roles.
// Left out: the roles of parts that do not exist here (storage, kubelets' certificates, heapster, cloud and volume controllers).
import type { ClusterRole, ClusterRoleBinding, PolicyRule, Subject } from '../../../api/rbac-v1.ts';
import { RBAC_GROUP } from '../../../api/rbac-v1.ts';
import { AUTHENTICATED, MASTERS } from '../user.ts';

const READ = ['get', 'list', 'watch'];
const WRITE = ['create', 'delete', 'deletecollection', 'patch', 'update'];
const READ_WRITE = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'];
const CREATE = ['create'];
const CORE = '';
const AUTHENTICATION = 'authentication.k8s.io';
const AUTHORIZATION = 'authorization.k8s.io';
const COORDINATION = 'coordination.k8s.io';
const DISCOVERY = 'discovery.k8s.io';
const EVENTS = 'events.k8s.io';
const NETWORKING = 'networking.k8s.io';
const AGGREGATE = 'rbac.authorization.k8s.io/aggregate-to-';

function allow(verbs: string[], groups: string | string[], ...resources: string[]): PolicyRule {
  return { apiGroups: typeof groups === 'string' ? [groups] : groups, resources, verbs };
}

function paths(...nonResourceURLs: string[]): PolicyRule {
  return { nonResourceURLs, verbs: ['get'] };
}

const WRITE_EVENTS = allow(['create', 'patch', 'update'], [CORE, EVENTS], 'events');

const WORKLOADS = ['daemonsets', 'deployments', 'deployments/scale', 'replicasets', 'replicasets/scale'];
const SETS = ['statefulsets', 'statefulsets/scale'];
const SESSIONS = ['pods/attach', 'pods/exec', 'pods/portforward', 'pods/proxy'];

const VIEW: readonly PolicyRule[] = [
  allow(
    READ,
    CORE,
    ...['configmaps', 'endpoints', 'persistentvolumeclaims', 'persistentvolumeclaims/status', 'pods'],
    ...['replicationcontrollers', 'replicationcontrollers/scale', 'serviceaccounts', 'services', 'services/status'],
  ),
  allow(
    READ,
    CORE,
    ...['bindings', 'events', 'limitranges', 'namespaces/status', 'pods/log', 'pods/status'],
    ...['replicationcontrollers/status', 'resourcequotas', 'resourcequotas/status'],
  ),
  allow(READ, CORE, 'namespaces'),
  allow(READ, DISCOVERY, 'endpointslices'),
  allow(
    READ,
    'apps',
    ...['controllerrevisions', 'daemonsets', 'daemonsets/status', 'deployments', 'deployments/scale'],
    ...['deployments/status', 'replicasets', 'replicasets/scale', 'replicasets/status'],
    ...['statefulsets', 'statefulsets/scale', 'statefulsets/status'],
  ),
  allow(READ, 'autoscaling', 'horizontalpodautoscalers', 'horizontalpodautoscalers/status'),
  allow(READ, 'batch', 'cronjobs', 'cronjobs/status', 'jobs', 'jobs/status'),
  allow(READ, 'policy', 'poddisruptionbudgets', 'poddisruptionbudgets/status'),
  allow(READ, NETWORKING, 'ingresses', 'ingresses/status', 'networkpolicies'),
];

const EDIT: readonly PolicyRule[] = [
  allow(READ, CORE, ...SESSIONS, 'secrets', 'services/proxy'),
  allow(['impersonate'], CORE, 'serviceaccounts'),
  allow(WRITE, CORE, 'pods', ...SESSIONS),
  allow(CREATE, CORE, 'pods/eviction'),
  allow(
    WRITE,
    CORE,
    ...['configmaps', 'events', 'persistentvolumeclaims', 'replicationcontrollers', 'replicationcontrollers/scale'],
    ...['secrets', 'serviceaccounts', 'services', 'services/proxy'],
  ),
  allow(CREATE, CORE, 'serviceaccounts/token'),
  allow(WRITE, 'apps', ...WORKLOADS, 'deployments/rollback', ...SETS),
  allow(WRITE, 'autoscaling', 'horizontalpodautoscalers'),
  allow(WRITE, 'batch', 'cronjobs', 'jobs'),
  allow(WRITE, 'policy', 'poddisruptionbudgets'),
  allow(WRITE, NETWORKING, 'ingresses', 'networkpolicies'),
  allow(READ_WRITE, COORDINATION, 'leases'),
];

const ADMIN: readonly PolicyRule[] = [
  allow(CREATE, AUTHORIZATION, 'localsubjectaccessreviews'),
  allow(READ_WRITE, RBAC_GROUP, 'rolebindings', 'roles'),
];

const HEALTH = ['/healthz', '/livez', '/readyz'];
const VERSION = ['/version', '/version/'];

const NODE: readonly PolicyRule[] = [
  allow(CREATE, AUTHENTICATION, 'tokenreviews'),
  allow(CREATE, AUTHORIZATION, 'localsubjectaccessreviews', 'subjectaccessreviews'),
  allow(READ, CORE, 'services'),
  allow(['create', ...READ], CORE, 'nodes'),
  allow(['patch', 'update'], CORE, 'nodes/status'),
  allow(['patch', 'update'], CORE, 'nodes'),
  allow(['create', 'patch', 'update'], CORE, 'events'),
  allow(READ, CORE, 'pods'),
  allow(['create', 'delete'], CORE, 'pods'),
  allow(['patch', 'update'], CORE, 'pods/status'),
  allow(CREATE, CORE, 'pods/eviction'),
  allow(READ, CORE, 'configmaps', 'secrets'),
  allow(['get'], CORE, 'endpoints'),
  allow(['create', 'delete', 'get', 'patch', 'update'], COORDINATION, 'leases'),
  allow(CREATE, CORE, 'serviceaccounts/token'),
  allow(READ, 'node.k8s.io', 'runtimeclasses'),
];

const SCHEDULER: readonly PolicyRule[] = [
  WRITE_EVENTS,
  allow(CREATE, COORDINATION, 'leases'),
  { ...allow(['get', 'update'], COORDINATION, 'leases'), resourceNames: ['kube-scheduler'] },
  allow(READ, CORE, 'nodes'),
  allow(['delete', ...READ], CORE, 'pods'),
  allow(CREATE, CORE, 'bindings', 'pods/binding'),
  allow(['patch', 'update'], CORE, 'pods/status'),
  allow(READ, CORE, 'replicationcontrollers', 'services'),
  allow(READ, ['apps', 'extensions'], 'replicasets'),
  allow(READ, 'apps', 'statefulsets'),
  allow(READ, 'policy', 'poddisruptionbudgets'),
  allow(CREATE, AUTHENTICATION, 'tokenreviews'),
  allow(CREATE, AUTHORIZATION, 'subjectaccessreviews'),
  allow(READ, CORE, 'namespaces'),
];

const CONTROLLER_MANAGER: readonly PolicyRule[] = [
  WRITE_EVENTS,
  allow(CREATE, COORDINATION, 'leases'),
  { ...allow(['get', 'update'], COORDINATION, 'leases'), resourceNames: ['kube-controller-manager'] },
  allow(CREATE, CORE, 'secrets', 'serviceaccounts'),
  allow(['delete'], CORE, 'secrets'),
  allow(['get'], CORE, 'configmaps', 'namespaces', 'secrets', 'serviceaccounts'),
  allow(['update'], CORE, 'secrets', 'serviceaccounts'),
  allow(CREATE, AUTHENTICATION, 'tokenreviews'),
  allow(CREATE, AUTHORIZATION, 'subjectaccessreviews'),
  allow(['list', 'watch'], '*', '*'),
  allow(CREATE, CORE, 'serviceaccounts/token'),
];

const CERTIFICATES = 'certificates.k8s.io';
const MANAGE = ['create', 'delete', 'get', 'list', 'update', 'watch'];

/** Of the controllers that run here, by the name of their service account in kube-system. */
const CONTROLLERS: Readonly<Record<string, readonly PolicyRule[]>> = {
  'certificate-controller': [
    allow([...READ, 'delete'], CERTIFICATES, 'certificatesigningrequests'),
    allow(['update'], CERTIFICATES, 'certificatesigningrequests/status', 'certificatesigningrequests/approval'),
    { ...allow(['approve', 'sign'], CERTIFICATES, 'signers'), resourceNames: ['kubernetes.io/kube-apiserver-client'] },
    WRITE_EVENTS,
  ],
  'clusterrole-aggregation-controller': [
    allow(['escalate', 'get', 'list', 'patch', 'update', 'watch'], RBAC_GROUP, 'clusterroles'),
  ],
  'daemon-set-controller': [
    allow(READ, ['extensions', 'apps'], 'daemonsets'),
    allow(['update'], ['extensions', 'apps'], 'daemonsets/status', 'daemonsets/finalizers'),
    allow(['list', 'watch'], CORE, 'nodes'),
    allow(['create', 'delete', 'list', 'patch', 'watch'], CORE, 'pods'),
    allow(CREATE, CORE, 'pods/binding'),
    allow([...MANAGE, 'patch'], 'apps', 'controllerrevisions'),
    WRITE_EVENTS,
  ],
  'deployment-controller': [
    allow([...READ, 'update'], ['extensions', 'apps'], 'deployments'),
    allow(['update'], ['extensions', 'apps'], 'deployments/status', 'deployments/finalizers'),
    allow([...MANAGE, 'patch'], ['apps', 'extensions'], 'replicasets'),
    allow([...READ, 'update'], CORE, 'pods'),
    WRITE_EVENTS,
  ],
  'disruption-controller': [
    allow(READ, ['extensions', 'apps'], 'deployments', 'replicasets'),
    allow(READ, 'policy', 'poddisruptionbudgets'),
    allow(READ, 'apps', 'statefulsets'),
    allow(['update'], 'policy', 'poddisruptionbudgets/status'),
    allow(['patch', 'update'], CORE, 'pods/status'),
    allow(['get'], '*', '*/scale'),
    WRITE_EVENTS,
  ],
  'endpoint-controller': [
    allow(READ, CORE, 'pods', 'services'),
    allow(MANAGE, CORE, 'endpoints'),
    allow(CREATE, CORE, 'endpoints/restricted'),
    WRITE_EVENTS,
  ],
  'endpointslice-controller': [
    allow(READ, CORE, 'nodes', 'pods', 'services'),
    allow(['update'], CORE, 'services/finalizers'),
    allow(MANAGE, DISCOVERY, 'endpointslices'),
    WRITE_EVENTS,
  ],
  'endpointslicemirroring-controller': [
    allow(READ, CORE, 'endpoints', 'services'),
    allow(['update'], CORE, 'services/finalizers', 'endpoints/finalizers'),
    allow(MANAGE, DISCOVERY, 'endpointslices'),
    WRITE_EVENTS,
  ],
  'generic-garbage-collector': [allow(['delete', 'get', 'list', 'patch', 'update', 'watch'], '*', '*'), WRITE_EVENTS],
  'job-controller': [
    allow([...READ, 'patch', 'update'], 'batch', 'jobs'),
    allow(['update'], 'batch', 'jobs/status', 'jobs/finalizers'),
    allow(['create', 'delete', 'list', 'patch', 'watch'], CORE, 'pods'),
    WRITE_EVENTS,
  ],
  'namespace-controller': [
    allow(['delete', 'get', 'list', 'watch'], CORE, 'namespaces'),
    allow(['update'], CORE, 'namespaces/finalize', 'namespaces/status'),
    allow(['delete', 'deletecollection', 'get', 'list'], '*', '*'),
  ],
  'node-controller': [
    allow(['delete', 'get', 'list', 'patch', 'update', 'watch'], CORE, 'nodes'),
    allow(['patch', 'update'], CORE, 'nodes/status'),
    allow(['patch', 'update'], CORE, 'pods/status'),
    allow(['delete', 'get', 'list', 'watch'], CORE, 'pods'),
    WRITE_EVENTS,
  ],
  'pod-garbage-collector': [
    allow(['delete', 'list', 'watch'], CORE, 'pods'),
    allow(['get', 'list'], CORE, 'nodes'),
    allow(['patch'], CORE, 'pods/status'),
  ],
  'replicaset-controller': [
    allow([...READ, 'update'], ['extensions', 'apps'], 'replicasets'),
    allow(['update'], ['extensions', 'apps'], 'replicasets/status', 'replicasets/finalizers'),
    allow(['create', 'delete', 'list', 'patch', 'watch'], CORE, 'pods'),
    WRITE_EVENTS,
  ],
  'resourcequota-controller': [
    allow(['list', 'watch'], '*', '*'),
    allow(['update'], CORE, 'resourcequotas/status'),
    WRITE_EVENTS,
  ],
  'root-ca-cert-publisher': [allow(['create', 'update'], CORE, 'configmaps'), WRITE_EVENTS],
  'service-account-controller': [allow(CREATE, CORE, 'serviceaccounts'), WRITE_EVENTS],
  'statefulset-controller': [
    allow(['list', 'watch'], CORE, 'pods'),
    allow(READ, 'apps', 'statefulsets'),
    allow(['update'], 'apps', 'statefulsets/status', 'statefulsets/finalizers'),
    allow(['create', 'delete', 'get', 'patch', 'update'], CORE, 'pods'),
    allow([...MANAGE, 'patch'], 'apps', 'controllerrevisions'),
    WRITE_EVENTS,
  ],
};

const CONTROLLER_PREFIX = 'system:controller:';

export const CLUSTER_ROLES: readonly ClusterRole[] = [
  role('cluster-admin', [allow(['*'], '*', '*'), { nonResourceURLs: ['*'], verbs: ['*'] }]),
  aggregated('admin'),
  aggregated('edit', 'admin'),
  aggregated('view', 'edit'),
  role('system:aggregate-to-admin', ADMIN, 'admin'),
  role('system:aggregate-to-edit', EDIT, 'edit'),
  role('system:aggregate-to-view', VIEW, 'view'),
  role('system:discovery', [
    paths('/api', '/api/*', '/apis', '/apis/*', ...HEALTH, '/openapi', '/openapi/*', ...VERSION),
  ]),
  role('system:basic-user', [
    allow(CREATE, AUTHORIZATION, 'selfsubjectaccessreviews', 'selfsubjectrulesreviews'),
    allow(CREATE, AUTHENTICATION, 'selfsubjectreviews'),
  ]),
  role('system:public-info-viewer', [paths(...HEALTH, ...VERSION)]),
  role('system:monitoring', [paths(...HEALTH.flatMap((path) => [path, `${path}/*`]), '/metrics', '/metrics/slis')]),
  role('system:service-account-issuer-discovery', [paths('/.well-known/openid-configuration', '/openid/v1/jwks')]),
  role('system:auth-delegator', [
    allow(CREATE, AUTHENTICATION, 'tokenreviews'),
    allow(CREATE, AUTHORIZATION, 'subjectaccessreviews'),
  ]),
  role('system:certificates.k8s.io:kube-apiserver-client-approver', [
    { ...allow(['approve'], CERTIFICATES, 'signers'), resourceNames: ['kubernetes.io/kube-apiserver-client'] },
  ]),
  role('system:kubelet-api-admin', [
    allow(READ, CORE, 'nodes'),
    allow(['proxy'], CORE, 'nodes'),
    allow(['*'], CORE, 'nodes/log', 'nodes/metrics', 'nodes/proxy', 'nodes/stats'),
  ]),
  role('system:node', NODE),
  role('system:node-proxier', [
    allow(['list', 'watch'], CORE, 'endpoints', 'services'),
    allow(READ, CORE, 'nodes'),
    WRITE_EVENTS,
    allow(['list', 'watch'], DISCOVERY, 'endpointslices'),
  ]),
  role('system:kube-scheduler', SCHEDULER),
  role('system:kube-controller-manager', CONTROLLER_MANAGER),
  role('system:kube-dns', [allow(['list', 'watch'], CORE, 'endpoints', 'services')]),
  // kubeadm's, for CoreDNS: no default of the API server.
  role('system:coredns', [
    allow(['list', 'watch'], CORE, 'endpoints', 'services', 'pods', 'namespaces'),
    allow(['list', 'watch'], DISCOVERY, 'endpointslices'),
  ]),
  ...Object.entries(CONTROLLERS).map(([name, rules]) => role(CONTROLLER_PREFIX + name, rules)),
];

export const CLUSTER_ROLE_BINDINGS: readonly ClusterRoleBinding[] = [
  binding('cluster-admin', group(MASTERS)),
  binding('system:discovery', group(AUTHENTICATED)),
  binding('system:basic-user', group(AUTHENTICATED)),
  binding('system:public-info-viewer', group(AUTHENTICATED), group('system:unauthenticated')),
  binding('system:monitoring', group('system:monitoring')),
  binding('system:service-account-issuer-discovery', group('system:serviceaccounts')),
  binding('system:node'),
  binding('system:node-proxier', user('system:kube-proxy')),
  binding('system:kube-scheduler', user('system:kube-scheduler')),
  binding('system:kube-controller-manager', user('system:kube-controller-manager')),
  binding('system:kube-dns', account('kube-dns')),
  binding('system:coredns', account('coredns')),
  ...Object.keys(CONTROLLERS).map((name) => binding(CONTROLLER_PREFIX + name, account(name))),
];

/** `to`: the aggregated role that takes the rules in. */
function role(name: string, rules: readonly PolicyRule[], to?: string): ClusterRole {
  return {
    apiVersion: `${RBAC_GROUP}/v1`,
    kind: 'ClusterRole',
    metadata: {
      name,
      labels: { 'kubernetes.io/bootstrapping': 'rbac-defaults', ...(to ? { [AGGREGATE + to]: 'true' } : {}) },
      annotations: { 'rbac.authorization.kubernetes.io/autoupdate': 'true' },
    },
    rules: [...rules],
  };
}

/** A role made of all that carry its label. */
function aggregated(name: string, to?: string): ClusterRole {
  const aggregationRule = { clusterRoleSelectors: [{ matchLabels: { [AGGREGATE + name]: 'true' } }] };
  return { ...role(name, [], to), aggregationRule, rules: null };
}

function binding(name: string, ...subjects: Subject[]): ClusterRoleBinding {
  const { apiVersion, metadata } = role(name, []);
  const roleRef = { apiGroup: RBAC_GROUP, kind: 'ClusterRole', name };
  return { apiVersion, kind: 'ClusterRoleBinding', metadata, roleRef, ...(subjects.length > 0 ? { subjects } : {}) };
}

function group(name: string): Subject {
  return { kind: 'Group', apiGroup: RBAC_GROUP, name };
}

function user(name: string): Subject {
  return { kind: 'User', apiGroup: RBAC_GROUP, name };
}

function account(name: string): Subject {
  return { kind: 'ServiceAccount', name, namespace: 'kube-system' };
}
