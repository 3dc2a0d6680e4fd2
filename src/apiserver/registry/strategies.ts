// The strategies of all resources that are served.
import type { KubeObject, ResourceType } from '../../api/meta.ts';
import { dns1035LabelErrors, dns1123LabelErrors, dns1123SubdomainErrors } from '../../api/names.ts';
import { NAMESPACES, PODS, RESOURCES, SERVICES } from '../../api/resources.ts';
import type { Strategy } from './strategy.ts';

export interface StrategyOptions {
  serviceCIDR?: string;
}

export function strategies(_options: StrategyOptions): Strategy<KubeObject>[] {
  return RESOURCES.map((type) => plain(type));
}

function plain(type: ResourceType): Strategy<KubeObject> {
  return {
    type,
    nameErrors:
      type === NAMESPACES ? dns1123LabelErrors : type === SERVICES ? dns1035LabelErrors : dns1123SubdomainErrors,
    ...(type === PODS ? {} : {}),
    status: {},
  };
}
