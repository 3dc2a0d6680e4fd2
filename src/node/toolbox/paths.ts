// Path names of a Pod's files. PodFiles keeps whole files and no directories of their own: a directory is there when a file lies
// below it, or when every Pod has it.
import { posix } from 'node:path';
import type { PodFiles } from '../workloads/program.ts';

const ALWAYS = new Set([
  '/',
  '/bin',
  '/dev',
  '/etc',
  '/home',
  '/proc',
  '/root',
  '/sys',
  '/tmp',
  '/usr',
  '/usr/bin',
  '/var',
]);

/** `path` seen from `cwd`, without `.` and `..`. */
export function absolutePath(cwd: string, path: string): string {
  return posix.resolve(cwd, path);
}

export function isDirectory(files: PodFiles, path: string): boolean {
  return ALWAYS.has(path) || files.list().some((file) => file.startsWith(`${path}/`));
}

/** Why `path` (absolute) cannot be written, worded as strerror(3); undefined when it can. */
export function whyNotWritable(files: PodFiles, path: string): string | undefined {
  if (isDirectory(files, path)) return 'Is a directory';
  const parent = posix.dirname(path);
  if (isDirectory(files, parent)) return undefined;
  return files.read(parent) === undefined ? 'No such file or directory' : 'Not a directory';
}

/** Names in a directory (absolute), sorted. */
export function directoryEntries(files: PodFiles, path: string): string[] {
  const prefix = path === '/' ? '/' : `${path}/`;
  const below = [...ALWAYS, ...files.list()].filter((name) => name !== path && name.startsWith(prefix));
  return [...new Set(below.map((name) => name.slice(prefix.length).split('/')[0]!))].sort();
}
