// Which Services a change of a Pod or of a Service concerns; shared by the Endpoints and EndpointSlice controllers. After
// staging/src/k8s.io/endpointslice/util/controller_utils.go (GetServicesToUpdateOnPodChange) (1.32).
import type { Pod, Service } from '../../api/core-v1.ts';
import type { Stored } from '../../api/meta.ts';
import { type Informer, keyOf } from '../../client/informer.ts';
import { BY_NAMESPACE } from '../context.ts';
import { endpointChanged, sameLabels, servicesSelecting } from './membership.ts';

/** Calls `enqueue` with the key of each Service whose endpoints may have to change. */
export function watchServicePods(
  services: Informer<Service>,
  pods: Informer<Pod>,
  enqueue: (service: string) => void,
): void {
  const enqueueOf = (pod: Stored<Pod>) => {
    for (const s of servicesSelecting(services.byIndex(BY_NAMESPACE, pod.metadata.namespace!), pod)) enqueue(keyOf(s));
  };
  services.addHandler({
    add: (s) => enqueue(keyOf(s)),
    update: (_, s) => enqueue(keyOf(s)),
    delete: (s) => enqueue(keyOf(s)),
  });
  pods.addHandler({
    add: enqueueOf,
    update: (old, pod) => {
      if (old.metadata.uid === pod.metadata.uid && !endpointChanged(old, pod)) return;
      if (!sameLabels(old.metadata.labels, pod.metadata.labels)) enqueueOf(old);
      enqueueOf(pod);
    },
    delete: enqueueOf,
  });
}
