// ControllerRevisions. After kubernetes/pkg/registry/apps/controllerrevision.
import type { ControllerRevision } from '../../api/apps-v1.ts';
import { dns1123SubdomainErrors } from '../../api/names.ts';
import { CONTROLLERREVISIONS } from '../../api/resources.ts';
import { validateControllerRevision, validateControllerRevisionUpdate } from '../../api/validation/statefulset.ts';
import type { Strategy } from './strategy.ts';

export const controllerRevisionStrategy: Strategy<ControllerRevision> = {
  type: CONTROLLERREVISIONS,
  nameErrors: dns1123SubdomainErrors,
  validate: validateControllerRevision,
  validateUpdate: validateControllerRevisionUpdate,
};
