// Schema of containers: k8s.io/api/core/v1.
import {
  atomic,
  bool,
  defaulted,
  int32,
  int64,
  intOrString,
  keyed,
  list,
  map,
  quantity,
  string,
  struct,
} from './schema.ts';

const PORT = struct('ContainerPort', {
  name: string,
  hostPort: int32,
  containerPort: int32,
  protocol: defaulted(string, 'TCP'),
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

const KEY_SELECTOR = { key: string, name: string, optional: bool };

export const FIELD_REF = atomic(struct('ObjectFieldSelector', { apiVersion: string, fieldPath: string }));
export const RESOURCE_FIELD_REF = atomic(
  struct('ResourceFieldSelector', { containerName: string, resource: string, divisor: quantity }),
);

const ENV = struct('EnvVar', {
  name: string,
  value: string,
  valueFrom: struct('EnvVarSource', {
    fieldRef: FIELD_REF,
    resourceFieldRef: RESOURCE_FIELD_REF,
    configMapKeyRef: atomic(struct('ConfigMapKeySelector', KEY_SELECTOR)),
    secretKeyRef: atomic(struct('SecretKeySelector', KEY_SELECTOR)),
    fileKeyRef: atomic(struct('FileKeySelector', { volumeName: string, path: string, key: string, optional: bool })),
  }),
});

const SOURCE = { name: string, optional: bool };

export const RESOURCES = struct('ResourceRequirements', {
  limits: map(quantity),
  requests: map(quantity),
  claims: keyed(struct('ResourceClaim', { name: string, request: string }), ['name']),
});

export const SE_LINUX_OPTIONS = struct('SELinuxOptions', { user: string, role: string, type: string, level: string });
export const WINDOWS_OPTIONS = struct('WindowsSecurityContextOptions', {
  gmsaCredentialSpecName: string,
  gmsaCredentialSpec: string,
  runAsUserName: string,
  hostProcess: bool,
});
export const SECCOMP_PROFILE = struct('SeccompProfile', { type: string, localhostProfile: string });
export const APP_ARMOR_PROFILE = struct('AppArmorProfile', { type: string, localhostProfile: string });

const SECURITY_CONTEXT = struct('SecurityContext', {
  capabilities: struct('Capabilities', { add: list(string), drop: list(string) }),
  privileged: bool,
  seLinuxOptions: SE_LINUX_OPTIONS,
  windowsOptions: WINDOWS_OPTIONS,
  runAsUser: int64,
  runAsGroup: int64,
  runAsNonRoot: bool,
  readOnlyRootFilesystem: bool,
  allowPrivilegeEscalation: bool,
  procMount: string,
  seccompProfile: SECCOMP_PROFILE,
  appArmorProfile: APP_ARMOR_PROFILE,
});

const CONTAINER_FIELDS = {
  name: string,
  image: string,
  command: list(string),
  args: list(string),
  workingDir: string,
  ports: list(PORT, 'containerPort', ['containerPort', 'protocol']),
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
  restartPolicyRules: list(
    struct('ContainerRestartRule', {
      action: string,
      exitCodes: struct('ContainerRestartRuleOnExitCodes', { operator: string, values: list(int32, 'set') }),
    }),
  ),
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
  securityContext: SECURITY_CONTEXT,
  stdin: bool,
  stdinOnce: bool,
  tty: bool,
};

export const CONTAINER = struct('Container', CONTAINER_FIELDS);
export const EPHEMERAL_CONTAINER = struct('EphemeralContainer', { ...CONTAINER_FIELDS, targetContainerName: string });
