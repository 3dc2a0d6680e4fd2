// How much a piece of work allocates on the heap, for tests of paths that must not.
import { Session } from 'node:inspector/promises';

/** V8 compiles in the background, later on a loaded machine, and may give up an assumption and compile again. */
const RUNS_AT_MOST = 20;

/** Bytes of one run of `work`, by sampling every 4 KiB: of the first run that stays within `enough`, or the least of many. */
export async function allocated(enough: number, work: () => void, runsAtMost = RUNS_AT_MOST): Promise<number> {
  let least = Infinity;
  for (let run = 0; run < runsAtMost && least > enough; run++) {
    const session = new Session();
    session.connect();
    await session.post('HeapProfiler.startSampling', {
      samplingInterval: 4096,
      includeObjectsCollectedByMinorGC: true,
      includeObjectsCollectedByMajorGC: true,
    });
    work();
    const { profile } = await session.post('HeapProfiler.stopSampling');
    session.disconnect();
    const sum = (node: typeof profile.head): number => node.children.reduce((n, c) => n + sum(c), node.selfSize);
    least = Math.min(least, sum(profile.head));
  }
  return least;
}
