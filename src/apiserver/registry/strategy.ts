// What differs between kinds of objects; everything else is registry.ts. One file a kind implements this. After
// k8s.io/apiserver/pkg/registry/rest (create.go, update.go, delete.go) and the strategies in kubernetes/pkg/registry.
//
// A draft is a private copy that a strategy may write to; `old` is frozen. The order for a write: decode, defaults, admission,
// prepareFor..., validate..., begin..., commit.
import type { FieldErrors } from '../../api/field-errors.ts';
import type { KubeObject, ResourceType, Stored } from '../../api/meta.ts';

/** Something taken outside the object (an address, a port) that must be given back if the write fails. */
export interface Allocation {
  commit(): void;
  revert(): void;
}

export interface StatusStrategy<T extends KubeObject> {
  validateUpdate?(draft: T, old: Stored<T>, errors: FieldErrors): void;
}

export interface ScaleStrategy<T extends KubeObject> {
  replicas(object: T): { spec: number; status: number; selector: string };
  setReplicas(draft: T, replicas: number): void;
}

export interface Strategy<T extends KubeObject = KubeObject> {
  readonly type: ResourceType<T>;
  /** What is wrong with a name; [] when nothing is. */
  nameErrors(name: string): readonly string[];
  /** Whether metadata.generation counts changes of the spec. */
  readonly generation?: boolean;
  /** Update may leave out metadata.resourceVersion; true unless said otherwise. */
  readonly unconditionalUpdate?: boolean;
  /** PUT of an object that does not exist creates it. */
  readonly createOnUpdate?: boolean;
  defaults?(draft: T): void;
  prepareForCreate?(draft: T): void;
  validate?(draft: T, errors: FieldErrors): void;
  prepareForUpdate?(draft: T, old: Stored<T>): void;
  /** `validate` has run on the draft before. */
  validateUpdate?(draft: T, old: Stored<T>, errors: FieldErrors): void;
  /** Present for kinds with a status subresource: the main resource then cannot change status. */
  readonly status?: StatusStrategy<T>;
  readonly scale?: ScaleStrategy<T>;
  /** Other subresources: each returns the new object, a copy of `old` but for what it changes. */
  readonly subresources?: Readonly<
    Partial<
      Record<'binding' | 'finalize' | 'ephemeralcontainers' | 'approval', (input: T, old: Stored<T>, now: string) => T>
    >
  >;
  /** Fills in what is taken from a range; reverted when the write fails or is a dry run. */
  beginCreate?(draft: T): Allocation | undefined;
  beginUpdate?(draft: T, old: Stored<T>): Allocation | undefined;
  afterDelete?(object: Stored<T>): void;
  /** Seconds of grace for a deletion; absent: this kind is deleted at once. */
  gracePeriodSeconds?(object: Stored<T>, asked: number | undefined): number;
  /** Something else than metadata.finalizers keeps the object although it is being deleted. */
  keptBy?(object: T): boolean;
  /** The object has just been marked as being deleted. */
  prepareForDelete?(draft: T): void;
  /** Fields that a field selector may name, besides metadata.name and metadata.namespace. */
  readonly fields?: Readonly<Record<string, (object: T) => string>>;
}
