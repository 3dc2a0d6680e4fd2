// Namespaces: deletion waits for spec.finalizers, which only the `finalize` subresource takes away (the namespace controller,
// once everything in it is gone). After kubernetes/pkg/registry/core/namespace.
import type { Namespace } from '../../api/core-v1.ts';
import { dns1123LabelErrors } from '../../api/names.ts';
import { NAMESPACES } from '../../api/resources.ts';
import { clone } from '../../lib/tree.ts';
import type { Strategy } from './strategy.ts';

const FINALIZER = 'kubernetes';
const NAME_LABEL = 'kubernetes.io/metadata.name';

export const namespaceStrategy: Strategy<Namespace> = {
  type: NAMESPACES,
  nameErrors: dns1123LabelErrors,
  defaults: nameLabel,
  prepareForCreate(namespace) {
    nameLabel(namespace);
    const finalizers = namespace.spec?.finalizers ?? [];
    namespace.spec = { finalizers: finalizers.includes(FINALIZER) ? finalizers : [...finalizers, FINALIZER] };
    namespace.status = { phase: 'Active' };
  },
  prepareForUpdate(namespace, old) {
    namespace.spec = clone(old.spec) ?? {};
  },
  status: {},
  subresources: {
    finalize(input, old) {
      const namespace = clone(old) as Namespace;
      const finalizers = input.spec?.finalizers ?? [];
      namespace.spec = finalizers.length > 0 ? { finalizers: [...finalizers] } : {};
      return namespace;
    },
  },
  keptBy: (namespace) => (namespace.spec?.finalizers?.length ?? 0) > 0,
  prepareForDelete(namespace) {
    namespace.status = { ...namespace.status, phase: 'Terminating' };
  },
  fields: {
    'status.phase': (namespace) => namespace.status?.phase ?? '',
    name: (namespace) => namespace.metadata.name ?? '',
  },
};

function nameLabel({ metadata }: Namespace): void {
  if (metadata.name) metadata.labels = { ...metadata.labels, [NAME_LABEL]: metadata.name };
}
