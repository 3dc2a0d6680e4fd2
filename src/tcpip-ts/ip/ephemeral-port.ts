// Ephemeral ports, drawn at random (RFC 6056, algorithm 1): a random start in Linux's ip_local_port_range, then upwards until
// one is free.
import type { Rng } from '../../lib/rng.ts';

export const EPHEMERAL_FIRST = 32768;
export const EPHEMERAL_LAST = 60999;
const COUNT = EPHEMERAL_LAST - EPHEMERAL_FIRST + 1;

/** A port for which `isFree` holds, or 0 when all are taken. */
export function pickEphemeralPort(rng: Rng, isFree: (port: number) => boolean): number {
  const start = rng.below(COUNT);
  for (let n = 0; n < COUNT; n++) {
    const port = EPHEMERAL_FIRST + ((start + n) % COUNT);
    if (isFree(port)) return port;
  }
  return 0;
}
