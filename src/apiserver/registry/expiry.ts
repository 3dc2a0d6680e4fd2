// Events are forgotten an hour after they were last written, as with the real server's --event-ttl. A sweep every few minutes
// stands for etcd's leases.
import type { Event } from '../../api/core-v1.ts';
import type { Stored } from '../../api/meta.ts';
import type { Clock, Timer } from '../../lib/clock.ts';
import type { User } from '../auth/user.ts';
import type { Registry } from './registry.ts';

const TTL_MS = 3_600_000;
const SWEEP_US = 300_000_000;

export class EventExpiry {
  readonly #registry: Registry<Event>;
  readonly #clock: Clock;
  readonly #user: User;
  #timer: Timer;

  constructor(registry: Registry<Event>, clock: Clock, user: User) {
    this.#registry = registry;
    this.#clock = clock;
    this.#user = user;
    this.#timer = this.#arm();
  }

  close(): void {
    this.#timer.cancel();
  }

  #arm(): Timer {
    return this.#clock.after(SWEEP_US, () => {
      this.#timer = this.#arm();
      void this.#sweep().catch(() => {}); // the next sweep sees to what this one could not delete
    });
  }

  async #sweep(): Promise<void> {
    const oldest = this.#clock.unixMs() - TTL_MS;
    for (const event of (await this.#registry.list()).items) {
      if (lastWritten(event) >= oldest) continue;
      const { namespace, name, resourceVersion } = event.metadata;
      await this.#registry.delete(namespace, name, { preconditions: { resourceVersion } }, { user: this.#user });
    }
  }
}

function lastWritten(event: Stored<Event>): number {
  const times = [event.metadata.creationTimestamp, event.lastTimestamp, event.eventTime].map((t) =>
    Date.parse(t ?? ''),
  );
  return Math.max(...times.filter((t) => !Number.isNaN(t)));
}
