// The environment of a container: the image's variables, those of Services, then what envFrom and env of the Pod say. After
// makeEnvironmentVariables in pkg/kubelet/kubelet_pods.go (1.32) and pkg/fieldpath. Pure; what it looks at in ConfigMaps and
// Secrets is read before (environment-sources.ts).
import type { Container, EnvVar, Pod } from '../../api/core-v1.ts';
import { parseQuantity } from '../../api/quantity.ts';

export const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

export interface EnvironmentFacts {
  readonly hostname: string;
  readonly podIP: string;
  readonly hostIP: string;
  /** Of the Node: what a container without a limit may take. */
  readonly allocatable: Readonly<Record<string, string>>;
}

/** Keys and values of what a container refers to; absent names are not there. */
export interface EnvironmentSources {
  readonly configMaps: ReadonlyMap<string, Readonly<Record<string, string>>>;
  readonly secrets: ReadonlyMap<string, Readonly<Record<string, string>>>;
}

/** Why a container cannot be created: CreateContainerConfigError. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

/** Throws ConfigError. `links`: the variables of Services. */
export function containerEnvironment(
  pod: Pod,
  container: Container,
  imageEnv: Readonly<Record<string, string>>,
  links: Readonly<Record<string, string>>,
  facts: EnvironmentFacts,
  sources: EnvironmentSources,
): Record<string, string> {
  const env: Record<string, string> = {
    PATH: DEFAULT_PATH,
    HOME: '/root',
    HOSTNAME: facts.hostname,
    ...(container.tty ? { TERM: 'xterm' } : {}),
    ...imageEnv,
    ...links,
  };
  for (const { prefix = '', configMapRef, secretRef } of container.envFrom ?? []) {
    const kind = configMapRef ? 'configmap' : 'secret';
    const { name = '', optional = false } = configMapRef ?? secretRef ?? {};
    const data = (configMapRef ? sources.configMaps : sources.secrets).get(name);
    if (!data && !optional) throw new ConfigError(`${kind} "${name}" not found`);
    for (const [key, value] of Object.entries(data ?? {})) env[prefix + key] = value;
  }
  for (const variable of container.env ?? []) {
    const value = envValue(variable, pod, container, env, facts, sources);
    if (value !== undefined) env[variable.name] = value;
  }
  return env;
}

/** `$(NAME)` in values, command and args; `$$` is a dollar sign; unknown names stay as they are. */
export function expand(text: string, env: Readonly<Record<string, string>>): string {
  return text.replace(/\$\$|\$\(([^)]+)\)/g, (whole, name: string | undefined) => {
    if (name === undefined) return '$';
    return env[name] ?? whole;
  });
}

/** undefined: an optional one that is not there. */
function envValue(
  { value, valueFrom }: EnvVar,
  pod: Pod,
  container: Container,
  env: Readonly<Record<string, string>>,
  facts: EnvironmentFacts,
  sources: EnvironmentSources,
): string | undefined {
  if (!valueFrom) return expand(value ?? '', env);
  const { fieldRef, resourceFieldRef, configMapKeyRef, secretKeyRef } = valueFrom;
  if (fieldRef) return fieldValue(pod, fieldRef.fieldPath, facts);
  if (resourceFieldRef) {
    const { containerName, resource, divisor } = resourceFieldRef;
    const all = [...pod.spec.containers, ...(pod.spec.initContainers ?? [])];
    const of = containerName ? all.find((c) => c.name === containerName) : container;
    if (!of) throw new ConfigError(`container ${containerName} not found`);
    return resourceValue(of, resource, divisor, facts.allocatable);
  }
  const reference = configMapKeyRef ?? secretKeyRef;
  if (!reference) return '';
  const { name = '', key, optional = false } = reference;
  const data = (configMapKeyRef ? sources.configMaps : sources.secrets).get(name);
  if (data && Object.hasOwn(data, key)) return data[key];
  if (optional) return undefined;
  const [small, large] = configMapKeyRef ? ['configmap', 'ConfigMap'] : ['secret', 'Secret'];
  if (!data) throw new ConfigError(`${small} "${name}" not found`);
  throw new ConfigError(`couldn't find key ${key} in ${large} ${pod.metadata.namespace}/${name}`);
}

function fieldValue(pod: Pod, path: string, facts: EnvironmentFacts): string {
  const keyed = /^metadata\.(labels|annotations)\['(.+)'\]$/.exec(path);
  if (keyed) return pod.metadata[keyed[1] as 'labels' | 'annotations']?.[keyed[2]!] ?? '';
  switch (path) {
    case 'metadata.name':
      return pod.metadata.name ?? '';
    case 'metadata.namespace':
      return pod.metadata.namespace ?? '';
    case 'metadata.uid':
      return pod.metadata.uid ?? '';
    case 'spec.nodeName':
      return pod.spec.nodeName ?? '';
    case 'spec.serviceAccountName':
      return pod.spec.serviceAccountName ?? '';
    case 'status.podIP':
    case 'status.podIPs':
      return facts.podIP;
    case 'status.hostIP':
    case 'status.hostIPs':
      return facts.hostIP;
    default:
      return '';
  }
}

/** `limits.cpu` and its like, in units of the divisor, rounded up. */
function resourceValue(
  { resources }: Container,
  resource: string,
  divisor: string | undefined,
  allocatable: Readonly<Record<string, string>>,
): string {
  const [list = '', name = ''] = resource.split('.');
  const asked = list === 'limits' || list === 'requests' ? resources?.[list]?.[name] : undefined;
  const quantity = asked ?? (list === 'limits' ? allocatable[name] : undefined) ?? '0';
  const unit = parseQuantity(divisor ?? '1') || 1;
  // A thousandth of a core is the smallest there is; this keeps 0.1 / 0.001 at 100.
  return String(Math.ceil(Number((parseQuantity(quantity) / unit).toFixed(6))));
}
