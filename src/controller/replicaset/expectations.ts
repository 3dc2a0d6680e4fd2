// What a controller has asked for and not yet seen in its watch, per owner, so that a slow watch does not make it ask again.
// After ControllerExpectations and UIDTrackingControllerExpectations in pkg/controller/controller_utils.go (1.32).
//
// An owner is satisfied when every creation and every deletion it expects has been observed, or after five minutes
// (something was lost: look again). Deletions are tracked by Pod key, since one is seen twice: when deletionTimestamp
// appears and when the Pod goes.
import type { Clock } from '../../lib/clock.ts';

const TIMEOUT_US = 5 * 60 * 1e6;

interface Expected {
  creations: number;
  readonly deletions: Set<string>;
  readonly sinceUs: number;
}

export class Expectations {
  readonly #clock: Clock;
  readonly #owners = new Map<string, Expected>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** True when the owner's last round was fully observed, has timed out, or there was none. */
  satisfied(owner: string): boolean {
    const expected = this.#owners.get(owner);
    if (!expected) return true;
    if (expected.creations <= 0 && expected.deletions.size === 0) return true;
    return this.#clock.nowUs() - expected.sinceUs > TIMEOUT_US;
  }

  /** `deletions`: Pods whose deletion is asked for in the same round. */
  expectCreations(owner: string, count: number, deletions: Iterable<string> = []): void {
    this.#owners.set(owner, {
      creations: count,
      deletions: new Set(deletions),
      sinceUs: this.#clock.nowUs(),
    });
  }

  expectDeletions(owner: string, pods: Iterable<string>): void {
    this.#owners.set(owner, { creations: 0, deletions: new Set(pods), sinceUs: this.#clock.nowUs() });
  }

  /** A creation was seen, or will never come because it failed. */
  creationObserved(owner: string, count = 1): void {
    const expected = this.#owners.get(owner);
    if (expected) expected.creations -= count;
  }

  deletionObserved(owner: string, pod: string): void {
    this.#owners.get(owner)?.deletions.delete(pod);
  }

  forget(owner: string): void {
    this.#owners.delete(owner);
  }
}
