// podwire logs: what a container wrote, as `kubectl logs` prints it.
import type { LogLine } from '../../node/container-log.ts';
import { ask } from '../control-client.ts';

export async function logs(pod: string, options: { container?: string; previous?: boolean }): Promise<void> {
  const query = new URLSearchParams({ pod });
  if (options.container) query.set('container', options.container);
  if (options.previous) query.set('previous', '1');
  const lines = (await ask(`/logs?${query}`)) as readonly LogLine[];
  process.stdout.write(lines.map((line) => `${line.text}\n`).join(''));
}
