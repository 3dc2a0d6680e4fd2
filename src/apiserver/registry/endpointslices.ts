// EndpointSlices. After kubernetes/pkg/registry/discovery/endpointslice.
import type { EndpointSlice } from '../../api/discovery-v1.ts';
import { dns1123SubdomainErrors } from '../../api/names.ts';
import { ENDPOINTSLICES } from '../../api/resources.ts';
import { validateEndpointSlice, validateEndpointSliceUpdate } from '../../api/validation/endpoints.ts';
import type { Strategy } from './strategy.ts';

export const endpointSliceStrategy: Strategy<EndpointSlice> = {
  type: ENDPOINTSLICES,
  nameErrors: dns1123SubdomainErrors,
  generation: true,
  defaults(slice) {
    slice.endpoints ??= [];
    slice.ports ??= [];
    for (const port of slice.ports) {
      port.name ??= '';
      port.protocol ??= 'TCP';
    }
  },
  validate: validateEndpointSlice,
  validateUpdate: validateEndpointSliceUpdate,
};
