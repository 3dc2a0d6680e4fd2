// One line of a stream, as read(2) byte by byte would take it: what follows the line stays in the stream for whoever reads next.
import type { Readable } from 'node:stream';

/** The next line without its newline; undefined at the end of input, or when `stop` is aborted. */
export function readLine(input: Readable, stop: AbortSignal): Promise<string | undefined> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    const finish = (line: string | undefined): void => {
      input.off('data', take);
      input.off('end', end);
      input.off('close', end);
      stop.removeEventListener('abort', abandon);
      resolve(line);
    };
    const take = (chunk: Buffer): void => {
      const newline = chunk.indexOf(10);
      chunks.push(newline < 0 ? chunk : chunk.subarray(0, newline));
      if (newline < 0) return;
      input.pause();
      finish(Buffer.concat(chunks).toString());
      if (newline + 1 < chunk.length) input.unshift(chunk.subarray(newline + 1));
    };
    const end = (): void => finish(chunks.length > 0 ? Buffer.concat(chunks).toString() : undefined);
    const abandon = (): void => {
      input.pause();
      finish(undefined);
    };
    if (stop.aborted || input.readableEnded || input.destroyed) return resolve(undefined);
    stop.addEventListener('abort', abandon);
    input.on('end', end);
    input.on('close', end);
    input.on('data', take);
    input.resume();
  });
}
