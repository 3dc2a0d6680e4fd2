// How much a piece of work allocates on the heap, for tests of paths that must not.
import { Session } from 'node:inspector/promises';

/**
 * Bytes, by sampling every 4 KiB: the least of three runs, since V8 may still be compiling, or give up an assumption and compile
 * again, in one of them.
 */
export async function allocated(work: () => void): Promise<number> {
  let least = Infinity;
  for (let run = 0; run < 3; run++) {
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
