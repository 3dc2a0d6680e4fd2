// The quality of service class of a Pod, by what its containers ask for and are limited to. After ComputePodQOS in
// kubernetes/pkg/apis/core/v1/helper/qos/qos.go.
import type { Container, Pod } from './core-v1.ts';
import { parseQuantity } from './quantity.ts';

export function qosClass({ spec }: Pod): 'Guaranteed' | 'Burstable' | 'BestEffort' {
  const containers = [...spec.containers, ...(spec.initContainers ?? [])];
  const any = containers.some((c) => asksFor(c.resources?.requests) || asksFor(c.resources?.limits));
  if (!any) return 'BestEffort';
  return containers.every(isGuaranteed) ? 'Guaranteed' : 'Burstable';
}

function asksFor(list: Record<string, string> | undefined): boolean {
  return ['cpu', 'memory'].some((name) => parseQuantity(list?.[name] ?? '0') > 0);
}

function isGuaranteed({ resources }: Container): boolean {
  return ['cpu', 'memory'].every((name) => {
    const limit = resources?.limits?.[name];
    return limit !== undefined && parseQuantity(limit) === parseQuantity(resources?.requests?.[name] ?? limit);
  });
}
