// A directory and what is missing above it. Not `mkdirSync(..., { recursive: true })`: that of Node 20 never returns where the
// file system answers ENOENT for a new name in a directory that is there (/proc), and on a read-only one it says ENOENT, too.
import { existsSync, mkdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path';

/** Makes `path` with `mode` unless it is there. Throws mkdir's own error, for the topmost directory that cannot be made. */
export function makeDirectory(path: string, mode: number): void {
  const above = dirname(path);
  if (above !== path && !existsSync(above)) makeDirectory(above, mode);
  try {
    mkdirSync(path, { mode });
  } catch (error) {
    if (!statSync(path, { throwIfNoEntry: false })?.isDirectory()) throw error;
  }
}
