// Path names of a Pod's files.
import { posix } from 'node:path';

/** `path` seen from `cwd`, without `.` and `..`. */
export function absolutePath(cwd: string, path: string): string {
  return posix.resolve(cwd, path);
}
