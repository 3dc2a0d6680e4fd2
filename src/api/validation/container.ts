// Rules for one container. After kubernetes/pkg/apis/core/validation/validation.go (validateContainerCommon and its parts).

import type { Container, ContainerPort, EnvVar, Probe } from '../core-v1.ts';
import { at, type FieldErrors } from '../field-errors.ts';
import type { IntOrString } from '../meta.ts';
import { dns1123LabelErrors, portNameErrors } from '../names.ts';
import { parseQuantity } from '../quantity.ts';

export type ContainerRole = 'container' | 'init';

export interface ContainerScope {
  readonly role: ContainerRole;
  readonly path: string;
  readonly volumes: ReadonlySet<string>;
  /** Names seen so far in the Pod; this container's is added. */
  readonly names: Set<string>;
  /** Host ports seen so far in the Pod; this container's are added. */
  readonly hostPorts: Set<string>;
  readonly errors: FieldErrors;
}

const PROTOCOLS = ['SCTP', 'TCP', 'UDP'];
const PULL_POLICIES = ['Always', 'IfNotPresent', 'Never'];
const SCHEMES = ['HTTP', 'HTTPS'];

export function validateContainer(container: Container, scope: ContainerScope): void {
  const { path, errors, names } = scope;
  if (!container.name) errors.required(`${path}.name`);
  else {
    errors.invalidAll(`${path}.name`, container.name, dns1123LabelErrors(container.name));
    if (names.has(container.name)) errors.duplicate(`${path}.name`, container.name);
    names.add(container.name);
  }
  if (!container.image) errors.required(`${path}.image`);
  else if (container.image.trim() !== container.image) {
    errors.invalid(`${path}.image`, container.image, 'must not have leading or trailing whitespace');
  }
  validatePorts(container.ports ?? [], scope);
  validateEnv(container.env ?? [], `${path}.env`, errors);
  validateMounts(container, scope);
  const policy = container.imagePullPolicy;
  if (!policy) errors.required(`${path}.imagePullPolicy`);
  else if (!PULL_POLICIES.includes(policy)) errors.notSupported(`${path}.imagePullPolicy`, policy, PULL_POLICIES);
  validateResources(container, path, errors);
  const restartable = scope.role === 'container' || container.restartPolicy === 'Always';
  for (const kind of ['livenessProbe', 'readinessProbe', 'startupProbe'] as const) {
    const probe = container[kind];
    if (!probe) continue;
    if (!restartable)
      errors.forbidden(`${path}.${kind}`, 'may not be set for init containers without restartPolicy=Always');
    else validateProbe(probe, `${path}.${kind}`, kind, errors);
  }
}

function validatePorts(ports: readonly ContainerPort[], { path, hostPorts, errors }: ContainerScope): void {
  const names = new Set<string>();
  for (const [i, port] of ports.entries()) {
    const p = at(`${path}.ports`, i);
    if (port.name) {
      errors.invalidAll(`${p}.name`, port.name, portNameErrors(port.name));
      if (names.has(port.name)) errors.duplicate(`${p}.name`, port.name);
      names.add(port.name);
    }
    if (!port.containerPort) errors.required(`${p}.containerPort`);
    else errors.invalidAll(`${p}.containerPort`, port.containerPort, portNumberErrors(port.containerPort));
    if (port.hostPort) {
      errors.invalidAll(`${p}.hostPort`, port.hostPort, portNumberErrors(port.hostPort));
      const key = `${port.protocol}/${(port as { hostIP?: string }).hostIP ?? ''}/${port.hostPort}`;
      if (hostPorts.has(key)) errors.duplicate(`${p}.hostPort`, key);
      hostPorts.add(key);
    }
    if (!port.protocol) errors.required(`${p}.protocol`);
    else if (!PROTOCOLS.includes(port.protocol)) errors.notSupported(`${p}.protocol`, port.protocol, PROTOCOLS);
  }
}

function validateEnv(env: readonly EnvVar[], path: string, errors: FieldErrors): void {
  for (const [i, variable] of env.entries()) {
    const p = at(path, i);
    if (!variable.name) errors.required(`${p}.name`);
    else if (!/^[ -<>-~]+$/.test(variable.name)) {
      errors.invalid(
        `${p}.name`,
        variable.name,
        "a valid environment variable name must consist only of printable ASCII characters other than '='",
      );
    }
    if (!variable.valueFrom) continue;
    const sources = Object.keys(variable.valueFrom);
    if (sources.length === 0) {
      errors.invalid(
        `${p}.valueFrom`,
        '',
        'must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`',
      );
    } else if (variable.value) errors.invalid(`${p}.valueFrom`, '', 'may not be specified when `value` is not empty');
    else if (sources.length > 1) {
      errors.invalid(`${p}.valueFrom`, '', 'may not have more than one field specified at a time');
    }
  }
}

function validateMounts(container: Container, { path, volumes, errors }: ContainerScope): void {
  const paths = new Set<string>();
  for (const [i, mount] of (container.volumeMounts ?? []).entries()) {
    const p = at(`${path}.volumeMounts`, i);
    if (!mount.name) errors.required(`${p}.name`);
    else if (!volumes.has(mount.name)) errors.notFound(`${p}.name`, mount.name);
    if (!mount.mountPath) errors.required(`${p}.mountPath`);
    else if (paths.has(mount.mountPath)) errors.invalid(`${p}.mountPath`, mount.mountPath, 'must be unique');
    paths.add(mount.mountPath);
    if (mount.subPath?.startsWith('/')) errors.invalid(`${p}.subPath`, mount.subPath, 'must be a relative path');
    else if (mount.subPath?.split('/').includes('..'))
      errors.invalid(`${p}.subPath`, mount.subPath, "must not contain '..'");
  }
}

function validateResources(container: Container, path: string, errors: FieldErrors): void {
  const { limits = {}, requests = {} } = container.resources ?? {};
  const nonNegative = 'must be greater than or equal to 0';
  for (const [name, value] of Object.entries(limits)) {
    if (parseQuantity(value) < 0) errors.invalid(`${path}.resources.limits[${name}]`, value, nonNegative);
  }
  for (const [name, value] of Object.entries(requests)) {
    if (parseQuantity(value) < 0) errors.invalid(`${path}.resources.requests[${name}]`, value, nonNegative);
    const limit = limits[name];
    if (limit !== undefined && parseQuantity(value) > parseQuantity(limit)) {
      errors.invalid(`${path}.resources.requests`, value, `must be less than or equal to ${name} limit of ${limit}`);
    }
  }
}

function validateProbe(probe: Probe, path: string, kind: string, errors: FieldErrors): void {
  const handlers = (['exec', 'httpGet', 'tcpSocket', 'grpc'] as const).filter((h) => Object.hasOwn(probe, h));
  if (handlers.length === 0) errors.required(path, 'must specify a handler type');
  for (const extra of handlers.slice(1))
    errors.forbidden(`${path}.${extra}`, 'may not specify more than 1 handler type');
  if (probe.exec && !probe.exec.command?.length) errors.required(`${path}.exec.command`);
  if (probe.httpGet) {
    if (!probe.httpGet.path) errors.required(`${path}.httpGet.path`);
    if (!SCHEMES.includes(probe.httpGet.scheme ?? '')) {
      errors.notSupported(`${path}.httpGet.scheme`, probe.httpGet.scheme ?? '', SCHEMES);
    }
    validatePortReference(probe.httpGet.port, `${path}.httpGet.port`, errors);
  }
  if (probe.tcpSocket) validatePortReference(probe.tcpSocket.port, `${path}.tcpSocket.port`, errors);
  const numbers = [
    'initialDelaySeconds',
    'timeoutSeconds',
    'periodSeconds',
    'successThreshold',
    'failureThreshold',
  ] as const;
  for (const field of numbers) {
    const value = probe[field];
    if (value !== undefined && value < 0)
      errors.invalid(`${path}.${field}`, value, 'must be greater than or equal to 0');
  }
  if (kind !== 'readinessProbe' && probe.successThreshold !== 1) {
    errors.invalid(`${path}.successThreshold`, probe.successThreshold ?? 0, 'must be 1');
  }
}

/** A port by number or by the name of a container port. */
export function validatePortReference(port: IntOrString | undefined, path: string, errors: FieldErrors): void {
  if (typeof port === 'string') errors.invalidAll(path, port, portNameErrors(port));
  else errors.invalidAll(path, port ?? 0, portNumberErrors(port ?? 0));
}

export function portNumberErrors(port: number): string[] {
  return port >= 1 && port <= 65_535 ? [] : ['must be between 1 and 65535, inclusive'];
}
