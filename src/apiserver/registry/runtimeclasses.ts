// RuntimeClasses: the handler cannot change. After kubernetes/pkg/registry/node/runtimeclass.
import type { RuntimeClass } from '../../api/discovery-v1.ts';
import { dns1123SubdomainErrors } from '../../api/names.ts';
import { RUNTIMECLASSES } from '../../api/resources.ts';
import { validateRuntimeClass } from '../../api/validation/data.ts';
import { immutable } from '../../api/validation/meta.ts';
import type { Strategy } from './strategy.ts';

export const runtimeClassStrategy: Strategy<RuntimeClass> = {
  type: RUNTIMECLASSES,
  nameErrors: dns1123SubdomainErrors,
  validate: validateRuntimeClass,
  validateUpdate(runtimeClass, old, errors) {
    immutable('handler', runtimeClass.handler, old.handler, errors);
  },
};
