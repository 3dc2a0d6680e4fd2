// Deployments. After kubernetes/pkg/registry/apps/deployment.
import type { Deployment } from '../../api/apps-v1.ts';
import { defaultDeployment } from '../../api/defaults/workload.ts';
import { dns1123SubdomainErrors } from '../../api/names.ts';
import { DEPLOYMENTS } from '../../api/resources.ts';
import { validateDeployment, validateDeploymentUpdate } from '../../api/validation/workload.ts';
import { replicasScale } from './scale.ts';
import type { Strategy } from './strategy.ts';

export const deploymentStrategy: Strategy<Deployment> = {
  type: DEPLOYMENTS,
  nameErrors: dns1123SubdomainErrors,
  generation: true,
  defaults: defaultDeployment,
  prepareForCreate(deployment) {
    deployment.status = {};
  },
  validate: validateDeployment,
  validateUpdate: validateDeploymentUpdate,
  status: {},
  scale: replicasScale,
};
