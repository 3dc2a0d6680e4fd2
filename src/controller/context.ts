// What every controller is given: the API, time, chance, the shared copies of the objects, and where failures are told.
import type { KubeObject, ResourceType, Stored } from '../api/meta.ts';
import { CONTROLLERREVISIONS, JOBS, NODES, PODS, REPLICASETS } from '../api/resources.ts';
import { type IndexFunction, Informer } from '../client/informer.ts';
import { EventRecorder } from './events.ts';
import type { ControllerOptions } from './options.ts';
import { controllerOf } from './owner.ts';

/** Index of what is owned (OWNED) by the UID of their controller; '' for those without one, by `namespace`. */
export const BY_OWNER = 'owner';
/** Index of namespaced objects. */
export const BY_NAMESPACE = 'namespace';
/** Index of Pods by spec.nodeName, '' for unassigned ones. */
export const BY_NODE = 'node';

const OWNED: readonly ResourceType[] = [PODS, REPLICASETS, CONTROLLERREVISIONS, JOBS];

/** One informer a kind, shared by all controllers, made when first asked for. */
export class Informers {
  readonly #options: ControllerOptions;
  readonly #informers = new Map<string, Informer<KubeObject>>();

  constructor(options: ControllerOptions) {
    this.#options = options;
  }

  of<T extends KubeObject>(type: ResourceType<T>): Informer<T> {
    const key = `${type.group}/${type.resource}`;
    let informer = this.#informers.get(key) as unknown as Informer<T> | undefined;
    if (!informer) {
      const { client, clock, onError } = this.#options;
      informer = new Informer<T>({
        client,
        type,
        clock,
        onError: (error) => onError?.(error, `watch ${type.resource}`),
      });
      this.#addIndexes(type, informer);
      // The map holds informers of many kinds; the key says which.
      this.#informers.set(key, informer as unknown as Informer<KubeObject>);
    }
    return informer;
  }

  start(): void {
    for (const informer of this.#informers.values()) informer.start();
  }

  async synced(): Promise<void> {
    await Promise.all([...this.#informers.values()].map((i) => i.synced));
  }

  close(): void {
    for (const informer of this.#informers.values()) informer.close();
  }

  #addIndexes<T extends KubeObject>(type: ResourceType<T>, informer: Informer<T>): void {
    const is = (other: ResourceType) => type.resource === other.resource && type.group === other.group;
    if (type.namespaced) informer.addIndex(BY_NAMESPACE, (o) => [o.metadata.namespace!]);
    if (OWNED.some(is)) informer.addIndex(BY_OWNER, (o) => [controllerOf(o)?.uid ?? '']);
    if (is(PODS)) {
      const node: IndexFunction<KubeObject> = (o) => [(o as { spec?: { nodeName?: string } }).spec?.nodeName ?? ''];
      informer.addIndex(BY_NODE, node as IndexFunction<T>);
    }
  }
}

export interface ControllerContext extends ControllerOptions {
  readonly informers: Informers;
  readonly recorder: (component: string) => EventRecorder;
}

export function createContext(options: ControllerOptions): ControllerContext {
  const informers = new Informers(options);
  // Everyone needs Pods and Nodes; asking here fixes the order of the first lists.
  informers.of(NODES);
  informers.of(PODS);
  return { ...options, informers, recorder: (component) => new EventRecorder(options, component) };
}

/** A part of the controller manager. It listens from its construction and works from `run` on. */
export interface Controller {
  run(): void;
  /** Idempotent. */
  close(): void;
}

/** Oldest first, so that loops over a Map of objects do not depend on the order of events. */
export function inOrder<T extends KubeObject>(objects: readonly Stored<T>[]): Stored<T>[] {
  return [...objects].sort((a, b) => {
    const ca = a.metadata.creationTimestamp;
    const cb = b.metadata.creationTimestamp;
    if (ca !== cb) return ca < cb ? -1 : 1;
    return a.metadata.name < b.metadata.name ? -1 : a.metadata.name > b.metadata.name ? 1 : 0;
  });
}
