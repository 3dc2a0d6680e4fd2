// The generic store of one resource: create, get, update, patch, apply and delete, with the rules that hold for every kind (list and
// watch: reading.ts). What differs between kinds comes from its Strategy. After k8s.io/apiserver/pkg/registry/generic/registry/store.go and
// pkg/registry/rest. Knows no transport: the in-process client and the HTTPS face both call it.
//
// Optimistic concurrency: an update that names a resourceVersion fails with 409 when the object has moved on; one that does
// not, and every patch, is tried again on the newest state. An update that changes nothing writes nothing.
import { FieldErrors } from '../../api/field-errors.ts';
import { apiVersionOf, type KubeObject, type List, type ResourceType, type Stored } from '../../api/meta.ts';
import { generateName } from '../../api/names.ts';
import { alreadyExists, badRequest, conflict, invalid, notFound, StatusError } from '../../api/status-error.ts';
import { SCALES, type Scale } from '../../api/subresources.ts';
import { formatTime } from '../../api/time.ts';
import { validateMeta, validateMetaUpdate } from '../../api/validation/meta.ts';
import type { DeleteOptions, ListOptions, PatchType, Subresource } from '../../client/client.ts';
import type { Clock } from '../../lib/clock.ts';
import { goValue } from '../../lib/go-format.ts';
import type { Rng } from '../../lib/rng.ts';
import { clone, freeze } from '../../lib/tree.ts';
import type { AdmissionRequest, Operation } from '../admission/admission.ts';
import { applyConfiguration, trackUpdate, type Writer } from '../apply/field-manager.ts';
import type { User } from '../auth/user.ts';
import { applyPatch } from '../patch/patch.ts';
import { revisionOf, type Store } from '../storage/store.ts';
import { type DecodeOptions, decodeObject, decodePatched } from './decode.ts';
import { isReleased, planDeletion } from './deletion.ts';
import { type ChunkedListOptions, keyPrefix, Reading, type RegistryWatchOptions } from './reading.ts';
import { scaled, scaleOf, workloadOfScale } from './scale.ts';
import type { Allocation, ScaleStrategy, Strategy } from './strategy.ts';
import { keepStatus, keepSystemFields, newUid, nextGeneration, sameState } from './system-fields.ts';
import type { RegistryWatch } from './watch.ts';

export interface RegistryContext {
  readonly store: Store;
  readonly clock: Clock;
  readonly rng: Rng;
  /** Before validation; may change the draft. */
  admit(request: AdmissionRequest): Promise<void>;
  /** After validation. */
  judge(request: AdmissionRequest): Promise<void>;
}

export interface RequestOptions extends DecodeOptions {
  readonly user: User;
  /** Everything is done but the write. */
  readonly dryRun?: boolean;
  /** Rejects where the user may not create what an update or apply does not find; absent: they may. */
  readonly mayCreate?: () => Promise<void>;
  /** Who owns what this write sets, see metadata.managedFields. */
  readonly fieldManager?: string;
}

export interface Deleted<T extends KubeObject> {
  /** As it was last, or as it now waits to be deleted. */
  readonly object: Stored<T>;
  readonly removed: boolean;
}

const DEFAULT_MANAGER = 'unknown';
const GENERATE_NAME_TRIES = 8;
const MODIFIED = 'the object has been modified; please apply your changes to the latest version and try again';

export class Registry<T extends KubeObject> {
  readonly type: ResourceType<T>;
  readonly strategy: Strategy<T>;
  readonly #context: RegistryContext;
  readonly #prefix: string;
  readonly #reading: Reading<T>;

  constructor(strategy: Strategy<T>, context: RegistryContext) {
    this.strategy = strategy;
    this.type = strategy.type;
    this.#context = context;
    this.#prefix = keyPrefix(strategy.type);
    this.#reading = new Reading(strategy, context.store);
  }

  async get(namespace: string | undefined, name: string): Promise<Stored<T>> {
    const object = await this.find(namespace, name);
    if (!object) throw notFound(this.type, name);
    return object;
  }

  async find(namespace: string | undefined, name: string): Promise<Stored<T> | undefined> {
    return (await this.#context.store.get(this.#key(namespace, name))) as Stored<T> | undefined;
  }

  list(options: ChunkedListOptions = {}): Promise<List<T>> {
    return this.#reading.list(options);
  }

  /** See RegistryWatch: read until [] first, then whenever `wake` is called. Rejects with StatusError 410 for a revision long gone. */
  watch(options: RegistryWatchOptions, wake: () => void): Promise<RegistryWatch<T>> {
    return this.#reading.watch(options, wake);
  }

  /** Watches that want bookmarks get one. */
  bookmark(): void {
    this.#reading.bookmark();
  }

  async create(object: T, options: RequestOptions): Promise<Stored<T>> {
    const input = this.#decode(object, options);
    if (this.type.namespaced && !input.metadata.namespace) {
      throw badRequest('an empty namespace may not be set during creation');
    }
    if (input.metadata.resourceVersion) {
      throw badRequest('resourceVersion should not be set on objects to be created');
    }
    for (let tries = 1; ; tries++) {
      const generated = !input.metadata.name && !!input.metadata.generateName;
      try {
        return await this.#createOnce(clone(input), false, options);
      } catch (error) {
        if (!(error instanceof StatusError && error.reason === 'AlreadyExists' && generated)) throw error;
        if (tries < GENERATE_NAME_TRIES) continue;
        const message = `${error.message}, the server was not able to generate a unique name for the object`;
        throw new StatusError('AlreadyExists', 409, message, { ...error.details, retryAfterSeconds: 1 });
      }
    }
  }

  /** `applied`: its managed fields are right already. */
  async #createOnce(draft: T, applied: boolean, options: RequestOptions): Promise<Stored<T>> {
    const { metadata } = draft;
    const { clock, rng, store } = this.#context;
    if (!metadata.name && metadata.generateName) metadata.name = generateName(metadata.generateName, rng);
    if (!applied) this.#track(draft, undefined, undefined, options);
    await this.#context.admit(this.#admission('CREATE', draft, undefined, undefined, options));
    metadata.uid = newUid(rng);
    metadata.creationTimestamp = formatTime(clock.unixMs());
    delete metadata.deletionTimestamp;
    delete metadata.deletionGracePeriodSeconds;
    if (this.strategy.generation) metadata.generation = 1;
    else delete metadata.generation;
    this.strategy.prepareForCreate?.(draft);
    const errors = new FieldErrors();
    validateMeta(draft, this.type.namespaced, (name) => this.strategy.nameErrors(name), errors);
    this.strategy.validate?.(draft, errors);
    if (!errors.empty) throw invalid(this.type, metadata.name ?? '', errors.causes);
    const key = this.#key(metadata.namespace, metadata.name!);
    // Looked for before it is charged to a quota; the commit decides.
    if (await store.get(key)) throw alreadyExists(this.type, metadata.name!);
    await this.#context.judge(this.#admission('CREATE', draft, undefined, undefined, options));
    const allocation = this.strategy.beginCreate?.(draft);
    return await this.#finish(allocation, options.dryRun ?? false, async () => {
      if (options.dryRun) return freeze(draft) as Stored<T>;
      const result = await store.commit([{ key, object: draft, expect: 0 }]);
      if (!result.ok) throw alreadyExists(this.type, metadata.name!);
      return result.objects[0] as Stored<T>;
    });
  }

  /** Replaces the object, or its subresource. */
  async update(object: T, subresource: Subresource | undefined, options: RequestOptions): Promise<Stored<T>> {
    const input = this.#inputOf(object, subresource, options);
    const { namespace, name = '', resourceVersion } = input.metadata;
    if (this.strategy.createOnUpdate && !subresource && !(await this.find(namespace, name))) {
      await options.mayCreate?.();
      return await this.create(object, options);
    }
    const unconditional = this.strategy.unconditionalUpdate ?? true;
    if (!resourceVersion && !unconditional && !subresource) {
      const errors = new FieldErrors();
      errors.invalid('metadata.resourceVersion', 0, 'must be specified for an update');
      throw invalid(this.type, name, errors.causes);
    }
    return await this.#guaranteedUpdate(namespace, name, subresource, options, (old) => {
      if (subresource === 'scale') return scaled(this.#scale(name), input, old);
      const { uid } = input.metadata;
      if (uid && uid !== old.metadata.uid) {
        const why = `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${old.metadata.uid}`;
        const where = `Key: ${this.#key(namespace, name)}, ResourceVersion: 0, AdditionalErrorMsg: ${why}`;
        throw conflict(this.type, name, `StorageError: invalid object, Code: 4, ${where}`);
      }
      return clone(input);
    });
  }

  async patch(
    namespace: string | undefined,
    name: string,
    patchType: PatchType,
    patch: unknown,
    subresource: Subresource | undefined,
    options: RequestOptions,
  ): Promise<Stored<T>> {
    return await this.#guaranteedUpdate(namespace, name, subresource, options, (old) => {
      const target = subresource === 'scale' ? this.scaleOf(old) : old;
      const patched = applyPatch(this.type, patchType, target, patch) as T;
      const shown = (): string => (patchType === 'strategic' ? goValue(patch) : JSON.stringify(patched));
      if (subresource === 'scale') {
        return scaled(this.#scale(name), decodePatched(SCALES, patched, shown, options), old);
      }
      return this.#defaulted(decodePatched(this.type, patched, shown, options));
    });
  }

  /** Server-side apply: the fields of `config` become those of the object, which is created if it is not there. */
  async apply(
    namespace: string | undefined,
    name: string,
    config: KubeObject,
    force: boolean,
    subresource: Subresource | undefined,
    options: RequestOptions,
  ): Promise<{ object: Stored<T>; created: boolean }> {
    const writer = this.#writer(subresource, options);
    const applyTo = (live: KubeObject): T =>
      this.#decode(
        applyConfiguration(
          this.type,
          live,
          subresource === 'scale' ? workloadOfScale(this.type, config) : config,
          writer,
          force,
        ),
        options,
      );
    for (;;) {
      if (subresource || (await this.find(namespace, name))) {
        try {
          return {
            object: await this.#guaranteedUpdate(namespace, name, subresource, options, applyTo, true),
            created: false,
          };
        } catch (error) {
          const gone = error instanceof StatusError && error.reason === 'NotFound' && !subresource;
          if (!gone || (await this.find(namespace, name))) throw error;
        }
      }
      const draft = applyTo({ apiVersion: apiVersionOf(this.type), kind: this.type.kind, metadata: {} });
      const { uid } = config.metadata;
      if (uid) {
        const why = `uid mismatch: the provided object specified uid ${uid}, and no existing object was found`;
        throw conflict(this.type, name, why);
      }
      await options.mayCreate?.();
      try {
        return { object: await this.#createOnce(draft, true, options), created: true };
      } catch (error) {
        // Somebody was faster: it is an update then.
        if (!(error instanceof StatusError && error.reason === 'AlreadyExists')) throw error;
      }
    }
  }

  async delete(
    namespace: string | undefined,
    name: string,
    deletion: DeleteOptions,
    options: RequestOptions,
  ): Promise<Deleted<T>> {
    const { store, clock } = this.#context;
    const key = this.#key(namespace, name);
    for (;;) {
      const object = await this.get(namespace, name);
      await this.#context.admit(this.#admission('DELETE', undefined, object, undefined, options));
      const plan = planDeletion(this.strategy, object, deletion, clock.unixMs());
      if (plan.kind === 'pending') return { object, removed: false };
      if (options.dryRun) return { object, removed: plan.kind === 'remove' };
      const write = plan.kind === 'mark' ? { key, object: plan.draft } : { key };
      const result = await store.commit([{ ...write, expect: revisionOf(object) }]);
      if (!result.ok) continue;
      if (plan.kind === 'mark') return { object: result.objects[0] as Stored<T>, removed: false };
      this.strategy.afterDelete?.(object);
      return { object, removed: true };
    }
  }

  /** Deletes all that match, one after the other; objects that vanish meanwhile do not matter. */
  async deleteCollection(list: ListOptions, deletion: DeleteOptions, options: RequestOptions): Promise<List<T>> {
    const found = await this.list(list);
    for (const object of found.items) {
      try {
        await this.delete(object.metadata.namespace, object.metadata.name, deletion, options);
      } catch (error) {
        if (!(error instanceof StatusError && error.reason === 'NotFound')) throw error;
      }
    }
    return found;
  }

  /** The autoscaling/v1 Scale of a workload. */
  scaleOf(object: Stored<T>): Scale {
    return scaleOf(this.type, this.#scale(object.metadata.name), object);
  }

  async #guaranteedUpdate(
    namespace: string | undefined,
    name: string,
    subresource: Subresource | undefined,
    options: RequestOptions,
    change: (old: Stored<T>) => T,
    applied = false,
  ): Promise<Stored<T>> {
    const { store } = this.#context;
    const key = this.#key(namespace, name);
    for (;;) {
      const old = await this.get(namespace, name);
      const draft = change(old);
      const asked = draft.metadata.resourceVersion;
      const conditional = asked !== undefined && asked !== '' && asked !== old.metadata.resourceVersion;
      if (conditional) throw conflict(this.type, name, MODIFIED);
      const next = await this.#prepareUpdate(draft, old, subresource, applied, options);
      if (sameState(next, old)) return this.#result(old, subresource);
      const released = isReleased(this.strategy, next);
      const allocation = released ? undefined : this.strategy.beginUpdate?.(next, old);
      const done = await this.#finish(allocation, options.dryRun ?? false, async () => {
        if (options.dryRun) return freeze(next) as Stored<T>;
        const write = released ? { key } : { key, object: next };
        const result = await store.commit([{ ...write, expect: revisionOf(old) }]);
        if (result.ok) return released ? (freeze(next) as Stored<T>) : (result.objects[0] as Stored<T>);
        return undefined;
      });
      if (done) {
        if (released && !options.dryRun) this.strategy.afterDelete?.(old);
        return this.#result(done, subresource);
      }
      // Somebody was faster: look again.
    }
  }

  /** The object that would be stored; nothing outside it has been touched yet. */
  async #prepareUpdate(
    draft: T,
    old: Stored<T>,
    subresource: Subresource | undefined,
    applied: boolean,
    options: RequestOptions,
  ): Promise<T> {
    const errors = new FieldErrors();
    let next = draft;
    if (subresource === undefined || subresource === 'scale') {
      keepSystemFields(next, old);
      if (this.strategy.status) keepStatus(next, old);
      if (!applied) this.#track(next, old, subresource, options);
      await this.#context.admit(this.#admission('UPDATE', next, old, subresource, options));
      this.strategy.prepareForUpdate?.(next, old);
      if (this.strategy.generation) next.metadata.generation = nextGeneration(next, old);
      validateMeta(next, this.type.namespaced, () => [], errors);
      validateMetaUpdate(next, old, errors);
      this.strategy.validate?.(next, errors);
      this.strategy.validateUpdate?.(next, old, errors);
    } else if (subresource === 'status') {
      if (!this.strategy.status) throw this.#noSubresource(old.metadata.name);
      next = clone(old) as T;
      keepStatus(next, draft);
      if (!applied) this.#track(next, old, subresource, options);
      else setManagedFields(next, draft.metadata.managedFields);
      await this.#context.admit(this.#admission('UPDATE', next, old, subresource, options));
      this.strategy.status.validateUpdate?.(next, old, errors);
    } else {
      const apply = this.strategy.subresources?.[subresource];
      if (!apply) throw this.#noSubresource(old.metadata.name);
      next = apply(draft, old, formatTime(this.#context.clock.unixMs()));
      // Who binds a Pod owns nothing of it: the real server's binding does not go through its field manager.
      if (subresource !== 'binding') this.#track(next, old, subresource, options);
      await this.#context.admit(this.#admission('UPDATE', next, old, subresource, options));
    }
    if (!errors.empty) throw invalid(this.type, old.metadata.name, errors.causes);
    await this.#context.judge(this.#admission('UPDATE', next, old, subresource, options));
    return next;
  }

  /** Writes down who owns what of `draft`, which is to replace `old`. */
  #track(draft: T, old: Stored<T> | undefined, subresource: Subresource | undefined, options: RequestOptions): void {
    setManagedFields(draft, trackUpdate(this.type, old, draft, this.#writer(subresource, options)));
  }

  #writer(subresource: Subresource | undefined, { fieldManager }: RequestOptions): Writer {
    return {
      manager: fieldManager ?? DEFAULT_MANAGER,
      subresource: subresource ?? '',
      now: formatTime(this.#context.clock.unixMs()),
      hasStatus: this.strategy.status !== undefined,
    };
  }

  /** What an update sends: an object of this kind, a Scale, or (inside the process) a Pod that stands for a Binding. */
  #inputOf(object: T, subresource: Subresource | undefined, options: RequestOptions): T {
    if (subresource === 'binding') return clone(object);
    if (subresource === 'scale') return decodeObject(SCALES, object, options) as KubeObject as T;
    return this.#decode(object, options);
  }

  #scale(name: string): ScaleStrategy<T> {
    if (!this.strategy.scale) throw this.#noSubresource(name);
    return this.strategy.scale;
  }

  #result(object: Stored<T>, subresource: Subresource | undefined): Stored<T> {
    return subresource === 'scale' ? (this.scaleOf(object) as unknown as Stored<T>) : object;
  }

  async #finish<R>(allocation: Allocation | undefined, dryRun: boolean, write: () => Promise<R>): Promise<R> {
    let result: R | undefined;
    try {
      result = await write();
      return result;
    } finally {
      if (result === undefined || dryRun) allocation?.revert();
      else allocation?.commit();
    }
  }

  #admission(
    operation: Operation,
    draft: T | undefined,
    old: Stored<T> | undefined,
    subresource: Subresource | undefined,
    { user, dryRun = false }: RequestOptions,
  ): AdmissionRequest {
    const { namespace, name = '' } = (draft ?? old)!.metadata;
    const request = { operation, type: this.type, subresource, namespace, name, old, user, dryRun };
    return draft ? { ...request, draft } : request;
  }

  /** A private copy with everything that may be left out filled in. */
  #decode(object: unknown, options: RequestOptions): T {
    return this.#defaulted(decodeObject(this.type, object, options));
  }

  #defaulted(draft: T): T {
    this.strategy.defaults?.(draft);
    return draft;
  }

  #key(namespace: string | undefined, name: string): string {
    if (!this.type.namespaced) return this.#prefix + name;
    if (!namespace) {
      throw badRequest('an empty namespace may not be set when a resource name is provided');
    }
    return `${this.#prefix}${namespace}/${name}`;
  }

  #noSubresource(name: string): StatusError {
    return new StatusError('NotFound', 404, 'the server could not find the requested resource', {
      name,
      ...(this.type.group ? { group: this.type.group } : {}),
      kind: this.type.resource,
    });
  }
}

function setManagedFields({ metadata }: KubeObject, managedFields: KubeObject['metadata']['managedFields']): void {
  if (managedFields) metadata.managedFields = managedFields;
  else delete metadata.managedFields;
}
