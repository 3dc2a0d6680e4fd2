// Compiled files in dist whose source is gone.
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

/** Paths below dist/src, dist/test and dist/bench of .js files without a .ts of the same name in the source tree. */
export function staleFiles() {
  return ['src', 'test', 'bench'].flatMap((room) => {
    const root = join('dist', room);
    if (!existsSync(root)) return [];
    return readdirSync(root, { recursive: true })
      .filter((name) => name.endsWith('.js') && !existsSync(join(room, name.replace(/\.js$/, '.ts'))))
      .map((name) => join(root, name));
  });
}
