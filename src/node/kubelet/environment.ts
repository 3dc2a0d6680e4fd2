// The environment of a container: what the image and the Pod set, then what every Pod gets. After kubelet_pods.go's
// makeEnvironmentVariables; service links for other Services are left out (Deviation: only KUBERNETES_* are set).
import type { Container, Pod } from '../../api/core-v1.ts';

export const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

export interface EnvironmentFacts {
  readonly hostname: string;
  readonly podIP: string;
  readonly hostIP: string;
  /** ClusterIP of default/kubernetes. */
  readonly apiServiceIP: string;
}

export function containerEnvironment(
  pod: Pod,
  container: Container,
  imageEnv: Readonly<Record<string, string>>,
  facts: EnvironmentFacts,
): Record<string, string> {
  const env: Record<string, string> = {
    PATH: DEFAULT_PATH,
    HOME: '/root',
    HOSTNAME: facts.hostname,
    KUBERNETES_SERVICE_HOST: facts.apiServiceIP,
    KUBERNETES_SERVICE_PORT: '443',
    KUBERNETES_SERVICE_PORT_HTTPS: '443',
    KUBERNETES_PORT: `tcp://${facts.apiServiceIP}:443`,
    ...(container.tty ? { TERM: 'xterm' } : {}),
    ...imageEnv,
  };
  for (const { name, value, valueFrom } of container.env ?? []) {
    env[name] = valueFrom?.fieldRef ? fieldValue(pod, valueFrom.fieldRef.fieldPath, facts) : expand(value ?? '', env);
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
