// Endpoints. After kubernetes/pkg/registry/core/endpoint.
import type { Endpoints } from '../../api/core-v1.ts';
import { dns1123SubdomainErrors } from '../../api/names.ts';
import { ENDPOINTS } from '../../api/resources.ts';
import { validateEndpoints } from '../../api/validation/endpoints.ts';
import type { Strategy } from './strategy.ts';

export const endpointsStrategy: Strategy<Endpoints> = {
  type: ENDPOINTS,
  nameErrors: dns1123SubdomainErrors,
  createOnUpdate: true,
  defaults(endpoints) {
    for (const { ports = [] } of endpoints.subsets ?? []) for (const port of ports) port.protocol ??= 'TCP';
  },
  validate: validateEndpoints,
};
