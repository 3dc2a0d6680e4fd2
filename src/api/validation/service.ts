// Rules for Services. After ValidateService and ValidateServiceUpdate in kubernetes/pkg/apis/core/validation/validation.go. One
// address family is served: what dual stack would allow is refused where the families are assigned (registry/services.ts).
import type { Service, ServicePort } from '../core-v1.ts';
import { at, type FieldErrors } from '../field-errors.ts';
import { dns1123LabelErrors, dns1123SubdomainErrors } from '../names.ts';
import { portNumberErrors, validatePortReference } from './container.ts';
import { cidrErrors, ipErrors, isIP, isIPv4, specialIpErrors } from './ip.ts';
import { validateLabels } from './meta.ts';

const TYPES = ['ClusterIP', 'ExternalName', 'LoadBalancer', 'NodePort'];
const PROTOCOLS = ['SCTP', 'TCP', 'UDP'];
const AFFINITIES = ['ClientIP', 'None'];
const POLICIES = ['Cluster', 'Local'];
const FAMILIES = ['IPv4', 'IPv6'];
const FAMILY_POLICIES = ['PreferDualStack', 'RequireDualStack', 'SingleStack'];
const KUBELET_PORT = 10_250;
const MAX_AFFINITY_S = 86_400;

export function validateService(service: Service, errors: FieldErrors): void {
  const { spec } = service;
  const headless = spec.clusterIP === 'None';
  const ports = spec.ports ?? [];
  if (ports.length === 0 && !headless && spec.type !== 'ExternalName') errors.required('spec.ports');
  validateType(service, headless, errors);
  const names = new Set<string>();
  for (const [i, port] of ports.entries()) validatePort(port, ports.length > 1, names, at('spec.ports', i), errors);
  validateLabels(spec.selector, 'spec.selector', errors);
  validateAffinity(service, errors);
  validateClusterIPs(service, errors);
  for (const [i, ip] of (spec.externalIPs ?? []).entries()) {
    const bad = ipErrors(ip);
    errors.invalidAll(at('spec.externalIPs', i), ip, bad.length > 0 ? bad : specialIpErrors(ip));
  }
  if (!spec.type) errors.required('spec.type');
  else if (!TYPES.includes(spec.type)) errors.notSupported('spec.type', spec.type, TYPES);
  validatePortClashes(service, errors);
  for (const [i, range] of (spec.loadBalancerSourceRanges ?? []).entries()) {
    errors.invalidAll(at('spec.loadBalancerSourceRanges', i), range, cidrErrors(range.trim()));
  }
  if (spec.loadBalancerSourceRanges?.length && spec.type !== 'LoadBalancer') {
    errors.forbidden('spec.loadBalancerSourceRanges', "may only be used when `type` is 'LoadBalancer'");
  }
  validateTraffic(service, errors);
}

export function validateServiceUpdate(service: Service, old: Service, errors: FieldErrors): void {
  const [now, before] = [service.spec, old.spec];
  if (before.type !== 'ExternalName' && now.type !== 'ExternalName' && before.clusterIPs?.[0]) {
    const [first] = now.clusterIPs ?? [];
    if (first === undefined)
      errors.invalid('spec.clusterIPs[0]', now.clusterIPs ?? [], 'primary clusterIP can not be unset');
    else if (first !== before.clusterIPs[0]) {
      errors.invalid('spec.clusterIPs[0]', now.clusterIPs, 'may not change once set');
    }
  }
  const [family] = now.ipFamilies ?? [];
  const was = before.ipFamilies?.[0];
  if (before.type !== 'ExternalName' && now.type !== 'ExternalName' && was && family && family !== was) {
    errors.invalid('spec.ipFamilies[0]', now.ipFamilies, 'may not change once set');
  }
  const bothBalanced = before.type === 'LoadBalancer' && now.type === 'LoadBalancer';
  if (bothBalanced && before.loadBalancerClass !== now.loadBalancerClass) {
    errors.invalid('spec.loadBalancerClass', now.loadBalancerClass ?? null, 'may not change once set');
  }
}

export function needsNodePort({ spec }: Service): boolean {
  return spec.type === 'NodePort' || spec.type === 'LoadBalancer';
}

export function needsHealthCheckNodePort({ spec }: Service): boolean {
  return spec.type === 'LoadBalancer' && spec.externalTrafficPolicy === 'Local';
}

export function externallyAccessible(service: Service): boolean {
  const { spec } = service;
  return needsNodePort(service) || (spec.type === 'ClusterIP' && (spec.externalIPs?.length ?? 0) > 0);
}

function validateType({ spec }: Service, headless: boolean, errors: FieldErrors): void {
  switch (spec.type) {
    case 'LoadBalancer':
      for (const [i, port] of (spec.ports ?? []).entries()) {
        if (port.port === KUBELET_PORT) {
          errors.invalid(
            at('spec.ports', i),
            port.port,
            `may not expose port ${KUBELET_PORT} externally since it is used by kubelet`,
          );
        }
      }
      if (headless) errors.invalid('spec.clusterIPs[0]', 'None', "may not be set to 'None' for LoadBalancer services");
      break;
    case 'NodePort':
      if (headless) errors.invalid('spec.clusterIPs[0]', 'None', "may not be set to 'None' for NodePort services");
      break;
    case 'ExternalName': {
      const only = 'may not be set for ExternalName services';
      if (spec.clusterIPs?.length) errors.forbidden('spec.clusterIPs', only);
      if (spec.ipFamilies?.length) errors.forbidden('spec.ipFamilies', only);
      if (spec.ipFamilyPolicy) errors.forbidden('spec.ipFamilyPolicy', only);
      const cname = (spec.externalName ?? '').replace(/\.$/, '');
      if (cname === '') errors.required('spec.externalName');
      else errors.invalidAll('spec.externalName', cname, dns1123SubdomainErrors(cname));
      break;
    }
  }
}

function validatePort(
  port: ServicePort,
  nameNeeded: boolean,
  names: Set<string>,
  path: string,
  errors: FieldErrors,
): void {
  if (nameNeeded && !port.name) errors.required(`${path}.name`);
  else if (port.name) {
    errors.invalidAll(`${path}.name`, port.name, dns1123LabelErrors(port.name));
    if (names.has(port.name)) errors.duplicate(`${path}.name`, port.name);
    names.add(port.name);
  }
  errors.invalidAll(`${path}.port`, port.port ?? 0, portNumberErrors(port.port ?? 0));
  if (!port.protocol) errors.required(`${path}.protocol`);
  else if (!PROTOCOLS.includes(port.protocol)) errors.notSupported(`${path}.protocol`, port.protocol, PROTOCOLS);
  validatePortReference(port.targetPort, `${path}.targetPort`, errors);
}

function validatePortClashes({ spec }: Service, errors: FieldErrors): void {
  const nodePorts = new Set<string>();
  const ports = new Set<string>();
  for (const [i, port] of (spec.ports ?? []).entries()) {
    const path = at('spec.ports', i);
    if (port.nodePort) {
      if (spec.type === 'ClusterIP') errors.forbidden(`${path}.nodePort`, "may not be used when `type` is 'ClusterIP'");
      const key = `${port.protocol}/${port.nodePort}`;
      if (nodePorts.has(key)) errors.duplicate(`${path}.nodePort`, port.nodePort);
      nodePorts.add(key);
    }
    const key = `${port.protocol}/${port.port}`;
    if (ports.has(key)) {
      // The real server shows its internal struct.
      const { protocol, port: number } = port;
      const shown = { Name: '', Protocol: protocol, AppProtocol: null, Port: number, TargetPort: 0, NodePort: 0 };
      errors.duplicate(path, shown);
    }
    ports.add(key);
  }
}

function validateAffinity({ spec }: Service, errors: FieldErrors): void {
  const { sessionAffinity, sessionAffinityConfig } = spec;
  if (!sessionAffinity) errors.required('spec.sessionAffinity');
  else if (!AFFINITIES.includes(sessionAffinity)) {
    errors.notSupported('spec.sessionAffinity', sessionAffinity, AFFINITIES);
  }
  const path = 'spec.sessionAffinityConfig';
  if (sessionAffinity === 'ClientIP') {
    const timeout = sessionAffinityConfig?.clientIP?.timeoutSeconds ?? 0;
    if (timeout <= 0 || timeout > MAX_AFFINITY_S) {
      errors.invalid(
        `${path}.clientIP.timeoutSeconds`,
        timeout,
        `must be greater than 0 and less than ${MAX_AFFINITY_S}`,
      );
    }
  } else if (sessionAffinityConfig) {
    errors.forbidden(path, 'must not be set when session affinity is None');
  }
}

function validateClusterIPs({ spec }: Service, errors: FieldErrors): void {
  const { clusterIP, clusterIPs = [], ipFamilies = [], ipFamilyPolicy } = spec;
  if (spec.type === 'ExternalName') return;
  const path = 'spec.clusterIPs';
  if (clusterIPs.length > 0 && !clusterIP) {
    errors.invalid(path, clusterIPs, 'must be empty when `clusterIP` is not specified');
  } else if (clusterIPs.length > 0 && clusterIPs[0] !== clusterIP) {
    errors.invalid(path, clusterIPs, 'first value must match `clusterIP`');
  }
  for (const [i, ip] of clusterIPs.entries()) {
    if (ip === 'None') {
      if (clusterIPs.length > 1)
        errors.invalid(at(path, i), ip, "may not contain values other than 'None' when it is set");
      continue;
    }
    if (!isIP(ip)) errors.invalidAll(at(path, i), ip, ipErrors(ip));
    else if (ipFamilies[i] && ipFamilies[i] !== (isIPv4(ip) ? 'IPv4' : 'IPv6')) {
      errors.invalid(at(path, i), ip, `expected an ${ipFamilies[i]} value as indicated by \`ipFamilies[${i}]\``);
    }
  }
  if (clusterIPs.length > 2) errors.invalid(path, clusterIPs, 'may only hold up to 2 values');
  if (ipFamilyPolicy && !FAMILY_POLICIES.includes(ipFamilyPolicy)) {
    errors.notSupported('spec.ipFamilyPolicy', ipFamilyPolicy, FAMILY_POLICIES);
  }
  for (const [i, family] of ipFamilies.entries()) {
    if (!FAMILIES.includes(family)) errors.notSupported(at('spec.ipFamilies', i), family, FAMILIES);
    else if (ipFamilies.indexOf(family) < i) errors.duplicate(at('spec.ipFamilies', i), family);
  }
}

function validateTraffic(service: Service, errors: FieldErrors): void {
  const { spec } = service;
  const external = spec.externalTrafficPolicy;
  if (!externallyAccessible(service)) {
    if (external) {
      errors.invalid('spec.externalTrafficPolicy', external, 'may only be set for externally-accessible services');
    }
  } else if (!external) {
    if (needsNodePort(service)) errors.required('spec.externalTrafficPolicy');
  } else if (!POLICIES.includes(external)) errors.notSupported('spec.externalTrafficPolicy', external, POLICIES);
  if (spec.healthCheckNodePort && !needsHealthCheckNodePort(service)) {
    errors.invalid(
      'spec.healthCheckNodePort',
      spec.healthCheckNodePort,
      "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'",
    );
  }
  const internal = spec.internalTrafficPolicy;
  if (spec.type !== 'ExternalName' && internal && !POLICIES.includes(internal)) {
    errors.notSupported('spec.internalTrafficPolicy', internal, POLICIES);
  }
  const balanced = "may only be used when `type` is 'LoadBalancer'";
  if (spec.type !== 'LoadBalancer') {
    if (spec.allocateLoadBalancerNodePorts !== undefined)
      errors.forbidden('spec.allocateLoadBalancerNodePorts', balanced);
    if (spec.loadBalancerClass !== undefined) errors.forbidden('spec.loadBalancerClass', balanced);
  }
}
