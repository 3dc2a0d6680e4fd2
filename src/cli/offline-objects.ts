// The objects of `-f`, for a Node that no cluster runs. What they say and nothing heeds goes to standard error.
import { type OfflineObjects, readObjects } from '../cluster/offline/objects.ts';
import { asCliError } from './cli-error.ts';
import { manifestFiles, readText } from './watched-files.ts';

/** Throws CliError. */
export function offlineObjects(files: readonly string[]): OfflineObjects {
  const texts = manifestFiles(files).map((name) => ({ name, text: readText(name) }));
  const objects = asCliError(() => readObjects(texts));
  for (const warning of objects.warnings) process.stderr.write(`podwire: warning: ${warning}\n`);
  return objects;
}
