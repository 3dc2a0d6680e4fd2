// The three streams of a command and their redirections. A file that is written to has what has been written so far.
import { PassThrough, Readable, Writable } from 'node:stream';
import type { PodFiles } from '../../workloads/program.ts';
import { absolutePath, isDirectory, whyNotWritable } from '../paths.ts';

export interface Streams {
  readonly stdin: Readable;
  readonly stdout: Writable;
  readonly stderr: Writable;
}

export interface OpenRedirection {
  readonly fd: number;
  readonly kind: 'read' | 'write' | 'append' | 'duplicate';
  readonly target: string;
}

/** The command does not run; worded as dash words it. */
export class RedirectionError extends Error {}

/** The streams after all of them, from left to right. Throws RedirectionError; files named before it are written to, as by dash. */
export function redirect(
  outer: Streams,
  redirections: readonly OpenRedirection[],
  files: PodFiles,
  cwd: string,
): Streams {
  let streams = outer;
  for (const { fd, kind, target } of redirections) {
    const key = fd === 2 ? 'stderr' : fd === 1 ? 'stdout' : 'stdin';
    if (kind === 'duplicate') streams = { ...streams, ...duplicate(streams, key, target) };
    else if (kind === 'read') streams = { ...streams, stdin: openToRead(files, absolutePath(cwd, target), target) };
    else if (key !== 'stdin')
      streams = { ...streams, [key]: openToWrite(files, absolutePath(cwd, target), target, kind === 'append') };
  }
  return streams;
}

function duplicate(streams: Streams, key: keyof Streams, target: string): Partial<Streams> {
  if (target === '-') return key === 'stdin' ? { stdin: emptyInput() } : { [key]: discard() };
  if (key !== 'stdin' && (target === '1' || target === '2'))
    return { [key]: target === '1' ? streams.stdout : streams.stderr };
  if (key === 'stdin' && target === '0') return {};
  throw new RedirectionError(`${target}: bad fd number`);
}

export function emptyInput(): Readable {
  return new PassThrough().end();
}

function openToRead(files: PodFiles, path: string, name: string): Readable {
  if (path === '/dev/null') return emptyInput();
  const text = files.read(path);
  if (text !== undefined) return Readable.from([Buffer.from(text)], { objectMode: false });
  throw new RedirectionError(`cannot open ${name}: ${isDirectory(files, path) ? 'Is a directory' : 'No such file'}`);
}

function openToWrite(files: PodFiles, path: string, name: string, append: boolean): Writable {
  if (path === '/dev/null') return discard();
  const problem = whyNotWritable(files, path);
  if (problem)
    throw new RedirectionError(
      `cannot create ${name}: ${problem === 'No such file or directory' ? 'Directory nonexistent' : problem}`,
    );
  let bytes = Buffer.from(append ? (files.read(path) ?? '') : '');
  files.write(path, bytes.toString());
  return new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      bytes = Buffer.concat([bytes, chunk]);
      files.write(path, bytes.toString());
      done();
    },
  });
}

function discard(): Writable {
  return new Writable({ write: (_chunk, _encoding, done) => done() });
}
