// Nothing is created in a Namespace that does not exist or is being deleted, and the system's Namespaces stay. After
// k8s.io/apiserver/pkg/admission/plugin/namespace/lifecycle.
import { NAMESPACES } from '../../api/resources.ts';
import { notFound, StatusError } from '../../api/status-error.ts';
import { type AdmissionPlugin, type AdmissionRequest, forbidden, type Lookup } from './admission.ts';

const PROTECTED = new Set(['default', 'kube-system', 'kube-public']);

export const namespaceLifecycle: AdmissionPlugin = {
  name: 'NamespaceLifecycle',
  async admit(request: AdmissionRequest, lookup: Lookup): Promise<void> {
    const { operation, type, name, namespace } = request;
    if (type.resource === NAMESPACES.resource && type.group === '') {
      if (operation === 'DELETE' && PROTECTED.has(name))
        throw forbidden(type, name, 'this namespace may not be deleted');
      return;
    }
    if (operation !== 'CREATE' || namespace === undefined) return;
    const found = await lookup.find(NAMESPACES, undefined, namespace);
    if (!found) throw notFound(NAMESPACES, namespace);
    if (found.status?.phase !== 'Terminating' && !found.metadata.deletionTimestamp) return;
    const why = `unable to create new content in namespace ${namespace} because it is being terminated`;
    const error = forbidden(type, name, why);
    throw new StatusError(error.reason, error.code, error.message, {
      ...error.details,
      causes: [
        {
          reason: 'NamespaceTerminating',
          message: `namespace ${namespace} is being terminated`,
          field: 'metadata.namespace',
        },
      ],
    });
  },
};
