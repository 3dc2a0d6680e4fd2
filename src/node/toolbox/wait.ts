// Waiting in a program: for a time on the Pod's clock, or until the process is told to end.
import type { ProcessContext } from '../workloads/program.ts';

/** Resolves after `ms`, or at once when the process is signalled. */
export function sleepMs(ctx: Pick<ProcessContext, 'clock' | 'signal'>, ms: number): Promise<void> {
  return new Promise((resolve) => {
    if (ctx.signal.aborted) return resolve();
    const timer = ctx.clock.after(ms * 1000, done);
    ctx.signal.addEventListener('abort', done, { once: true });
    function done(): void {
      timer.cancel();
      ctx.signal.removeEventListener('abort', done);
      resolve();
    }
  });
}

/** Resolves when the process is signalled. */
export function signalled(ctx: Pick<ProcessContext, 'signal'>): Promise<void> {
  return new Promise((resolve) => {
    if (ctx.signal.aborted) resolve();
    else ctx.signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

/** What `work` resolves to, or undefined once the process is signalled; leaves no listener behind. */
export async function unlessSignalled<T>(
  { signal }: Pick<ProcessContext, 'signal'>,
  work: Promise<T>,
): Promise<T | undefined> {
  if (signal.aborted) return undefined;
  let abandon = (): void => {};
  const stop = new Promise<undefined>((resolve) => {
    abandon = () => resolve(undefined);
  });
  signal.addEventListener('abort', abandon);
  return Promise.race([work, stop]).finally(() => signal.removeEventListener('abort', abandon));
}

const SIGNALS: Readonly<Record<string, number>> = { SIGINT: 2, SIGPIPE: 13, SIGKILL: 9, SIGTERM: 15 };

/** What a shell shows for a process that a signal ended. */
export function exitBySignal(signal: AbortSignal): number {
  return 128 + (SIGNALS[String(signal.reason)] ?? SIGNALS['SIGTERM']!);
}
