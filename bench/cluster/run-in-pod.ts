// Runs a command in a Pod of a cluster of this process, for the benches. `onOutput` hears of what it prints as it does.
import { Writable } from 'node:stream';
import type { Cluster } from '../../src/cluster/cluster.ts';

export async function runInPod(
  cluster: Cluster,
  namespace: string,
  pod: string,
  argv: readonly string[],
  onOutput: (text: string) => void = () => {},
): Promise<{ code: number; output: string }> {
  const node = await cluster.nodeOf(namespace, pod);
  let output = '';
  const sink = (): Writable =>
    new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        output += chunk.toString();
        onOutput(chunk.toString());
        done();
      },
    });
  const session = node.exec({ namespace, pod, argv, tty: false }, { stdin: null, stdout: sink(), stderr: sink() });
  return { code: await session.exit, output };
}
