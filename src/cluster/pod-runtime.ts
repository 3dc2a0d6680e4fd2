// Which runtime a Pod gets: that of its RuntimeClass; the cluster's default when it names none.
import type { Pod } from '../api/core-v1.ts';
import type { ImageCatalog } from '../node/images.ts';
import type { Runtime } from '../node/runtime/runtime.ts';

/** Programs that exist only in TypeScript: their Pods are userspace Pods whatever the default. */
const USERSPACE_ONLY = new Set(['coredns']);

/** Throws, as the kubelet words it, for a handler this Node does not have. */
export function podRuntime(
  pod: Pod,
  runtimes: ReadonlyMap<string, Runtime>,
  defaultHandler: string,
  images: ImageCatalog,
): Runtime {
  const userspaceOnly = pod.spec.containers.some((c) =>
    USERSPACE_ONLY.has(images.find(c.image ?? '')?.entrypoint[0] ?? ''),
  );
  const handler = pod.spec.runtimeClassName ?? (userspaceOnly ? 'userspace' : defaultHandler);
  const runtime = runtimes.get(handler);
  if (runtime) return runtime;
  const remedy = handler === 'netns' ? '; netns Pods need root and TAP devices, `podwire doctor` says more' : '';
  throw new Error(`no runtime for "${handler}" is configured${remedy}`);
}
