// Runs a command in a Pod of a cluster of this process, for the benches.
import { Writable } from 'node:stream';
import type { Cluster } from '../../src/cluster/cluster.ts';

export async function runInPod(
  cluster: Cluster,
  namespace: string,
  pod: string,
  argv: readonly string[],
): Promise<{ code: number; output: string }> {
  const node = await cluster.nodeOf(namespace, pod);
  let output = '';
  const sink = (): Writable =>
    new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        output += chunk.toString();
        done();
      },
    });
  const session = node.exec({ namespace, pod, argv, tty: false }, { stdin: null, stdout: sink(), stderr: sink() });
  return { code: await session.exit, output };
}
