// podwire down: ends the running cluster.
import { rmSync } from 'node:fs';
import { runDir, runningPid } from '../../cluster/run-dir.ts';
import { CliError } from '../cli-error.ts';
import { ask } from '../control-client.ts';
import { detachedLog } from './up.ts';

const LIMIT_MS = 60_000;

export async function down(): Promise<void> {
  const dir = runDir();
  const pid = runningPid(dir);
  if (pid === undefined) {
    process.stdout.write('no cluster is running\n');
    return;
  }
  await ask('/down', 'POST');
  const end = Date.now() + LIMIT_MS;
  while (runningPid(dir) !== undefined) {
    if (Date.now() > end)
      throw new CliError(
        `process ${pid} has not ended; \`kill ${pid}\` ends it, and the next \`podwire up\` removes what it leaves`,
      );
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  rmSync(detachedLog(dir), { force: true });
  process.stdout.write('the cluster is down\n');
}
