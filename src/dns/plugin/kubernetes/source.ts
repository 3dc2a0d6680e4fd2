// Where the kubernetes plugin learns its objects: a list and watch per kind. In a cluster that is the API through informers;
// without one it can be any set of manifests.
import type { KubeObject, ResourceType } from '../../../api/meta.ts';
import type { ApiClient } from '../../../client/client.ts';
import { Informer } from '../../../client/informer.ts';
import type { Clock } from '../../../lib/clock.ts';

export interface ObjectHandlers<T> {
  /** A new object, or a new state of a known one. */
  set(object: T): void;
  delete(object: T): void;
}

export interface Watching {
  /** Whether the first list has been handed over in full. */
  hasSynced(): boolean;
  close(): void;
}

export interface ObjectSource {
  watch<T extends KubeObject>(type: ResourceType<T>, handlers: ObjectHandlers<T>): Watching;
}

/** `onError` hears of failed lists and watches; they are retried anyway. */
export function apiSource(client: ApiClient, clock: Clock, onError?: (error: unknown) => void): ObjectSource {
  return {
    watch<T extends KubeObject>(type: ResourceType<T>, handlers: ObjectHandlers<T>): Watching {
      const informer = new Informer<T>({ client, type, clock, ...(onError === undefined ? {} : { onError }) });
      informer.addHandler({
        add: (object) => handlers.set(object),
        update: (_, object) => handlers.set(object),
        delete: (object) => handlers.delete(object),
      });
      informer.start();
      return { hasSynced: () => informer.hasSynced(), close: () => informer.close() };
    },
  };
}
