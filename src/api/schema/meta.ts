// Schemas that all kinds share: k8s.io/apimachinery/pkg/apis/meta/v1.
import {
  any,
  atomic,
  bool,
  int64,
  type ListSchema,
  list,
  map,
  type Schema,
  type Struct,
  string,
  struct,
  time,
} from './schema.ts';

export const OBJECT_META = struct('ObjectMeta', {
  name: string,
  generateName: string,
  namespace: string,
  selfLink: string,
  uid: string,
  resourceVersion: string,
  generation: int64,
  creationTimestamp: time,
  deletionTimestamp: time,
  deletionGracePeriodSeconds: int64,
  labels: map(string),
  annotations: map(string),
  ownerReferences: list(
    atomic(
      struct('OwnerReference', {
        apiVersion: string,
        kind: string,
        name: string,
        uid: string,
        controller: bool,
        blockOwnerDeletion: bool,
      }),
    ),
    'uid',
  ),
  finalizers: list(string, 'set'),
  managedFields: list(
    struct('ManagedFieldsEntry', {
      manager: string,
      operation: string,
      apiVersion: string,
      time,
      fieldsType: string,
      fieldsV1: any,
      subresource: string,
    }),
  ),
});

export const LABEL_SELECTOR = atomic(
  struct('LabelSelector', {
    matchLabels: map(string),
    matchExpressions: list(struct('LabelSelectorRequirement', { key: string, operator: string, values: list(string) })),
  }),
);

/** Conditions of a kind that has a type of its own for them, with the times it keeps beside that of the last transition. */
export function conditions(name: string, own: Readonly<Record<string, Schema>> = {}): ListSchema {
  const common = { type: string, status: string, reason: string, message: string, lastTransitionTime: time };
  return list(struct(name, { ...common, ...own }), 'type');
}

/** metav1.Condition. */
export const CONDITIONS = conditions('Condition', { observedGeneration: int64 });

export const OBJECT_REFERENCE = atomic(
  struct('ObjectReference', {
    kind: string,
    namespace: string,
    name: string,
    uid: string,
    apiVersion: string,
    resourceVersion: string,
    fieldPath: string,
  }),
);

export const LOCAL_OBJECT_REFERENCE = atomic(struct('LocalObjectReference', { name: string }));

/** A kind: its own fields beside apiVersion, kind and metadata. */
export function object(name: string, fields: Readonly<Record<string, Schema>>): Struct {
  return struct(name, { apiVersion: string, kind: string, metadata: OBJECT_META, ...fields });
}
