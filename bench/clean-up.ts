// What a bench has made and has to take down, be it done, be it failed, be it ended by a signal: newest first. Signals wait only
// while there is something to take down; a second one ends the bench at once.
import { mkdtempSync, rmSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';

type Step = () => Promise<void> | void;

const SIGNALS: readonly NodeJS.Signals[] = ['SIGHUP', 'SIGINT', 'SIGTERM'];
const steps: Step[] = [];
let signalled = false;

/**
 * Notes how to take something down. What it gives does so: once, however often it is called. After a signal it takes down nothing and
 * never resolves: the bench, which loses what it stands on, goes no further.
 */
export function onEnd(step: Step): () => Promise<void> {
  if (steps.length === 0) for (const signal of SIGNALS) process.on(signal, end);
  steps.push(step);
  return async () => {
    if (signalled) await new Promise(() => {});
    const at = steps.indexOf(step);
    if (at < 0) return;
    steps.splice(at, 1);
    try {
      await step();
    } finally {
      if (steps.length === 0) for (const signal of SIGNALS) process.off(signal, end);
    }
  };
}

/** A directory for as long as it is needed. */
export function scratch(): { readonly dir: string; readonly remove: () => Promise<void> } {
  const dir = mkdtempSync(join(tmpdir(), 'podwire-bench-'));
  return { dir, remove: onEnd(() => rmSync(dir, { recursive: true, force: true })) };
}

function end(signal: NodeJS.Signals): void {
  const code = 128 + constants.signals[signal];
  if (signalled) process.exit(code);
  signalled = true;
  void takeDown().finally(() => process.exit(code));
}

async function takeDown(): Promise<void> {
  for (let step = steps.pop(); step; step = steps.pop()) {
    try {
      await step();
    } catch (error) {
      console.error(error);
    }
  }
}
