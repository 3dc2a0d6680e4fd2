// Schema of Pods and Pod templates: k8s.io/api/core/v1.
import {
  APP_ARMOR_PROFILE,
  CONTAINER,
  EPHEMERAL_CONTAINER,
  RESOURCES,
  SE_LINUX_OPTIONS,
  SECCOMP_PROFILE,
  WINDOWS_OPTIONS,
} from './container.ts';
import { conditions, LOCAL_OBJECT_REFERENCE, OBJECT_META, object } from './meta.ts';
import { AFFINITY, SPREAD_CONSTRAINTS, TOLERATIONS } from './scheduling.ts';
import { any, atomic, bool, int32, int64, list, map, quantity, string, struct, time } from './schema.ts';
import { VOLUME } from './volume.ts';

const POD_SECURITY_CONTEXT = struct('PodSecurityContext', {
  seLinuxOptions: SE_LINUX_OPTIONS,
  windowsOptions: WINDOWS_OPTIONS,
  runAsUser: int64,
  runAsGroup: int64,
  runAsNonRoot: bool,
  supplementalGroups: list(int64),
  supplementalGroupsPolicy: string,
  fsGroup: int64,
  sysctls: list(struct('Sysctl', { name: string, value: string })),
  fsGroupChangePolicy: string,
  seccompProfile: SECCOMP_PROFILE,
  appArmorProfile: APP_ARMOR_PROFILE,
  seLinuxChangePolicy: string,
});

const POD_SPEC = struct('PodSpec', {
  volumes: list(VOLUME, 'name'),
  initContainers: list(CONTAINER, 'name'),
  containers: list(CONTAINER, 'name'),
  ephemeralContainers: list(EPHEMERAL_CONTAINER, 'name'),
  restartPolicy: string,
  terminationGracePeriodSeconds: int64,
  activeDeadlineSeconds: int64,
  dnsPolicy: string,
  nodeSelector: atomic(map(string)),
  serviceAccountName: string,
  serviceAccount: string,
  automountServiceAccountToken: bool,
  nodeName: string,
  hostNetwork: bool,
  hostPID: bool,
  hostIPC: bool,
  hostUsers: bool,
  hostnameOverride: string,
  shareProcessNamespace: bool,
  securityContext: POD_SECURITY_CONTEXT,
  imagePullSecrets: list(LOCAL_OBJECT_REFERENCE, 'name'),
  hostname: string,
  subdomain: string,
  affinity: AFFINITY,
  schedulerName: string,
  tolerations: TOLERATIONS,
  hostAliases: list(struct('HostAlias', { ip: string, hostnames: list(string) }), 'ip'),
  priorityClassName: string,
  priority: int32,
  dnsConfig: struct('PodDNSConfig', {
    nameservers: list(string),
    searches: list(string),
    options: list(struct('PodDNSConfigOption', { name: string, value: string })),
  }),
  readinessGates: list(struct('PodReadinessGate', { conditionType: string })),
  runtimeClassName: string,
  enableServiceLinks: bool,
  preemptionPolicy: string,
  overhead: map(quantity),
  topologySpreadConstraints: SPREAD_CONSTRAINTS,
  setHostnameAsFQDN: bool,
  os: struct('PodOS', { name: string }),
  schedulingGates: list(struct('PodSchedulingGate', { name: string }), 'name'),
  resourceClaims: list(
    struct('PodResourceClaim', { name: string, resourceClaimName: string, resourceClaimTemplateName: string }),
    'name',
  ),
  resources: RESOURCES,
  workloadRef: any,
});

export const POD_TEMPLATE = struct('PodTemplateSpec', { metadata: OBJECT_META, spec: POD_SPEC });

const STATE = struct('ContainerState', {
  waiting: struct('ContainerStateWaiting', { reason: string, message: string }),
  running: struct('ContainerStateRunning', { startedAt: time }),
  terminated: struct('ContainerStateTerminated', {
    exitCode: int32,
    signal: int32,
    reason: string,
    message: string,
    startedAt: time,
    finishedAt: time,
    containerID: string,
  }),
});

const CONTAINER_STATUSES = list(
  struct('ContainerStatus', {
    name: string,
    state: STATE,
    lastState: STATE,
    ready: bool,
    restartCount: int32,
    image: string,
    imageID: string,
    containerID: string,
    started: bool,
    allocatedResources: map(quantity),
    resources: RESOURCES,
    volumeMounts: list(
      struct('VolumeMountStatus', { name: string, mountPath: string, readOnly: bool, recursiveReadOnly: string }),
      'mountPath',
    ),
    user: struct('ContainerUser', { linux: any }),
    allocatedResourcesStatus: list(struct('ResourceStatus', { name: string, resources: list(any) }), 'name'),
    stopSignal: string,
  }),
);

export const POD = object('Pod', {
  spec: POD_SPEC,
  status: struct('PodStatus', {
    observedGeneration: int64,
    phase: string,
    conditions: conditions('PodCondition', { lastProbeTime: time, observedGeneration: int64 }),
    message: string,
    reason: string,
    nominatedNodeName: string,
    hostIP: string,
    hostIPs: list(struct('HostIP', { ip: string }), 'ip', []),
    podIP: string,
    podIPs: list(struct('PodIP', { ip: string }), 'ip'),
    startTime: time,
    initContainerStatuses: CONTAINER_STATUSES,
    containerStatuses: CONTAINER_STATUSES,
    ephemeralContainerStatuses: CONTAINER_STATUSES,
    qosClass: string,
    resize: string,
    resourceClaimStatuses: list(struct('PodResourceClaimStatus', { name: string, resourceClaimName: string }), 'name'),
    extendedResourceClaimStatus: any,
    allocatedResources: map(quantity),
    resources: RESOURCES,
  }),
});
