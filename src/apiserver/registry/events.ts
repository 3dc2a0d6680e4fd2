// Events. After kubernetes/pkg/registry/core/event. They are forgotten after a while: see expiry.ts.
import type { Event } from '../../api/core-v1.ts';
import { dns1123SubdomainErrors } from '../../api/names.ts';
import { EVENTS } from '../../api/resources.ts';
import { fieldValue } from '../../api/selectors.ts';
import { validateEvent } from '../../api/validation/data.ts';
import type { Strategy } from './strategy.ts';

const PATHS = [
  'involvedObject.kind',
  'involvedObject.namespace',
  'involvedObject.name',
  'involvedObject.uid',
  'involvedObject.apiVersion',
  'involvedObject.resourceVersion',
  'involvedObject.fieldPath',
  'reason',
  'reportingComponent',
  'type',
];

export const eventStrategy: Strategy<Event> = {
  type: EVENTS,
  nameErrors: dns1123SubdomainErrors,
  createOnUpdate: true,
  validate: validateEvent,
  fields: {
    ...Object.fromEntries(PATHS.map((path) => [path, (event: Event) => fieldValue(event, path)])),
    source: (event) => event.source?.component || event.reportingComponent || '',
  },
};
