// Rules for metadata, on create and on update. After k8s.io/apimachinery/pkg/api/validation/objectmeta.go and
// pkg/apis/meta/v1/validation.
import { equal } from '../../lib/tree.ts';
import { at, type FieldErrors } from '../field-errors.ts';
import type { KubeObject, LabelSelector, ObjectMeta } from '../meta.ts';
import { labelValueErrors, qualifiedNameErrors } from '../names.ts';

const MAX_ANNOTATIONS_BYTES = 256 * 1024;

export function validateMeta(
  { metadata }: KubeObject,
  namespaced: boolean,
  nameErrors: (name: string) => readonly string[],
  errors: FieldErrors,
): void {
  const path = 'metadata';
  if (metadata.generateName) {
    // The suffix makes the end good: judge the base as if it had one.
    errors.invalidAll(
      `${path}.generateName`,
      metadata.generateName,
      nameErrors(withoutTrailingDash(metadata.generateName)),
    );
  }
  if (!metadata.name) errors.required(`${path}.name`, 'name or generateName is required');
  else errors.invalidAll(`${path}.name`, metadata.name, nameErrors(metadata.name));
  if (namespaced && !metadata.namespace) errors.required(`${path}.namespace`);
  if (!namespaced && metadata.namespace) errors.forbidden(`${path}.namespace`, 'not allowed on this type');
  validateLabels(metadata.labels, `${path}.labels`, errors);
  validateAnnotations(metadata.annotations, `${path}.annotations`, errors);
  validateOwners(metadata, `${path}.ownerReferences`, errors);
  for (const finalizer of metadata.finalizers ?? []) {
    errors.invalidAll(`${path}.finalizers`, finalizer, qualifiedNameErrors(finalizer));
  }
}

export function validateMetaUpdate(draft: KubeObject, old: KubeObject, errors: FieldErrors): void {
  const path = 'metadata';
  if (old.metadata.deletionTimestamp !== undefined) {
    const kept = old.metadata.finalizers ?? [];
    const added = (draft.metadata.finalizers ?? []).filter((f) => !kept.includes(f));
    if (added.length > 0) {
      errors.forbidden(
        `${path}.finalizers`,
        `no new finalizers can be added if the object is being deleted, found new finalizers []string{${added.map((f) => JSON.stringify(f)).join(', ')}}`,
      );
    }
  }
  for (const field of ['name', 'namespace', 'uid', 'creationTimestamp', 'deletionTimestamp'] as const) {
    if (draft.metadata[field] !== old.metadata[field]) {
      errors.invalid(`${path}.${field}`, draft.metadata[field] ?? '', 'field is immutable');
    }
  }
}

export function validateLabels(labels: Record<string, string> | undefined, path: string, errors: FieldErrors): void {
  for (const [key, value] of Object.entries(labels ?? {})) {
    errors.invalidAll(path, key, qualifiedNameErrors(key));
    errors.invalidAll(path, value, labelValueErrors(value));
  }
}

export function validateAnnotations(
  annotations: Record<string, string> | undefined,
  path: string,
  errors: FieldErrors,
): void {
  let bytes = 0;
  for (const [key, value] of Object.entries(annotations ?? {})) {
    // The case of annotation keys is not judged.
    errors.invalidAll(path, key, qualifiedNameErrors(key.toLowerCase()));
    bytes += Buffer.byteLength(key) + Buffer.byteLength(value);
  }
  if (bytes > MAX_ANNOTATIONS_BYTES) errors.tooLong(path, MAX_ANNOTATIONS_BYTES);
}

function validateOwners(metadata: ObjectMeta, path: string, errors: FieldErrors): void {
  let controller: string | undefined;
  (metadata.ownerReferences ?? []).forEach((owner, i) => {
    const p = at(path, i);
    if (!owner.apiVersion) errors.invalid(`${p}.apiVersion`, owner.apiVersion ?? '', 'version must not be empty');
    if (!owner.kind) errors.invalid(`${p}.kind`, owner.kind ?? '', 'kind must not be empty');
    if (!owner.name) errors.invalid(`${p}.name`, owner.name ?? '', 'name must not be empty');
    if (!owner.uid) errors.invalid(`${p}.uid`, owner.uid ?? '', 'uid must not be empty');
    if (!owner.controller) return;
    if (controller !== undefined) {
      errors.invalid(
        path,
        metadata.ownerReferences,
        `Only one reference can have Controller set to true. Found "true" in references for ${controller} and ${owner.name}`,
      );
    }
    controller = owner.name;
  });
}

/** The selector of a workload. */
export function validateLabelSelector(selector: LabelSelector | undefined, path: string, errors: FieldErrors): void {
  validateLabels(selector?.matchLabels, `${path}.matchLabels`, errors);
  (selector?.matchExpressions ?? []).forEach(({ key = '', operator, values }, i) => {
    const p = at(`${path}.matchExpressions`, i);
    const count = values?.length ?? 0;
    switch (operator) {
      case 'In':
      case 'NotIn':
        if (count === 0) errors.required(`${p}.values`, "must be specified when `operator` is 'In' or 'NotIn'");
        break;
      case 'Exists':
      case 'DoesNotExist':
        if (count > 0)
          errors.forbidden(`${p}.values`, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
        break;
      default:
        errors.invalid(`${p}.operator`, operator, 'not a valid selector operator');
    }
    errors.invalidAll(`${p}.key`, key, qualifiedNameErrors(key));
    for (const [v, value] of (values ?? []).entries()) {
      errors.invalidAll(at(`${p}.values`, v), value, labelValueErrors(value));
    }
  });
}

export function immutable(field: string, value: unknown, old: unknown, errors: FieldErrors): void {
  if (!equal(value, old)) errors.invalid(field, value, 'field is immutable');
}

function withoutTrailingDash(name: string): string {
  return name.endsWith('-') ? `${name.slice(0, -1)}a` : name;
}
