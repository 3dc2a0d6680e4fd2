// Our own writes of slices that the watch has not shown yet, a Service at a time. After EndpointSliceTracker in
// staging/src/k8s.io/endpointslice/util/endpointslice_tracker.go, which compares generations; we compare revisions.
// A write that the watch never shows (made and undone between two lists) is forgotten after some seconds.
import type { EndpointSlice } from '../../api/discovery-v1.ts';
import type { Stored } from '../../api/meta.ts';
import type { Clock } from '../../lib/clock.ts';

/** Waits for the deletion. */
const GONE = Number.POSITIVE_INFINITY;
export const GIVE_UP_US = 5e6;

interface Awaited {
  readonly revision: number;
  readonly sinceUs: number;
}

export class WrittenSlices {
  readonly #clock: Clock;
  /** Service key, slice UID: what the watch has to show. */
  readonly #services = new Map<string, Map<string, Awaited>>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** `shown`: the slice as the watch has it now; it may have overtaken the answer to our request. */
  wrote(service: string, slice: Stored<EndpointSlice>, shown: Stored<EndpointSlice> | undefined): void {
    const revision = Number(slice.metadata.resourceVersion);
    if (shown?.metadata.uid === slice.metadata.uid && Number(shown.metadata.resourceVersion) >= revision) return;
    this.#await(service, slice.metadata.uid, revision);
  }

  /** To be called before the request is made. */
  removing(service: string, slice: Stored<EndpointSlice>): void {
    this.#await(service, slice.metadata.uid, GONE);
  }

  /** The watch has shown the slice, or its end. */
  observe(service: string, slice: Stored<EndpointSlice>, gone: boolean): void {
    const awaited = this.#services.get(service)?.get(slice.metadata.uid);
    if (!awaited) return;
    if (gone || Number(slice.metadata.resourceVersion) >= awaited.revision) {
      this.#services.get(service)!.delete(slice.metadata.uid);
    }
  }

  isBehind(service: string): boolean {
    const awaited = this.#services.get(service);
    if (!awaited) return false;
    for (const [uid, { sinceUs }] of awaited) {
      if (this.#clock.nowUs() - sinceUs >= GIVE_UP_US) awaited.delete(uid);
    }
    return awaited.size > 0;
  }

  forget(service: string): void {
    this.#services.delete(service);
  }

  #await(service: string, uid: string, revision: number): void {
    let awaited = this.#services.get(service);
    if (!awaited) this.#services.set(service, (awaited = new Map()));
    awaited.set(uid, { revision, sinceUs: this.#clock.nowUs() });
  }
}
