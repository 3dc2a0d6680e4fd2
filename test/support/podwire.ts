// Runs the built podwire command as a user does, with a run directory of its own, so that tests do not meet each other or a
// cluster of the user's.
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import { runDir } from '../../src/cluster/run-dir.ts';

const COMMAND = join(import.meta.dirname, '../../src/cli/podwire.js');
export const ROOT = join(import.meta.dirname, '../../..');

export interface Result {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export class Podwire {
  readonly dir: string;
  readonly netnsPrefix: string;
  readonly #env: NodeJS.ProcessEnv;

  constructor(t: Test) {
    // Short: a Unix socket's path has at most 107 bytes.
    const parent = mkdtempSync(join(tmpdir(), 'podwire-'));
    t.teardown(() => rmSync(parent, { recursive: true, force: true }));
    this.dir = join(parent, 'run');
    this.#env = { ...process.env, PODWIRE_RUN_DIR: this.dir };
    this.netnsPrefix = runDir({ PODWIRE_RUN_DIR: this.dir }).netnsPrefix;
  }

  /** Runs to its end. */
  run(...args: readonly string[]): Promise<Result> {
    return collect(this.spawn(...args));
  }

  spawn(...args: readonly string[]): ChildProcess {
    // tap puts a loader into NODE_OPTIONS of every child; the command must run as at a user's.
    return spawn('env', ['-u', 'NODE_OPTIONS', process.execPath, COMMAND, ...args], {
      env: this.#env,
      cwd: ROOT,
      stdio: ['pipe', 'pipe', 'pipe'],
    });
  }

  /** Starts `podwire up`, resolves once it says that the cluster is up. It is taken down when the test ends. */
  async up(t: Test, ...args: readonly string[]): Promise<ChildProcess> {
    const child = this.spawn('up', ...args);
    t.teardown(async () => {
      if (child.exitCode === null && child.signalCode === null) {
        child.kill('SIGTERM');
        await new Promise((resolve) => child.once('exit', resolve));
      }
    });
    let output = '';
    await new Promise<void>((resolve, reject) => {
      const heard = (chunk: Buffer): void => {
        output += chunk.toString();
        if (output.includes('cluster is up')) resolve();
      };
      child.stdout!.on('data', heard);
      child.stderr!.on('data', heard);
      child.once('exit', (code) => reject(new Error(`podwire up ended with ${code}:\n${output}`)));
    });
    child.once('exit', (code, signal) => {
      if (code === 1) t.comment(`podwire up ended by itself with ${code ?? signal}:\n${output}`); // why all that follows fails
    });
    return child;
  }

  exec(pod: string, ...command: readonly string[]): Promise<Result> {
    return this.run('exec', pod, '--', ...command);
  }

  /** Everything of this cluster that is still on the machine: namespaces, /etc/netns entries, processes, files. */
  leftovers(): string[] {
    const named = (directory: string): string[] =>
      existsSync(directory)
        ? readdirSync(directory)
            .filter((n) => n.startsWith(this.netnsPrefix))
            .map((n) => join(directory, n))
        : [];
    const processes = readdirSync('/proc').filter((pid) => {
      if (!/^\d+$/.test(pid)) return false;
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(`/run/netns/${this.netnsPrefix}`);
      } catch {
        return false;
      }
    });
    const mounts = readFileSync('/proc/self/mountinfo', 'utf8')
      .split('\n')
      .filter((l) => l.includes(this.dir) || l.includes(this.netnsPrefix));
    return [
      ...named('/run/netns'),
      ...named('/etc/netns'),
      ...processes.map((p) => `process ${p}`),
      ...mounts.map((m) => `mount ${m}`),
      ...(existsSync(this.dir) ? [this.dir] : []),
    ];
  }
}

export function collect(child: ChildProcess): Promise<Result> {
  child.stdin?.end();
  let stdout = '';
  let stderr = '';
  child.stdout?.on('data', (chunk: Buffer) => {
    stdout += chunk.toString();
  });
  child.stderr?.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  return new Promise((resolve) => child.once('close', (code) => resolve({ code: code ?? -1, stdout, stderr })));
}

/** For waits that only a hang makes this long, however loaded the machine is. */
const HANGS_AFTER_MS = 90_000;

/** Polls until `done` holds; throws when it seems to hang. For waiting on real processes, which no virtual clock moves. */
export async function eventually(what: string, done: () => Promise<boolean> | boolean): Promise<void> {
  const end = Date.now() + HANGS_AFTER_MS;
  while (!(await done())) {
    if (Date.now() > end) throw new Error(`not within ${HANGS_AFTER_MS} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
