// An ApiClient whose watch events and lists come late, as from another machine: what a controller wrote is not yet what it
// sees. Order is kept.
import type { KubeObject, ResourceType } from '../../src/api/meta.ts';
import type { ApiClient, Watch, WatchEvent, WatchOptions } from '../../src/client/client.ts';
import type { Clock } from '../../src/lib/clock.ts';

/** `delayUs(type)` is the age of what a watch of that resource shows. */
export function slowWatches(client: ApiClient, clock: Clock, delayUs: (type: ResourceType) => number): ApiClient {
  return {
    get: (...args) => client.get(...args),
    list: (...args) => client.list(...args),
    create: (...args) => client.create(...args),
    update: (...args) => client.update(...args),
    patch: (...args) => client.patch(...args),
    delete: (...args) => client.delete(...args),
    createToken: (...args) => client.createToken(...args),
    watch<T extends KubeObject>(
      type: ResourceType<T>,
      options: WatchOptions,
      onEvent: (event: WatchEvent<T>) => void,
      onEnd: (error?: Error) => void,
    ): Watch {
      let closed = false;
      const later = (fn: () => void) => {
        clock.after(delayUs(type), () => {
          if (!closed) fn();
        });
      };
      const watch = client.watch(
        type,
        options,
        (event) => later(() => onEvent(event)),
        (error) => later(() => onEnd(error)),
      );
      return {
        close() {
          closed = true;
          watch.close();
        },
      };
    },
  };
}
