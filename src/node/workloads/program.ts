// A program of a userspace Pod: an async function over what a process would find around it. Workloads (web, coredns) and
// the toolbox (curl, dig, ping...) are all Programs; argv[0] picks one from the tables of the runtime.
import type { Readable, Writable } from 'node:stream';
import type { ApiClient } from '../../client/client.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Rng } from '../../lib/rng.ts';
import type { Stack } from '../../tcpip-ts/stack.ts';
import type { Terminal } from '../runtime/terminal.ts';

export interface ProcessContext {
  /** argv[0] is the name the program was called by. */
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Byte streams (no encoding set, never in object mode). stdin ends when the caller closes it. */
  readonly stdin: Readable;
  readonly stdout: Writable;
  readonly stderr: Writable;
  /** Whether stdout is a terminal. */
  readonly tty: boolean;
  /** The terminal that the process was started on: for a shell, which decides who is in its foreground. */
  readonly terminal?: Terminal;
  /** The Pod's own TCP/IP stack, shared by its processes. */
  readonly stack: Stack;
  /** The Pod's files by absolute path: /etc/resolv.conf, /etc/hosts, /etc/hostname, mounted volumes, what programs wrote. */
  readonly files: PodFiles;
  readonly cwd: string;
  readonly hostname: string;
  /** Host order. */
  readonly podIP: number;
  readonly clock: Clock;
  readonly rng: Rng;
  /** Present for workloads that a cluster would give API access (coredns). */
  readonly api?: ApiClient;
  /** Aborted when the process is to end: SIGTERM, or the Pod goes away. `reason` is 'SIGTERM' or 'SIGKILL'. */
  readonly signal: AbortSignal;
}

/** Resolves with the exit code. A rejection is a crash: exit code 1, the message on stderr. */
export type Program = (ctx: ProcessContext) => Promise<number>;

/** Finds the Program of a command name; what a shell's PATH lookup is. */
export type ProgramTable = ReadonlyMap<string, Program>;

/** A Pod's small in-memory file system: whole files only, no directories of their own. */
export class PodFiles {
  readonly #files = new Map<string, string>();

  read(path: string): string | undefined {
    return this.#files.get(path);
  }

  write(path: string, text: string): void {
    this.#files.set(path, text);
  }

  remove(path: string): boolean {
    return this.#files.delete(path);
  }

  /** Paths in order. */
  list(): string[] {
    return [...this.#files.keys()].sort();
  }
}
