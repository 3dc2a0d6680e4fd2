// The variables by which a container learns of Services without asking the DNS: WEB_SERVICE_HOST and those of Docker's old links.
// As they are when it starts: later Services are not in them. Pure. After FromServices in pkg/kubelet/envvars/envvars.go and
// getServiceEnvVarMap in pkg/kubelet/kubelet_pods.go (1.32).
import type { Service } from '../../api/core-v1.ts';

/** Those of `namespace` when the Pod wants links, and always those of default/kubernetes. */
export function serviceLinks(
  services: readonly Service[],
  namespace: string,
  enableServiceLinks: boolean,
): Record<string, string> {
  const linked = new Map<string, Service>();
  for (const service of services) {
    const { name = '', namespace: home } = service.metadata;
    const { clusterIP } = service.spec;
    if (!clusterIP || clusterIP === 'None') continue;
    if (home === namespace && enableServiceLinks) linked.set(name, service);
    else if (home === 'default' && name === 'kubernetes' && !linked.has(name)) linked.set(name, service);
  }
  const env: Record<string, string> = {};
  for (const service of linked.values()) Object.assign(env, variables(service));
  return env;
}

function variables({ metadata, spec }: Service): Record<string, string> {
  const name = variableName(metadata.name ?? '');
  const host = spec.clusterIP!;
  const [first] = spec.ports ?? [];
  const env: Record<string, string> = { [`${name}_SERVICE_HOST`]: host };
  if (!first) return env;
  env[`${name}_SERVICE_PORT`] = String(first.port);
  for (const port of spec.ports ?? []) {
    if (port.name) env[`${name}_SERVICE_PORT_${variableName(port.name)}`] = String(port.port);
  }
  for (const port of spec.ports ?? []) {
    const protocol = port.protocol ?? 'TCP';
    const url = `${protocol.toLowerCase()}://${host}:${port.port}`;
    const prefix = `${name}_PORT_${port.port}_${protocol}`;
    if (port === first) env[`${name}_PORT`] = url;
    env[prefix] = url;
    env[`${prefix}_PROTO`] = protocol.toLowerCase();
    env[`${prefix}_PORT`] = String(port.port);
    env[`${prefix}_ADDR`] = host;
  }
  return env;
}

function variableName(text: string): string {
  return text.toUpperCase().replaceAll('-', '_');
}
