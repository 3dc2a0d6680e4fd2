// The directory of a running cluster: its control socket, the id of its process, the files of its netns Pods. One cluster at
// a time uses it. What a killed cluster left (namespaces, /etc/netns entries, files) is found by its marks and removed by the next.

import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { makeDirectory } from '../lib/make-directory.ts';

const NETNS_DIR = '/run/netns';
const ETC_NETNS = '/etc/netns';
/** sizeof sun_path without its final zero (unix(7)); what is longer is cut without a word. */
const MAX_SOCKET_PATH = 107;

export class RunDirError extends Error {}

export interface RunDir {
  readonly path: string;
  readonly controlSocket: string;
  /** Marks the network namespaces of clusters of this directory; a directory other than the default gets its own mark. */
  readonly netnsPrefix: string;
}

/** PODWIRE_RUN_DIR, or /run/podwire for root, or a directory of the user's own. */
export function runDir(env: Readonly<Record<string, string | undefined>> = process.env): RunDir {
  const usual =
    userInfo().uid === 0
      ? '/run/podwire'
      : env['XDG_RUNTIME_DIR']
        ? join(env['XDG_RUNTIME_DIR'], 'podwire')
        : join(tmpdir(), `podwire-${userInfo().uid}`);
  const path = env['PODWIRE_RUN_DIR'] || usual;
  const controlSocket = join(path, 'control.sock');
  if (Buffer.byteLength(controlSocket) > MAX_SOCKET_PATH) {
    throw new RunDirError(
      `PODWIRE_RUN_DIR=${path}: too long; a Unix socket's path has at most ${MAX_SOCKET_PATH} bytes`,
    );
  }
  const mark = path === usual ? '' : createHash('sha256').update(path).digest('hex').slice(0, 4);
  return { path, controlSocket, netnsPrefix: `pw${mark}_` };
}

/** The process of the cluster that uses the directory, if it is alive. */
export function runningPid(dir: RunDir): number | undefined {
  let pid: number;
  try {
    pid = Number(readFileSync(join(dir.path, 'pid'), 'utf8'));
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM' ? pid! : undefined;
  }
  return isPodwire(pid) ? pid : undefined;
}

/** Takes the directory for this process, after removing what a dead cluster left. Returns what was removed, for the user. */
export function claim(dir: RunDir): string[] {
  const pid = runningPid(dir);
  if (pid !== undefined && pid !== process.pid) {
    throw new RunDirError(`a cluster is already running (process ${pid}); end it with \`podwire down\``);
  }
  try {
    if (!isOurs(dir)) {
      throw new RunDirError(
        `PODWIRE_RUN_DIR=${dir.path}: holds files that are no cluster's; name a new or an empty directory`,
      );
    }
    const removed = removeLeftovers(dir);
    rmSync(dir.path, { recursive: true, force: true });
    makeDirectory(dir.path, 0o700);
    writeFileSync(join(dir.path, 'pid'), String(process.pid));
    return removed;
  } catch (cause) {
    if (cause instanceof RunDirError) throw cause;
    throw new RunDirError(`run directory: ${(cause as Error).message}; PODWIRE_RUN_DIR names another`, { cause });
  }
}

/** Everything in the directory is removed, so what is somebody else's is not taken: what a cluster made has its pid. */
function isOurs(dir: RunDir): boolean {
  return !existsSync(dir.path) || existsSync(join(dir.path, 'pid')) || readdirSync(dir.path).length === 0;
}

/** Gives the directory up. Namespaces must be gone by then; any that are not are removed. */
export function release(dir: RunDir): void {
  removeLeftovers(dir);
  rmSync(dir.path, { recursive: true, force: true });
}

function removeLeftovers(dir: RunDir): string[] {
  const removed: string[] = [];
  for (const name of ownNames(NETNS_DIR, dir.netnsPrefix)) {
    try {
      execFileSync('ip', ['netns', 'del', name], { stdio: 'ignore' });
      removed.push(`network namespace ${name}`);
    } catch {
      // another process may be removing it; what stays is reported by `ip netns`
    }
  }
  for (const name of ownNames(ETC_NETNS, dir.netnsPrefix)) {
    rmSync(join(ETC_NETNS, name), { recursive: true, force: true });
    removed.push(join(ETC_NETNS, name));
  }
  if (existsSync(ETC_NETNS) && readdirSync(ETC_NETNS).length === 0) rmSync(ETC_NETNS, { recursive: true });
  return removed;
}

function ownNames(directory: string, prefix: string): string[] {
  if (process.getuid?.() !== 0 || !existsSync(directory)) return [];
  return readdirSync(directory).filter((name) => name.startsWith(prefix));
}

/** A pid may have been given to another program since. */
function isPodwire(pid: number): boolean {
  try {
    return /node|podwire/.test(readFileSync(`/proc/${pid}/comm`, 'utf8'));
  } catch {
    return false;
  }
}
