// A capture of a cluster of this process into a file: `up --capture`, and the demo.
import { closeSync, openSync, writeSync } from 'node:fs';
import type { Cluster } from '../cluster/cluster.ts';
import { asCliError } from './cli-error.ts';

/** Creates the file; to be done before a cluster is started in vain. */
export function openCapture(file: string): number {
  return asCliError(() => openSync(file, 'w')); // the error names the file
}

/** Captures every packet of the first Node into an open file; returns the function that completes and closes it. */
export async function captureToFile(cluster: Cluster, fd: number): Promise<() => Promise<void>> {
  const session = await cluster.nodes[0]!.capture({ pods: [], filter: '' }, (bytes) => writeSync(fd, bytes));
  return async () => {
    await session.stop();
    closeSync(fd);
  };
}
