// The indexes of an Indexed Job: as text (`0-2,5`), and which Pod has which. Pure. After pkg/controller/job/indexed_job_utils.go
// (1.32).
import type { Pod } from '../../api/core-v1.ts';

export const COMPLETION_INDEX = 'batch.kubernetes.io/job-completion-index';

export function parseIndexes(text: string | undefined): Set<number> {
  const indexes = new Set<number>();
  for (const range of (text ?? '').split(',')) {
    if (range === '') continue;
    const [low, high = low] = range.split('-').map(Number);
    for (let index = low!; index <= high!; index++) indexes.add(index);
  }
  return indexes;
}

export function formatIndexes(indexes: Iterable<number>): string {
  const sorted = [...new Set(indexes)].sort((a, b) => a - b);
  const ranges: [number, number][] = [];
  for (const index of sorted) {
    const last = ranges.at(-1);
    if (last && last[1] === index - 1) last[1] = index;
    else ranges.push([index, index]);
  }
  // Two neighbours are written with a comma, as the real ones are.
  return ranges.map(([a, b]) => (a === b ? `${a}` : b === a + 1 ? `${a},${b}` : `${a}-${b}`)).join(',');
}

export function indexOf(pod: Pod): number | undefined {
  const text = pod.metadata.annotations?.[COMPLETION_INDEX];
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined;
}

/** The lowest `count` indexes that are neither done nor taken. */
export function freeIndexes(completions: number, busy: ReadonlySet<number>, count: number): number[] {
  const free: number[] = [];
  for (let index = 0; index < completions && free.length < count; index++) if (!busy.has(index)) free.push(index);
  return free;
}
