// Schema of Pods and Pod templates: k8s.io/api/core/v1. Parts that the emulated cluster carries without reading them are `any`.
import { CONDITIONS, OBJECT_META, object } from './meta.ts';
import { any, bool, int32, int64, intOrString, list, map, quantity, string, struct, time } from './schema.ts';

const PORT = struct('ContainerPort', {
  name: string,
  hostPort: int32,
  containerPort: int32,
  protocol: string,
  hostIP: string,
});

const EXEC = struct('ExecAction', { command: list(string) });
const HTTP_GET = struct('HTTPGetAction', {
  path: string,
  port: intOrString,
  host: string,
  scheme: string,
  httpHeaders: list(struct('HTTPHeader', { name: string, value: string })),
});
const TCP_SOCKET = struct('TCPSocketAction', { port: intOrString, host: string });

const PROBE = struct('Probe', {
  exec: EXEC,
  httpGet: HTTP_GET,
  tcpSocket: TCP_SOCKET,
  grpc: struct('GRPCAction', { port: int32, service: string }),
  initialDelaySeconds: int32,
  timeoutSeconds: int32,
  periodSeconds: int32,
  successThreshold: int32,
  failureThreshold: int32,
  terminationGracePeriodSeconds: int64,
});

const LIFECYCLE_HANDLER = struct('LifecycleHandler', {
  exec: EXEC,
  httpGet: HTTP_GET,
  tcpSocket: TCP_SOCKET,
  sleep: struct('SleepAction', { seconds: int64 }),
});

const KEY_SELECTOR = { name: string, key: string, optional: bool };

const ENV = struct('EnvVar', {
  name: string,
  value: string,
  valueFrom: struct('EnvVarSource', {
    fieldRef: struct('ObjectFieldSelector', { apiVersion: string, fieldPath: string }),
    resourceFieldRef: struct('ResourceFieldSelector', { containerName: string, resource: string, divisor: quantity }),
    configMapKeyRef: struct('ConfigMapKeySelector', KEY_SELECTOR),
    secretKeyRef: struct('SecretKeySelector', KEY_SELECTOR),
    fileKeyRef: any,
  }),
});

const SOURCE = { name: string, optional: bool };

const RESOURCES = struct('ResourceRequirements', {
  limits: map(quantity),
  requests: map(quantity),
  claims: list(any, 'name'),
});

const CONTAINER_FIELDS = {
  name: string,
  image: string,
  command: list(string),
  args: list(string),
  workingDir: string,
  ports: list(PORT, 'containerPort'),
  envFrom: list(
    struct('EnvFromSource', {
      prefix: string,
      configMapRef: struct('ConfigMapEnvSource', SOURCE),
      secretRef: struct('SecretEnvSource', SOURCE),
    }),
  ),
  env: list(ENV, 'name'),
  resources: RESOURCES,
  resizePolicy: list(struct('ContainerResizePolicy', { resourceName: string, restartPolicy: string })),
  restartPolicy: string,
  restartPolicyRules: list(any),
  volumeMounts: list(
    struct('VolumeMount', {
      name: string,
      readOnly: bool,
      recursiveReadOnly: string,
      mountPath: string,
      subPath: string,
      mountPropagation: string,
      subPathExpr: string,
    }),
    'mountPath',
  ),
  volumeDevices: list(struct('VolumeDevice', { name: string, devicePath: string }), 'devicePath'),
  livenessProbe: PROBE,
  readinessProbe: PROBE,
  startupProbe: PROBE,
  lifecycle: struct('Lifecycle', { postStart: LIFECYCLE_HANDLER, preStop: LIFECYCLE_HANDLER, stopSignal: string }),
  terminationMessagePath: string,
  terminationMessagePolicy: string,
  imagePullPolicy: string,
  securityContext: any,
  stdin: bool,
  stdinOnce: bool,
  tty: bool,
};

const CONTAINER = struct('Container', CONTAINER_FIELDS);
const EPHEMERAL_CONTAINER = struct('EphemeralContainer', { ...CONTAINER_FIELDS, targetContainerName: string });

const ITEMS = list(struct('KeyToPath', { key: string, path: string, mode: int32 }));
const DOWNWARD_ITEMS = list(any);

/** The kinds of volumes; a Volume names one of them. */
export const VOLUME_SOURCES = {
  hostPath: struct('HostPathVolumeSource', { path: string, type: string }),
  emptyDir: struct('EmptyDirVolumeSource', { medium: string, sizeLimit: quantity }),
  configMap: struct('ConfigMapVolumeSource', { name: string, items: ITEMS, defaultMode: int32, optional: bool }),
  secret: struct('SecretVolumeSource', { secretName: string, items: ITEMS, defaultMode: int32, optional: bool }),
  projected: struct('ProjectedVolumeSource', { sources: list(any), defaultMode: int32 }),
  downwardAPI: struct('DownwardAPIVolumeSource', { items: DOWNWARD_ITEMS, defaultMode: int32 }),
  persistentVolumeClaim: struct('PersistentVolumeClaimVolumeSource', { claimName: string, readOnly: bool }),
  ephemeral: any,
  image: any,
  nfs: any,
  csi: any,
  iscsi: any,
  gitRepo: any,
  glusterfs: any,
  rbd: any,
  flexVolume: any,
  cinder: any,
  cephfs: any,
  flocker: any,
  fc: any,
  azureFile: any,
  azureDisk: any,
  vsphereVolume: any,
  quobyte: any,
  photonPersistentDisk: any,
  portworxVolume: any,
  scaleIO: any,
  storageos: any,
  gcePersistentDisk: any,
  awsElasticBlockStore: any,
} as const;

const POD_SPEC = struct('PodSpec', {
  volumes: list(struct('Volume', { name: string, ...VOLUME_SOURCES }), 'name'),
  initContainers: list(CONTAINER, 'name'),
  containers: list(CONTAINER, 'name'),
  ephemeralContainers: list(EPHEMERAL_CONTAINER, 'name'),
  restartPolicy: string,
  terminationGracePeriodSeconds: int64,
  activeDeadlineSeconds: int64,
  dnsPolicy: string,
  nodeSelector: map(string),
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
  securityContext: any,
  imagePullSecrets: list(struct('LocalObjectReference', { name: string }), 'name'),
  hostname: string,
  subdomain: string,
  affinity: any,
  schedulerName: string,
  tolerations: list(
    struct('Toleration', { key: string, operator: string, value: string, effect: string, tolerationSeconds: int64 }),
  ),
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
  topologySpreadConstraints: list(any, 'topologyKey'),
  setHostnameAsFQDN: bool,
  os: struct('PodOS', { name: string }),
  schedulingGates: list(struct('PodSchedulingGate', { name: string }), 'name'),
  resourceClaims: list(any, 'name'),
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
    volumeMounts: list(any, 'mountPath'),
    user: any,
    allocatedResourcesStatus: list(any, 'name'),
    stopSignal: string,
  }),
);

export const POD = object('Pod', {
  spec: POD_SPEC,
  status: struct('PodStatus', {
    observedGeneration: int64,
    phase: string,
    conditions: CONDITIONS,
    message: string,
    reason: string,
    nominatedNodeName: string,
    hostIP: string,
    hostIPs: list(struct('HostIP', { ip: string }), 'ip'),
    podIP: string,
    podIPs: list(struct('PodIP', { ip: string }), 'ip'),
    startTime: time,
    initContainerStatuses: CONTAINER_STATUSES,
    containerStatuses: CONTAINER_STATUSES,
    ephemeralContainerStatuses: CONTAINER_STATUSES,
    qosClass: string,
    resize: string,
    resourceClaimStatuses: list(any, 'name'),
    extendedResourceClaimStatus: any,
    allocatedResources: map(quantity),
    resources: RESOURCES,
  }),
});
