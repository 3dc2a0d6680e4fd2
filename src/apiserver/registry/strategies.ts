// The strategies of all resources that are served: add a kind here, in api/resources.ts and in api/schema/kinds.ts.
import type { KubeObject } from '../../api/meta.ts';
import { certificateSigningRequestStrategy } from './certificatesigningrequests.ts';
import { configMapStrategy } from './configmaps.ts';
import { controllerRevisionStrategy } from './controllerrevisions.ts';
import { cronJobStrategy } from './cronjobs.ts';
import { daemonSetStrategy } from './daemonsets.ts';
import { deploymentStrategy } from './deployments.ts';
import { endpointsStrategy } from './endpoints.ts';
import { endpointSliceStrategy } from './endpointslices.ts';
import { eventStrategy } from './events.ts';
import { horizontalPodAutoscalerStrategy } from './horizontalpodautoscalers.ts';
import { jobStrategy } from './jobs.ts';
import { leaseStrategy } from './leases.ts';
import { limitRangeStrategy, resourceQuotaStrategy } from './limits.ts';
import { namespaceStrategy } from './namespaces.ts';
import { nodeStrategy } from './nodes.ts';
import { podDisruptionBudgetStrategy } from './poddisruptionbudgets.ts';
import { podStrategy } from './pods.ts';
import { clusterRoleBindingStrategy, clusterRoleStrategy, roleBindingStrategy, roleStrategy } from './rbac.ts';
import { replicaSetStrategy } from './replicasets.ts';
import { runtimeClassStrategy } from './runtimeclasses.ts';
import { secretStrategy } from './secrets.ts';
import type { ServiceAllocation } from './service-allocation.ts';
import { serviceAccountStrategy } from './serviceaccounts.ts';
import { serviceStrategy } from './services.ts';
import { statefulSetStrategy } from './statefulsets.ts';
import type { Strategy } from './strategy.ts';

export function strategies(services: ServiceAllocation): Strategy<KubeObject>[] {
  const all = [
    namespaceStrategy,
    nodeStrategy,
    podStrategy,
    serviceStrategy(services),
    endpointsStrategy,
    configMapStrategy,
    secretStrategy,
    serviceAccountStrategy,
    eventStrategy,
    deploymentStrategy,
    replicaSetStrategy,
    statefulSetStrategy,
    daemonSetStrategy,
    controllerRevisionStrategy,
    jobStrategy,
    cronJobStrategy,
    podDisruptionBudgetStrategy,
    horizontalPodAutoscalerStrategy,
    endpointSliceStrategy,
    runtimeClassStrategy,
    leaseStrategy,
    certificateSigningRequestStrategy,
    resourceQuotaStrategy,
    limitRangeStrategy,
    roleStrategy,
    clusterRoleStrategy,
    roleBindingStrategy,
    clusterRoleBindingStrategy,
  ];
  // Each strategy only ever sees objects of its own type.
  return all as unknown as Strategy<KubeObject>[];
}
