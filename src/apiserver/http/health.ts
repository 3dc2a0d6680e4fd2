// /healthz, /livez and /readyz: "ok", or with ?verbose a line for each check; /livez/NAME asks one; ?exclude=NAME leaves one out. After
// k8s.io/apiserver/pkg/server/healthz; the checks are those of the real server that there is something to check for.
import { noSuchResource } from './resource-handler.ts';

export interface HealthChecks {
  /** Rejects when the store cannot be read. */
  readonly store: () => Promise<unknown>;
  readonly closing: () => boolean;
}

export interface Health {
  readonly code: number;
  readonly text: string;
}

export const HEALTH_PATH = /^\/(livez|readyz|healthz)(?:\/(.+))?$/;

/** Throws StatusError 404 for a check that there is not. */
export async function checkHealth(
  path: string,
  query: URLSearchParams,
  { store, closing }: HealthChecks,
): Promise<Health> {
  const [, kind = '', asked] = HEALTH_PATH.exec(path) ?? [];
  const checks = new Map<string, () => Promise<unknown>>([
    ['ping', async () => undefined],
    ['etcd', store],
  ]);
  if (kind === 'readyz') {
    checks.set('etcd-readiness', store);
    checks.set('shutdown', async () => {
      if (closing()) throw new Error('process is shutting down');
    });
  }
  if (asked !== undefined && !checks.has(asked)) throw noSuchResource();
  const excluded = new Set(query.getAll('exclude'));
  let report = '';
  let failed = false;
  for (const [name, check] of checks) {
    if (asked !== undefined && name !== asked) continue;
    if (excluded.delete(name)) {
      report += `[+]${name} excluded: ok\n`;
      continue;
    }
    try {
      await check();
      report += `[+]${name} ok\n`;
    } catch {
      failed = true;
      report += `[-]${name} failed: reason withheld\n`;
    }
  }
  if (excluded.size > 0) {
    const names = [...excluded].map((name) => JSON.stringify(name)).join(',');
    report += `warn: some health checks cannot be excluded: no matches for ${names}\n`;
  }
  if (failed) return { code: 500, text: `${report}${kind} check failed\n` };
  if (!query.has('verbose') || asked !== undefined) return { code: 200, text: 'ok' };
  return { code: 200, text: `${report}${kind} check passed\n` };
}
