// The schema of what is sent to subresources and with a DELETE, and is not stored: autoscaling/v1 Scale, core/v1 Binding, policy/v1
// Eviction, authentication.k8s.io/v1 TokenRequest, meta/v1 DeleteOptions.
import { OBJECT_META, OBJECT_REFERENCE, object } from './meta.ts';
import { bool, int32, int64, list, string, struct, time } from './schema.ts';

export const DELETE_OPTIONS = struct('DeleteOptions', {
  apiVersion: string,
  kind: string,
  gracePeriodSeconds: int64,
  preconditions: struct('Preconditions', { uid: string, resourceVersion: string }),
  orphanDependents: bool,
  propagationPolicy: string,
  dryRun: list(string),
  ignoreStoreReadErrorWithClusterBreakingPotential: bool,
});

export const SUBRESOURCE_KINDS = [
  DELETE_OPTIONS,
  object('Scale', {
    spec: struct('ScaleSpec', { replicas: int32 }),
    status: struct('ScaleStatus', { replicas: int32, selector: string }),
  }),
  object('Binding', { target: OBJECT_REFERENCE }),
  object('Eviction', { deleteOptions: DELETE_OPTIONS }),
  struct('TokenRequest', {
    apiVersion: string,
    kind: string,
    metadata: OBJECT_META,
    spec: struct('TokenRequestSpec', {
      audiences: list(string),
      boundObjectRef: struct('BoundObjectReference', { kind: string, apiVersion: string, name: string, uid: string }),
      expirationSeconds: int64,
    }),
    status: struct('TokenRequestStatus', { token: string, expirationTimestamp: time }),
  }),
];
