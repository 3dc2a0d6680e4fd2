// The schema of every kind that is served, but Pods: k8s.io/api core/v1, apps/v1, discovery/v1, node/v1.
import type { ResourceType } from '../meta.ts';
import { CERTIFICATESIGNINGREQUEST } from './certificates.ts';
import { LEASE } from './coordination.ts';
import { LIMIT_KINDS } from './limits.ts';
import { CONDITIONS, conditions, LABEL_SELECTOR, LOCAL_OBJECT_REFERENCE, OBJECT_REFERENCE, object } from './meta.ts';
import { POD, POD_TEMPLATE } from './pod.ts';
import { RBAC_KINDS } from './rbac.ts';
import { REVIEW_KINDS } from './reviews.ts';
import {
  any,
  atomic,
  bool,
  bytes,
  defaulted,
  int32,
  int64,
  intOrString,
  list,
  map,
  quantity,
  type Schema,
  type Struct,
  string,
  struct,
  time,
} from './schema.ts';
import { SUBRESOURCE_KINDS } from './subresources.ts';
import { WORKLOADS } from './workloads.ts';

const NAMESPACE = object('Namespace', {
  spec: struct('NamespaceSpec', { finalizers: list(string) }),
  status: struct('NamespaceStatus', { phase: string, conditions: conditions('NamespaceCondition') }),
});

const NODE = object('Node', {
  spec: struct('NodeSpec', {
    podCIDR: string,
    podCIDRs: list(string, 'set'),
    providerID: string,
    unschedulable: bool,
    taints: list(struct('Taint', { key: string, value: string, effect: string, timeAdded: time })),
    configSource: any,
    externalID: string,
  }),
  status: struct('NodeStatus', {
    capacity: map(quantity),
    allocatable: map(quantity),
    phase: string,
    conditions: conditions('NodeCondition', { lastHeartbeatTime: time }),
    addresses: list(struct('NodeAddress', { type: string, address: string }), 'type'),
    daemonEndpoints: struct('NodeDaemonEndpoints', { kubeletEndpoint: struct('DaemonEndpoint', { Port: int32 }) }),
    nodeInfo: map(any),
    images: list(any),
    volumesInUse: list(string),
    volumesAttached: list(any),
    config: any,
    runtimeHandlers: list(any),
    features: any,
    declaredFeatures: list(string),
  }),
});

const SERVICE = object('Service', {
  spec: struct('ServiceSpec', {
    ports: list(
      struct('ServicePort', {
        name: string,
        protocol: defaulted(string, 'TCP'),
        appProtocol: string,
        port: int32,
        targetPort: intOrString,
        nodePort: int32,
      }),
      'port',
      ['port', 'protocol'],
    ),
    selector: atomic(map(string)),
    clusterIP: string,
    clusterIPs: list(string),
    type: string,
    externalIPs: list(string),
    sessionAffinity: string,
    loadBalancerIP: string,
    loadBalancerSourceRanges: list(string),
    externalName: string,
    externalTrafficPolicy: string,
    healthCheckNodePort: int32,
    publishNotReadyAddresses: bool,
    sessionAffinityConfig: struct('SessionAffinityConfig', {
      clientIP: struct('ClientIPConfig', { timeoutSeconds: int32 }),
    }),
    ipFamilies: list(string),
    ipFamilyPolicy: string,
    allocateLoadBalancerNodePorts: bool,
    loadBalancerClass: string,
    internalTrafficPolicy: string,
    trafficDistribution: string,
  }),
  status: struct('ServiceStatus', {
    loadBalancer: struct('LoadBalancerStatus', {
      ingress: list(struct('LoadBalancerIngress', { ip: string, hostname: string, ipMode: string, ports: list(any) })),
    }),
    conditions: CONDITIONS,
  }),
});

const ENDPOINT_ADDRESSES = list(
  struct('EndpointAddress', { ip: string, hostname: string, nodeName: string, targetRef: OBJECT_REFERENCE }),
);

const ENDPOINTS = object('Endpoints', {
  subsets: list(
    struct('EndpointSubset', {
      addresses: ENDPOINT_ADDRESSES,
      notReadyAddresses: ENDPOINT_ADDRESSES,
      ports: list(struct('EndpointPort', { name: string, port: int32, protocol: string, appProtocol: string })),
    }),
  ),
});

const ENDPOINTSLICE = object('EndpointSlice', {
  addressType: string,
  endpoints: list(
    struct('Endpoint', {
      addresses: list(string),
      conditions: struct('EndpointConditions', { ready: bool, serving: bool, terminating: bool }),
      hostname: string,
      targetRef: OBJECT_REFERENCE,
      deprecatedTopology: map(string),
      nodeName: string,
      zone: string,
      hints: struct('EndpointHints', {
        forZones: list(struct('ForZone', { name: string })),
        forNodes: list(struct('ForNode', { name: string })),
      }),
    }),
  ),
  ports: list(struct('EndpointPort', { name: string, protocol: string, port: int32, appProtocol: string })),
});

const CONFIGMAP = object('ConfigMap', { immutable: bool, data: map(string), binaryData: map(bytes) });

const SECRET = object('Secret', { immutable: bool, data: map(bytes), stringData: map(string), type: string });

const SERVICEACCOUNT = object('ServiceAccount', {
  secrets: list(OBJECT_REFERENCE, 'name'),
  imagePullSecrets: list(LOCAL_OBJECT_REFERENCE, 'name'),
  automountServiceAccountToken: bool,
});

const EVENT = object('Event', {
  involvedObject: OBJECT_REFERENCE,
  reason: string,
  message: string,
  source: struct('EventSource', { component: string, host: string }),
  firstTimestamp: time,
  lastTimestamp: time,
  count: int32,
  type: string,
  eventTime: time,
  series: struct('EventSeries', { count: int32, lastObservedTime: time }),
  action: string,
  related: OBJECT_REFERENCE,
  reportingComponent: string,
  reportingInstance: string,
});

const DEPLOYMENT = object('Deployment', {
  spec: struct('DeploymentSpec', {
    replicas: int32,
    selector: LABEL_SELECTOR,
    template: POD_TEMPLATE,
    strategy: struct('DeploymentStrategy', {
      type: string,
      rollingUpdate: struct('RollingUpdateDeployment', { maxUnavailable: intOrString, maxSurge: intOrString }),
    }),
    minReadySeconds: int32,
    revisionHistoryLimit: int32,
    paused: bool,
    progressDeadlineSeconds: int32,
  }),
  status: struct('DeploymentStatus', {
    observedGeneration: int64,
    replicas: int32,
    updatedReplicas: int32,
    readyReplicas: int32,
    availableReplicas: int32,
    unavailableReplicas: int32,
    terminatingReplicas: int32,
    conditions: conditions('DeploymentCondition', { lastUpdateTime: time }),
    collisionCount: int32,
  }),
});

const REPLICASET = object('ReplicaSet', {
  spec: struct('ReplicaSetSpec', {
    replicas: int32,
    minReadySeconds: int32,
    selector: LABEL_SELECTOR,
    template: POD_TEMPLATE,
  }),
  status: struct('ReplicaSetStatus', {
    replicas: int32,
    fullyLabeledReplicas: int32,
    readyReplicas: int32,
    availableReplicas: int32,
    terminatingReplicas: int32,
    observedGeneration: int64,
    conditions: conditions('ReplicaSetCondition'),
  }),
});

const RUNTIMECLASS = object('RuntimeClass', {
  handler: string,
  overhead: struct('Overhead', { podFixed: map(quantity) }),
  scheduling: any,
});

const KINDS: readonly Struct[] = [
  NAMESPACE,
  NODE,
  POD,
  SERVICE,
  ENDPOINTS,
  CONFIGMAP,
  SECRET,
  SERVICEACCOUNT,
  EVENT,
  DEPLOYMENT,
  REPLICASET,
  ENDPOINTSLICE,
  RUNTIMECLASS,
  ...WORKLOADS,
  LEASE,
  CERTIFICATESIGNINGREQUEST,
  ...LIMIT_KINDS,
  ...RBAC_KINDS,
  ...REVIEW_KINDS,
  ...SUBRESOURCE_KINDS,
];

const BY_NAME = new Map(KINDS.map((kind) => [kind.name, kind]));

/** Absent for kinds without a schema: anything goes. */
export function schemaOf(type: ResourceType): Struct | undefined {
  return BY_NAME.get(type.kind);
}

export function schemaOfKind(kind: string): Struct | undefined {
  return BY_NAME.get(kind);
}

/** The schema of a member of `schema`; absent when it is not known. */
export function memberSchema(schema: Schema | undefined, name: string): Schema | undefined {
  if (schema?.kind === 'map') return schema.values;
  return schema?.kind === 'struct' && Object.hasOwn(schema.fields, name) ? schema.fields[name] : undefined;
}
