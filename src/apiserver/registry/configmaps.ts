// ConfigMaps. After kubernetes/pkg/registry/core/configmap.
import type { ConfigMap } from '../../api/core-v1.ts';
import { dns1123SubdomainErrors } from '../../api/names.ts';
import { CONFIGMAPS } from '../../api/resources.ts';
import { validateConfigMap, validateConfigMapUpdate } from '../../api/validation/data.ts';
import type { Strategy } from './strategy.ts';

export const configMapStrategy: Strategy<ConfigMap> = {
  type: CONFIGMAPS,
  nameErrors: dns1123SubdomainErrors,
  validate: validateConfigMap,
  validateUpdate: validateConfigMapUpdate,
};
