// Nodes. After kubernetes/pkg/registry/core/node/strategy.go and ValidateNodeUpdate.
import type { Node } from '../../api/core-v1.ts';
import { dns1123SubdomainErrors } from '../../api/names.ts';
import { NODES } from '../../api/resources.ts';
import { cidrErrors } from '../../api/validation/ip.ts';
import { equal } from '../../lib/tree.ts';
import type { Strategy } from './strategy.ts';

export const nodeStrategy: Strategy<Node> = {
  type: NODES,
  nameErrors: dns1123SubdomainErrors,
  defaults(node) {
    node.spec ??= {};
    // Either field alone sets the other.
    if (node.spec.podCIDR && !node.spec.podCIDRs?.length) node.spec.podCIDRs = [node.spec.podCIDR];
    if (!node.spec.podCIDR && node.spec.podCIDRs?.length) node.spec.podCIDR = node.spec.podCIDRs[0]!;
    if (node.status?.capacity && !node.status.allocatable) node.status.allocatable = { ...node.status.capacity };
  },
  validate(node, errors) {
    for (const [i, cidr] of (node.spec?.podCIDRs ?? []).entries()) {
      errors.invalidAll(`spec.podCIDRs[${i}]`, cidr, cidrErrors(cidr));
    }
  },
  validateUpdate(node, old, errors) {
    if (old.spec?.podCIDRs?.length && !equal(node.spec?.podCIDRs, old.spec.podCIDRs)) {
      errors.forbidden('spec.podCIDRs', 'node updates may not change podCIDR except from "" to valid');
    }
    if (old.spec?.providerID && node.spec?.providerID !== old.spec.providerID) {
      errors.forbidden('spec.providerID', 'node updates may not change providerID except from "" to valid');
    }
  },
  status: {},
  fields: { 'spec.unschedulable': (node) => String(node.spec?.unschedulable ?? false) },
};
