// The durable store: a MemoryStore for everything that is read, and an LMDB file beside it for what must survive. A commit is
// acknowledged, and seen by readers and watches, only after it is on the disk (fsync). Commits that come while one is being written
// go together in the next transaction: one fsync for all of them.
//
//   commit ──▶ queue ──▶ checked against memory and what this batch changes ──▶ one transaction, fsync ──▶ memory ──▶ answers
//
// After a crash the file holds exactly the acknowledged commits, and perhaps a last batch whose answers were not given any more.
// History is not kept: watches from before the restart begin with a list (410).
import { closeSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { open, type RootDatabase } from 'lmdb';
import type { Stored } from '../../api/meta.ts';
import { makeDirectory } from '../../lib/make-directory.ts';
import { checkLmdbFile } from './lmdb-file.ts';
import { MemoryStore } from './memory.ts';
import {
  type CommitResult,
  type ListRange,
  revisionOf,
  type Store,
  type StoreList,
  type StoreWatch,
  type Write,
} from './store.ts';

const REVISION_KEY = 'revision';
/** Keys of objects begin with a slash, so the revision's own key is not among them. */
const OBJECTS_FROM = '/';
const OBJECTS_TO = '0';

/** Says which store, and what is wrong with it. */
export class StoreError extends Error {
  override readonly name: string = 'StoreError';
}

export class StoreInUseError extends StoreError {
  override readonly name = 'StoreInUseError';
}

interface Pending {
  readonly writes: readonly Write[];
  readonly resolve: (result: CommitResult) => void;
  readonly reject: (error: unknown) => void;
}

export class LmdbStore implements Store {
  readonly #database: RootDatabase<unknown, string>;
  readonly #memory: MemoryStore;
  readonly #directory: string;
  readonly #owner: string;
  #revision: number;
  #queue: Pending[] = [];
  #draining: Promise<void> | null = null;
  #closed = false;

  /** Opens or makes the store in `directory`. Throws StoreError; StoreInUseError when another living process has it open. */
  constructor(directory: string, options: { history?: number } = {}) {
    this.#directory = directory;
    this.#owner = join(directory, 'owner');
    const file = join(directory, 'data.mdb');
    try {
      makeDirectory(directory, 0o700);
      takeOwnership(this.#owner, directory);
    } catch (error) {
      throw storeError(directory, error);
    }
    let database: RootDatabase<unknown, string> | undefined;
    try {
      checkLmdbFile(file);
      database = open<unknown, string>({
        ...{ path: file, encoding: 'json', noSubdir: true },
        eventTurnBatching: false, // we batch; lmdb's own leaves a rejection unhandled where a commit fails
      });
      this.#database = database;
      this.#revision = (this.#database.get(REVISION_KEY) as number | undefined) ?? 1;
      const rows = this.#database.getRange({ start: OBJECTS_FROM, end: OBJECTS_TO });
      const objects = [...rows].map(({ key, value }) => [key, value as Stored] as const);
      this.#memory = new MemoryStore({ ...options, initial: { revision: this.#revision, objects } });
    } catch (error) {
      void database?.close();
      rmSync(this.#owner, { force: true });
      throw storeError(directory, error);
    }
  }

  revision(): Promise<number> {
    return this.#memory.revision();
  }

  get(key: string): Promise<Stored | undefined> {
    return this.#memory.get(key);
  }

  list(prefix: string, range?: ListRange): Promise<StoreList> {
    return this.#memory.list(prefix, range);
  }

  commit(writes: readonly Write[]): Promise<CommitResult> {
    return new Promise((resolve, reject) => {
      if (this.#closed) return reject(new Error('the store is closed'));
      this.#queue.push({ writes, resolve, reject });
      this.#draining ??= this.#drain();
    });
  }

  watch(prefix: string, afterRevision: number, wake: () => void): Promise<StoreWatch> {
    return this.#memory.watch(prefix, afterRevision, wake);
  }

  compact(revision: number): Promise<void> {
    return this.#memory.compact(revision);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#draining;
    await this.#memory.close();
    await this.#database.close();
    rmSync(this.#owner, { force: true });
  }

  async #drain(): Promise<void> {
    await Promise.resolve(); // what is committed in this turn goes together
    while (this.#queue.length > 0) {
      const batch = this.#queue;
      this.#queue = [];
      try {
        await this.#persist(batch);
      } catch (error) {
        const failure = storeError(this.#directory, await causeOf(error));
        for (const { reject } of batch) reject(failure);
        continue;
      }
      for (const { writes, resolve } of batch) resolve(await this.#memory.commit(writes));
    }
    this.#draining = null;
  }

  /** Writes those of a batch that will succeed. Memory then takes the same decisions in the same order. */
  async #persist(batch: readonly Pending[]): Promise<void> {
    const changed = new Map<string, number>();
    const accepted: (readonly Write[])[] = [];
    for (const { writes } of batch) {
      if (!(await this.#holds(writes, changed))) continue;
      accepted.push(writes);
      const revision = this.#revision + accepted.length;
      for (const { key, object } of writes) changed.set(key, object === undefined ? 0 : revision);
    }
    if (accepted.length === 0) return;
    const last = this.#revision + accepted.length;
    await this.#database.transaction(() => {
      for (const [i, writes] of accepted.entries()) {
        const resourceVersion = String(this.#revision + 1 + i);
        for (const { key, object } of writes) {
          if (object === undefined) this.#database.remove(key);
          else this.#database.put(key, { ...object, metadata: { ...object.metadata, resourceVersion } });
        }
      }
      this.#database.put(REVISION_KEY, last);
    });
    await this.#database.flushed;
    this.#revision = last;
  }

  /** The conditions of MemoryStore.commit, with what earlier commits of the batch will have changed. */
  async #holds(writes: readonly Write[], changed: ReadonlyMap<string, number>): Promise<boolean> {
    for (const { key, object, expect } of writes) {
      const stored = await this.#memory.get(key);
      const current = changed.get(key) ?? (stored ? revisionOf(stored) : 0);
      if ((object === undefined && current === 0) || (expect !== undefined && current !== expect)) return false;
    }
    return true;
  }
}

function storeError(directory: string, error: unknown): StoreError {
  if (error instanceof StoreError) return error;
  return new StoreError(`store ${directory}: ${error instanceof Error ? error.message : String(error)}`, {
    cause: error,
  });
}

/** Why a commit failed. lmdb gives the cause as the rejection of a promise, which must not go unhandled; it comes in the same turn. */
async function causeOf(error: unknown): Promise<unknown> {
  const { commitError } = error as { commitError?: Promise<never> };
  if (!commitError) return error;
  const cause = commitError.catch((why: unknown) => why);
  return await Promise.race([cause, new Promise((resolve) => setImmediate(resolve, error))]);
}

/** One process at a time: a file with its id. That of a process which is gone is taken over. */
function takeOwnership(file: string, directory: string): void {
  for (;;) {
    try {
      const fd = openSync(file, 'wx', 0o600);
      writeSync(fd, String(process.pid));
      closeSync(fd);
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const pid = Number(readFileSync(file, 'utf8'));
    if (pid !== process.pid && isAlive(pid)) {
      throw new StoreInUseError(`store ${directory}: in use by process ${pid}`);
    }
    rmSync(file, { force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
