// Files that are read again whenever they change. The directories are watched, not the files, so that one that is replaced by
// renaming, as editors and mounted ConfigMaps do it, is still followed. Where a directory is given, its manifests are meant, as
// for `kubectl -f`. Times in milliseconds.
import { type FSWatcher, readdirSync, readFileSync, statSync, watch } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { CliError } from './cli-error.ts';

/** Several events come for one change; a file may be half written at the first. */
const SETTLE_MS = 15;

/** `changed` is called when any of the files may have changed. `-`, standard input, is not watched. Returns what ends it. */
export function watchFiles(files: readonly string[], changed: () => void): () => void {
  const byDirectory = new Map<string, Set<string> | 'all'>();
  for (const file of files) {
    if (file === '-') continue;
    const path = resolve(file);
    if (isDirectory(path)) {
      byDirectory.set(path, 'all');
      continue;
    }
    if (byDirectory.get(dirname(path)) === 'all') continue;
    const names = (byDirectory.get(dirname(path)) as Set<string> | undefined) ?? new Set();
    byDirectory.set(dirname(path), names.add(basename(path)));
  }
  let timer: NodeJS.Timeout | undefined;
  const watchers: FSWatcher[] = [];
  for (const [directory, names] of byDirectory) {
    const watcher = watch(directory, (_, name) => {
      // A mounted ConfigMap changes by its link `..data`.
      if (names !== 'all' && name !== null && !names.has(name) && name !== '..data') return;
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

/** The files meant: a directory stands for the manifests in it, by name. */
export function manifestFiles(files: readonly string[]): string[] {
  return files.flatMap((file) => {
    if (!isDirectory(file)) return [file];
    const names = readdirSync(file).filter((name) => /\.(json|ya?ml)$/.test(name) && !isDirectory(join(file, name)));
    return names.sort().map((name) => join(file, name));
  });
}

function isDirectory(file: string): boolean {
  return statSync(file, { throwIfNoEntry: false })?.isDirectory() ?? false;
}

/** The text. Throws CliError, which names the file. */
export function readText(file: string): string {
  try {
    return readFileSync(file === '-' ? 0 : file, 'utf8');
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const why = code === 'ENOENT' ? 'no such file or directory' : ((cause as Error).message ?? String(cause));
    throw new CliError(`open ${file}: ${why}`, { cause });
  }
}
