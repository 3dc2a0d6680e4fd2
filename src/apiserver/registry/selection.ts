// Which objects a list, a watch or a deletecollection means, by their labels and by those fields that their kind lets be asked for.
// Wording of apimachinery's pkg/runtime (DefaultMetaV1FieldSelectorConversion) and kubernetes/pkg/apis/*/v1/conversion.go.
import type { KubeObject, ResourceType, Stored } from '../../api/meta.ts';
import { parseFieldSelector, parseLabelSelector, SelectorError } from '../../api/selectors.ts';
import { badRequest } from '../../api/status-error.ts';
import type { ListOptions } from '../../client/client.ts';
import type { Strategy } from './strategy.ts';
import type { Match } from './watch.ts';

/** Kinds of the core group that convert field labels by themselves. */
const OWN_LABELS = new Set(['Pod', 'Node', 'Event', 'Namespace', 'Secret', 'Service']);

/** Throws StatusError 400. */
export function selection<T extends KubeObject>({ type, fields = {} }: Strategy<T>, options: ListOptions): Match<T> {
  try {
    const labels = parseLabelSelector(options.labelSelector);
    const selector = parseFieldSelector(options.fieldSelector);
    const field = (object: Stored<T>) => (path: string) => {
      if (path === 'metadata.name') return object.metadata.name;
      if (path === 'metadata.namespace') return object.metadata.namespace ?? '';
      return fields[path]!(object);
    };
    for (const { path } of selector.requirements) {
      const known = path === 'metadata.name' || path === 'metadata.namespace' || Object.hasOwn(fields, path);
      if (!known) throw new SelectorError(unknownLabel(type, path));
    }
    if (selector.requirements.length === 0) return (object) => labels.matches(object.metadata.labels);
    return (object) => labels.matches(object.metadata.labels) && selector.matches(field(object));
  } catch (error) {
    if (error instanceof SelectorError) throw badRequest(error.message);
    throw error;
  }
}

function unknownLabel({ group, kind }: ResourceType, path: string): string {
  if (group === '' && OWN_LABELS.has(kind)) return `field label not supported: ${path}`;
  if (group === 'batch' && kind === 'Job') return `field label ${JSON.stringify(path)} not supported for Job`;
  return `${JSON.stringify(path)} is not a known field selector: only "metadata.name", "metadata.namespace"`;
}
