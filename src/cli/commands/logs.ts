// podwire logs: what a container wrote, as `kubectl logs` prints it.
import { pipeline } from 'node:stream/promises';
import type { LogLine } from '../../node/container-log.ts';
import { ask, open } from '../control-client.ts';

export interface LogsOptions {
  readonly container?: string;
  readonly follow?: boolean;
  readonly previous?: boolean;
}

export async function logs(pod: string, options: LogsOptions): Promise<void> {
  const query = new URLSearchParams({ pod });
  if (options.container) query.set('container', options.container);
  if (options.previous) query.set('previous', '1');
  else if (options.follow) return follow(query); // a run that is over has no more to say
  const lines = (await ask(`/logs?${query}`)) as readonly LogLine[];
  process.stdout.write(lines.map((line) => `${line.text}\n`).join(''));
}

async function follow(query: URLSearchParams): Promise<void> {
  const response = await open(`/logs/follow?${query}`);
  await pipeline(response, process.stdout, { end: false }).catch((error: NodeJS.ErrnoException) => {
    // The cluster ended, or the reader of our output did (`| head`).
    if (error.code !== 'ECONNRESET' && error.code !== 'EPIPE') throw error;
  });
}
