// A capture of a cluster of this process into a file: `up --capture`, and the demo.
import { closeSync, openSync, writeSync } from 'node:fs';
import type { Cluster } from '../cluster/cluster.ts';
import { CliError } from './cli-error.ts';

/** Captures every packet of the first Node; returns the function that completes the file. */
export async function captureToFile(cluster: Cluster, file: string): Promise<() => Promise<void>> {
  let fd: number;
  try {
    fd = openSync(file, 'w');
  } catch (cause) {
    throw new CliError(`${file}: ${(cause as Error).message}`, { cause });
  }
  const session = await cluster.nodes[0]!.capture({ pods: [], filter: '' }, (bytes) => writeSync(fd, bytes));
  return async () => {
    await session.stop();
    closeSync(fd);
  };
}
