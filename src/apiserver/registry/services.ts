// Services: what the server fills in besides defaults, and the fields that come and go with the type. After
// kubernetes/pkg/registry/core/service (strategy.go, storage/storage.go); addresses and ports are service-allocation.ts.

import type { Service } from '../../api/core-v1.ts';
import { defaultService } from '../../api/defaults/service.ts';
import { dns1035LabelErrors } from '../../api/names.ts';
import { SERVICES } from '../../api/resources.ts';
import {
  externallyAccessible,
  needsHealthCheckNodePort,
  needsNodePort,
  validateService,
  validateServiceUpdate,
} from '../../api/validation/service.ts';
import { equal } from '../../lib/tree.ts';
import type { ServiceAllocation } from './service-allocation.ts';
import type { Strategy } from './strategy.ts';

export function serviceStrategy(allocation: ServiceAllocation): Strategy<Service> {
  return {
    type: SERVICES,
    nameErrors: dns1035LabelErrors,
    createOnUpdate: true,
    defaults: defaultService,
    prepareForCreate(service) {
      service.status = { loadBalancer: {} };
      const { spec } = service;
      // Old clients know only the singular field.
      if (spec.clusterIP && !spec.clusterIPs?.length) spec.clusterIPs = [spec.clusterIP];
    },
    validate: validateService,
    prepareForUpdate(service, old) {
      keepAllocated(service, old);
      pairClusterIPs(service, old);
      dropTypeDependent(service, old);
    },
    validateUpdate: validateServiceUpdate,
    status: {},
    beginCreate: (service) => allocation.create(service),
    beginUpdate: (service, old) => allocation.update(service, old),
    afterDelete: (service) => allocation.release(service),
    fields: {
      'spec.clusterIP': (service) => service.spec.clusterIP ?? '',
      'spec.type': (service) => service.spec.type ?? '',
    },
  };
}

/** An update may leave out what the server once chose. */
function keepAllocated(service: Service, old: Service): void {
  const { spec } = service;
  const before = old.spec;
  if (before.type !== 'ExternalName' && spec.type !== 'ExternalName') {
    if (!spec.clusterIP && before.clusterIP) spec.clusterIP = before.clusterIP;
    if (!spec.clusterIPs?.length && before.clusterIPs) spec.clusterIPs = [...before.clusterIPs];
    if (before.ipFamilyPolicy) spec.ipFamilyPolicy ??= before.ipFamilyPolicy;
    if (!spec.ipFamilies?.length && before.ipFamilies) spec.ipFamilies = [...before.ipFamilies];
  }
  if (needsNodePort(old) && needsNodePort(service)) {
    const numbers = new Set((spec.ports ?? []).map((p) => p.nodePort).filter((p) => !!p));
    const byName = new Map((before.ports ?? []).map((p) => [p.name ?? '', p.nodePort]));
    for (const port of spec.ports ?? []) {
      const was = byName.get(port.name ?? '');
      if (!port.nodePort && was && !numbers.has(was)) port.nodePort = was;
    }
  }
  if (needsHealthCheckNodePort(old) && needsHealthCheckNodePort(service) && !spec.healthCheckNodePort) {
    if (before.healthCheckNodePort) spec.healthCheckNodePort = before.healthCheckNodePort;
  }
}

/** clusterIP and clusterIPs say the same; who changed only the first meant both. */
function pairClusterIPs({ spec }: Service, { spec: before }: Service): void {
  if (spec.clusterIP === before.clusterIP || !equal(spec.clusterIPs ?? [], before.clusterIPs ?? [])) return;
  if (spec.clusterIP) spec.clusterIPs = [spec.clusterIP];
  else delete spec.clusterIPs;
}

/** Fields that the new type does not have, unless the user changed them in the same update (then validation speaks). */
function dropTypeDependent(service: Service, old: Service): void {
  const [now, before] = [service.spec, old.spec];
  if (before.type !== 'ExternalName' && now.type === 'ExternalName') {
    if (now.clusterIP === before.clusterIP && equal(now.clusterIPs, before.clusterIPs)) {
      delete now.clusterIP;
      delete now.clusterIPs;
    }
    if (equal(now.ipFamilies, before.ipFamilies)) delete now.ipFamilies;
    if (now.ipFamilyPolicy === before.ipFamilyPolicy) delete now.ipFamilyPolicy;
    if (now.internalTrafficPolicy === before.internalTrafficPolicy) delete now.internalTrafficPolicy;
  }
  if (needsNodePort(old) && !needsNodePort(service)) {
    const had = new Set((before.ports ?? []).map((p) => p.nodePort));
    const same = (now.ports ?? []).every((p) => !p.nodePort || had.has(p.nodePort));
    if (same) for (const port of now.ports ?? []) delete port.nodePort;
  }
  if (needsHealthCheckNodePort(old) && !needsHealthCheckNodePort(service)) {
    if (now.healthCheckNodePort === before.healthCheckNodePort) delete now.healthCheckNodePort;
  }
  if (before.type === 'LoadBalancer' && now.type !== 'LoadBalancer') {
    if (now.allocateLoadBalancerNodePorts === before.allocateLoadBalancerNodePorts)
      delete now.allocateLoadBalancerNodePorts;
    if (now.loadBalancerClass === before.loadBalancerClass) delete now.loadBalancerClass;
  }
  if (externallyAccessible(old) && !externallyAccessible(service)) {
    if (now.externalTrafficPolicy === before.externalTrafficPolicy) delete now.externalTrafficPolicy;
  }
  if (now.type !== 'LoadBalancer' && service.status) service.status = { ...service.status, loadBalancer: {} };
}
