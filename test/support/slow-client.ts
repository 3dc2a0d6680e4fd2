// An ApiClient whose watch events and lists come late, as from another machine: what a controller wrote is not yet what it
// sees. Order is kept.
import type { KubeObject, ResourceType } from '../../src/api/meta.ts';
import type { ApiClient, Watch, WatchEvent, WatchOptions } from '../../src/client/client.ts';
import type { Clock } from '../../src/lib/clock.ts';
import type { Rng } from '../../src/lib/rng.ts';

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

/** Each kind has a delay of its own: of one in `oneIn` kinds a long one. */
export function randomDelays(rng: Rng, oneIn: number): (type: ResourceType) => number {
  const delays = new Map<string, number>();
  return ({ kind }) => {
    if (!delays.has(kind)) delays.set(kind, rng.below(oneIn) === 0 ? rng.below(400_000) : rng.below(5_000));
    return delays.get(kind)!;
  };
}
