// podwire capture: packets of the running cluster as pcapng, until Ctrl-C or until the reader goes.
import { createWriteStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { CliError } from '../cli-error.ts';
import { open } from '../control-client.ts';

export async function capture(
  filter: readonly string[],
  options: { pod: readonly string[]; node?: string; service?: string; dropped?: boolean; write: string },
): Promise<void> {
  if (options.write === '-' && process.stdout.isTTY) {
    throw new CliError(
      'refusing to write a capture to a terminal: give a file with -w FILE, or pipe it, e.g. | tshark -r -',
      { exitCode: 2 },
    );
  }
  const query = new URLSearchParams({ filter: filter.join(' '), ...(options.node ? { node: options.node } : {}) });
  if (options.service) query.set('service', options.service);
  if (options.dropped) query.set('dropped', '');
  for (const pod of options.pod) query.append('pod', pod);
  const response = await open(`/capture?${query}`);
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => response.destroy());
  const sink = options.write === '-' ? process.stdout : createWriteStream(options.write);
  await pipeline(response, sink, { end: sink !== process.stdout }).catch((error: NodeJS.ErrnoException) => {
    const ended = error.code === 'EPIPE' || error.code === 'ERR_STREAM_PREMATURE_CLOSE' || error.code === 'ECONNRESET';
    if (!ended) throw new CliError(`${options.write}: ${error.message}`, { cause: error });
  });
}
