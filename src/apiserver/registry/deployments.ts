// Deployments. After kubernetes/pkg/registry/apps/deployment.
import type { Deployment } from '../../api/apps-v1.ts';
import { defaultDeployment } from '../../api/defaults/workload.ts';
import { dns1123SubdomainErrors } from '../../api/names.ts';
import { DEPLOYMENTS } from '../../api/resources.ts';
import { formatLabelSelector } from '../../api/selectors.ts';
import { validateDeployment, validateDeploymentUpdate } from '../../api/validation/workload.ts';
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
  scale: {
    replicas: ({ spec, status }) => ({
      spec: spec.replicas ?? 0,
      status: status?.replicas ?? 0,
      selector: formatLabelSelector(spec.selector),
    }),
    setReplicas: (deployment, replicas) => {
      deployment.spec.replicas = replicas;
    },
  },
};
