// From what a client sent to an object of its kind. Wording of k8s.io/apiserver/pkg/endpoints/handlers (transformDecodeError in
// rest.go, jsonPatcher and applyPatchToObject in patch.go).
import { apiVersionOf, type KubeObject, type ResourceType } from '../../api/meta.ts';
import { resourceOfKind } from '../../api/resources.ts';
import { DecodeError, decode } from '../../api/schema/decode.ts';
import { schemaOf } from '../../api/schema/kinds.ts';
import { badRequest, StatusError } from '../../api/status-error.ts';
import { clone } from '../../lib/tree.ts';

/**
 * What happens to fields that the kind does not have, and to fields that came twice. Ignore: dropped. Warn: dropped, and the client
 * is told. Strict: refused.
 */
export type FieldValidation = 'Ignore' | 'Warn' | 'Strict';

export interface DecodeOptions {
  /** Absent: unknown fields are kept, for clients in this process. */
  readonly fieldValidation?: FieldValidation;
  /** What strict decoding has found in the text of the body already. */
  readonly strictErrors?: readonly string[];
  readonly warn?: (text: string) => void;
}

/** A private copy of what a client sent, with the shape of its kind. */
export function decodeObject<T extends KubeObject>(type: ResourceType<T>, object: unknown, options: DecodeOptions): T {
  const expected = apiVersionOf(type);
  const { apiVersion = expected, kind = type.kind } = (object ?? {}) as Partial<KubeObject>;
  const cannot = (why: string): StatusError =>
    badRequest(
      `${kind} in version ${JSON.stringify(apiVersion.split('/').at(-1))} cannot be handled as a ${type.kind}: ${why}`,
    );
  if (typeof apiVersion !== 'string' || typeof kind !== 'string') {
    throw badRequest("couldn't get version/kind; apiVersion and kind are strings");
  }
  if (kind !== type.kind) {
    const known = resourceOfKind(apiVersion, kind);
    throw cannot(
      known
        ? `converting (${known.version}.${kind}) to (${type.group.split('.')[0] || 'core'}.${type.kind}): unknown conversion`
        : `no kind ${JSON.stringify(kind)} is registered for version ${JSON.stringify(apiVersion)} in scheme "pkg/api/legacyscheme/scheme.go:30"`,
    );
  }
  if (apiVersion !== expected) {
    throw badRequest(
      `the API version in the data (${apiVersion}) does not match the expected API version (${expected})`,
    );
  }
  return shaped(type, object, options, cannot);
}

/** The same for an object that has been patched; `patch` is how the message shows what was wrong. */
export function decodePatched<T extends KubeObject>(
  type: ResourceType<T>,
  object: KubeObject,
  patch: () => string,
  options: DecodeOptions,
): T {
  return shaped(type, object, options, (why) => {
    const message = `Invalid value: ${JSON.stringify(patch())}: ${why}`;
    return new StatusError('Invalid', 422, ` "" is invalid: patch: ${message}`, {
      causes: [{ reason: 'FieldValueInvalid', message, field: 'patch' }],
    });
  });
}

function shaped<T extends KubeObject>(
  type: ResourceType<T>,
  object: unknown,
  { fieldValidation, strictErrors = [], warn }: DecodeOptions,
  cannot: (why: string) => StatusError,
): T {
  const schema = schemaOf(type);
  let draft: T;
  let unknown: readonly string[] = [];
  if (schema) {
    try {
      const decoded = decode(schema, object, fieldValidation === undefined);
      draft = decoded.value as unknown as T;
      unknown = decoded.unknown;
    } catch (error) {
      throw error instanceof DecodeError ? cannot(error.message) : error;
    }
  } else draft = clone(object) as T;
  if (fieldValidation === 'Strict' || fieldValidation === 'Warn') {
    const errors = [...strictErrors, ...unknown.map((path) => `unknown field ${JSON.stringify(path)}`)];
    if (errors.length > 0 && fieldValidation === 'Strict') {
      throw cannot(`strict decoding error: ${errors.join(', ')}`);
    }
    for (const error of errors) warn?.(error);
  }
  draft.metadata ??= {};
  return Object.assign({ apiVersion: apiVersionOf(type), kind: type.kind }, draft);
}
