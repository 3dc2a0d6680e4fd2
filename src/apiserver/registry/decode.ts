// From what a client sent to an object of its kind. Wording of k8s.io/apiserver/pkg/endpoints/handlers (transformDecodeError).
import { apiVersionOf, type KubeObject, type ResourceType } from '../../api/meta.ts';
import { DecodeError, decode } from '../../api/schema/decode.ts';
import { schemaOf } from '../../api/schema/kinds.ts';
import { StatusError } from '../../api/status-error.ts';
import { clone } from '../../lib/tree.ts';

/** What happens to fields that the kind does not have. Absent: they are kept. Ignore: dropped. Strict: refused. */
export type FieldValidation = 'Ignore' | 'Strict' | undefined;

/** A private copy of what a client sent, with the shape of its kind. */
export function decodeObject<T extends KubeObject>(
  type: ResourceType<T>,
  object: unknown,
  fieldValidation: FieldValidation,
): T {
  const expected = apiVersionOf(type);
  const cannot = (why: string): StatusError =>
    new StatusError(
      'BadRequest',
      400,
      `${type.kind} in version "${type.version}" cannot be handled as a ${type.kind}: ${why}`,
    );
  const { apiVersion = expected, kind = type.kind } = (object ?? {}) as Partial<KubeObject>;
  if (apiVersion !== expected) {
    throw new StatusError(
      'BadRequest',
      400,
      `the API version in the data (${apiVersion}) does not match the expected API version (${expected})`,
    );
  }
  if (kind !== type.kind) {
    throw new StatusError(
      'BadRequest',
      400,
      `${kind} in version "${type.version}" cannot be handled as a ${type.kind}`,
    );
  }
  const schema = schemaOf(type);
  let draft: T;
  if (schema) {
    try {
      const { value, unknown } = decode(schema, object, fieldValidation === undefined);
      if (fieldValidation === 'Strict' && unknown.length > 0) {
        throw cannot(`strict decoding error: ${unknown.map((path) => `unknown field "${path}"`).join(', ')}`);
      }
      draft = value as unknown as T;
    } catch (error) {
      throw error instanceof DecodeError ? cannot(error.message) : error;
    }
  } else draft = clone(object) as T;
  draft.metadata ??= {};
  return Object.assign({ apiVersion, kind }, draft);
}
