// Admission: rules over requests, between decoding and validation, that need to look at other objects. May change the draft;
// refuses by throwing StatusError. After k8s.io/apiserver/pkg/admission; mutating and validating plugins are one chain here.
import type { KubeObject, ResourceType, Stored } from '../../api/meta.ts';
import { StatusError } from '../../api/status-error.ts';
import type { Subresource } from '../../client/client.ts';
import type { User } from '../auth/user.ts';

export type Operation = 'CREATE' | 'UPDATE' | 'DELETE';

export interface AdmissionRequest {
  readonly operation: Operation;
  readonly type: ResourceType;
  readonly subresource?: Subresource | undefined;
  readonly namespace: string | undefined;
  readonly name: string;
  /** The new object, which may be changed; absent for DELETE. */
  readonly draft?: KubeObject;
  readonly old?: KubeObject | undefined;
  readonly user: User;
  /** Nothing may be written. */
  readonly dryRun?: boolean;
}

/** Stored objects, as they are now: what plugins and the authorizer may look at. */
export interface Lookup {
  find<T extends KubeObject>(
    type: ResourceType<T>,
    namespace: string | undefined,
    name: string,
  ): Promise<T | undefined>;
  all<T extends KubeObject>(type: ResourceType<T>, namespace?: string): Promise<readonly Stored<T>[]>;
}

export interface AdmissionPlugin {
  readonly name: string;
  /** May change the draft; before it is validated. */
  admit?(request: AdmissionRequest, lookup: Lookup): Promise<void> | void;
  /** Judges the draft as it will be stored; after it was validated. */
  validate?(request: AdmissionRequest, lookup: Lookup): Promise<void> | void;
}

/** 403, worded as apimachinery's NewForbidden. */
export function forbidden(type: ResourceType, name: string, why: string): StatusError {
  const resource = type.group === '' ? type.resource : `${type.resource}.${type.group}`;
  return new StatusError('Forbidden', 403, `${resource} "${name}" is forbidden: ${why}`, {
    name,
    ...(type.group ? { group: type.group } : {}),
    kind: type.resource,
  });
}
