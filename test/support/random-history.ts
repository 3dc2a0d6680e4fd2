// A control plane to which random things happen while each controller hears of them late: what a convergence test is made of.
import type { Test } from 'tap';
import { isStatus } from '../../src/api/status-error.ts';
import type { Rng } from '../../src/lib/rng.ts';
import { type ControlPlane, controlPlane } from './control-plane.ts';
import { randomDelays, slowWatches } from './slow-client.ts';

/** What may happen next; a step may find nothing to do, or what it names gone. */
export type Step = () => Promise<unknown> | undefined;

/** Three Nodes; one in `oneIn` kinds is watched with a long delay. */
export function latePlane(t: Test, seed: number, rng: Rng, oneIn: number): Promise<ControlPlane> {
  const delays = randomDelays(rng, oneIn);
  return controlPlane(t, {
    seed,
    nodes: 3,
    kubelet: { startUs: 20_000, stopUs: 40_000 },
    controllerClient: (client, clock) => slowWatches(client, clock, delays),
  });
}

/** Takes `count` of the steps, with time between them: mostly milliseconds, at times enough for things to settle. */
export async function randomHistory(cp: ControlPlane, rng: Rng, count: number, steps: readonly Step[]): Promise<void> {
  for (let i = 0; i < count; i++) {
    try {
      await steps[rng.below(steps.length)]!();
    } catch (error) {
      if (!isStatus(error, 'NotFound')) throw error;
    }
    await cp.clock.run(rng.below(3) === 0 ? rng.below(2_000_000) : rng.below(20_000));
  }
}
