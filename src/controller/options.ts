// What controllers are given from outside: the API, time, chance, and where failures are told.
import type { ApiClient } from '../client/client.ts';
import type { Clock } from '../lib/clock.ts';
import type { Rng } from '../lib/rng.ts';

export interface ControllerOptions {
  readonly client: ApiClient;
  readonly clock: Clock;
  readonly rng: Rng;
  /** Something failed and will be tried again; conflicts between writers are not told. */
  readonly onError?: (error: unknown, what: string) => void;
}
