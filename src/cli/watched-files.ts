// Files that are read again whenever they change. The directories are watched, not the files, so that one that is replaced by
// renaming, as editors and mounted ConfigMaps do it, is still followed. Times in milliseconds.
import { type FSWatcher, readFileSync, watch } from 'node:fs';
import { basename, dirname, resolve } from 'node:path';

/** Several events come for one change; a file may be half written at the first. */
const SETTLE_MS = 15;

/** `changed` is called when any of the files may have changed. `-`, standard input, is not watched. Returns what ends it. */
export function watchFiles(files: readonly string[], changed: () => void): () => void {
  const byDirectory = new Map<string, Set<string>>();
  for (const file of files) {
    if (file === '-') continue;
    const path = resolve(file);
    const names = byDirectory.get(dirname(path)) ?? new Set();
    byDirectory.set(dirname(path), names.add(basename(path)));
  }
  let timer: NodeJS.Timeout | undefined;
  const watchers: FSWatcher[] = [];
  for (const [directory, names] of byDirectory) {
    const watcher = watch(directory, (_, name) => {
      // A mounted ConfigMap changes by its link `..data`.
      if (name !== null && !names.has(name) && name !== '..data') return;
      timer ??= setTimeout(() => {
        timer = undefined;
        changed();
      }, SETTLE_MS);
    });
    watcher.on('error', () => watcher.close());
    watchers.push(watcher);
  }
  return () => {
    clearTimeout(timer);
    for (const watcher of watchers) watcher.close();
  };
}

/** The text, or an error that names the file. */
export function readText(file: string): string {
  try {
    return readFileSync(file === '-' ? 0 : file, 'utf8');
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const why = code === 'ENOENT' ? 'no such file or directory' : ((cause as Error).message ?? String(cause));
    throw new Error(`open ${file}: ${why}`, { cause });
  }
}
