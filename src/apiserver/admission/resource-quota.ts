// The ResourceQuota plugin: what is made in a Namespace is charged to its quotas, and refused where one would be exceeded. After
// k8s.io/apiserver/pkg/admission/plugin/resourcequota (controller.go); wording as there. Charges stand in status.used at once; the
// controller counts anew when things go, and when a charge came to nothing.
import { type Amount, type Amounts, add, amountsOf, describeAmounts, formatAmount } from '../../api/amount.ts';
import type { Container, Pod, ResourceQuota } from '../../api/core-v1.ts';
import type { KubeObject, ResourceType, Stored } from '../../api/meta.ts';
import { inScope, scopesOf } from '../../api/quota/scopes.ts';
import { typeOfQuota, usageOf } from '../../api/quota/usage.ts';
import { PODS, RESOURCEQUOTAS, SERVICES } from '../../api/resources.ts';
import { isStatus } from '../../api/status-error.ts';
import { type AdmissionPlugin, type AdmissionRequest, forbidden, type Lookup } from './admission.ts';

const RETRIES = 3;
/** A quota on these asks every container to say what it takes. */
const EXPLICIT = /^((requests|limits)\.)?(cpu|memory)$/;

/** Writes status.used. Rejects with 409 when the quota has changed since. */
export type UpdateQuota = (quota: ResourceQuota) => Promise<unknown>;

export function resourceQuotaAdmission(update: UpdateQuota): AdmissionPlugin {
  /** One request after the other in each Namespace: else they would only meet at the quota. */
  const queues = new Map<string, Promise<void>>();
  return {
    name: 'ResourceQuota',
    async validate(request: AdmissionRequest, lookup: Lookup): Promise<void> {
      const { operation, subresource, draft, namespace, type } = request;
      const handled = operation === 'CREATE' || (operation === 'UPDATE' && type === SERVICES);
      if (!handled || subresource || !draft || !namespace) return;
      const quotas = () => lookup.all(RESOURCEQUOTAS, namespace);
      if ((await quotas()).length === 0) return;
      const before = queues.get(namespace) ?? Promise.resolve();
      const mine = before.then(() => charge(request, draft, quotas, update));
      const settled = mine.catch(() => {});
      queues.set(namespace, settled);
      try {
        await mine;
      } finally {
        if (queues.get(namespace) === settled) queues.delete(namespace);
      }
    },
  };
}

async function charge(
  request: AdmissionRequest,
  draft: KubeObject,
  quotas: () => Promise<readonly Stored<ResourceQuota>[]>,
  update: UpdateQuota,
): Promise<void> {
  for (let tries = 1; ; tries++) {
    const changed: ResourceQuota[] = [];
    for (const quota of await quotas()) {
      const next = charged(request, draft, quota);
      if (next) changed.push(next);
    }
    if (request.dryRun) return;
    try {
      for (const quota of changed) await update(quota);
      return;
    } catch (error) {
      if (!isStatus(error, 'Conflict') || tries > RETRIES) throw error;
    }
  }
}

/** The quota with the charge; undefined: it is not about this. Throws StatusError 403. */
function charged(
  request: AdmissionRequest,
  draft: KubeObject,
  quota: Stored<ResourceQuota>,
): ResourceQuota | undefined {
  const { type, name } = request;
  const hard = amountsOf(quota.status?.hard ?? quota.spec?.hard);
  const limited = [...hard.keys()].filter((resource) => typeOfQuota(resource) === type);
  if (limited.length === 0 || !matchesScopes(quota, type, draft)) return undefined;
  if (type === PODS) {
    const missing = unsaid(draft as Pod, limited);
    if (missing !== '') throw forbidden(type, name, `failed quota: ${quota.metadata.name}: must specify ${missing}`);
  }
  const used = amountsOf(quota.status?.used);
  if (limited.some((resource) => !used.has(resource))) {
    const why = `status unknown for quota: ${quota.metadata.name}, resources: ${[...limited].sort().join(',')}`;
    throw forbidden(type, name, why);
  }
  const delta = deltaOf(type, draft, request.old);
  const requested = limited.filter((resource) => delta.has(resource));
  if (requested.every((resource) => delta.get(resource)!.nano === 0n)) return undefined;
  const next = new Map<string, Amount>(requested.map((r) => [r, add(used.get(r), delta.get(r)!)]));
  const exceeded = requested.filter((r) => delta.get(r)!.nano > 0n && next.get(r)!.nano > hard.get(r)!.nano);
  if (exceeded.length > 0) {
    const [asked, was, limit] = [delta, used, hard].map((amounts) => describeAmounts(amounts, exceeded));
    throw forbidden(
      type,
      name,
      `exceeded quota: ${quota.metadata.name}, requested: ${asked}, used: ${was}, limited: ${limit}`,
    );
  }
  const texts = Object.fromEntries([...next].map(([resource, amount]) => [resource, formatAmount(amount)]));
  return { ...quota, status: { ...quota.status, used: { ...quota.status?.used, ...texts } } };
}

/** Quotas with scopes are about Pods only. */
function matchesScopes(quota: ResourceQuota, type: ResourceType, draft: KubeObject): boolean {
  const scopes = scopesOf(quota);
  return scopes.length === 0 || (type === PODS && scopes.every((scope) => inScope(draft as Pod, scope)));
}

/** On an update: what is more than before. */
function deltaOf(type: ResourceType, draft: KubeObject, old: KubeObject | undefined): Amounts {
  const usage = usageOf(type, draft);
  if (!old) return usage;
  const before = usageOf(type, old);
  const delta = new Map<string, Amount>();
  for (const [name, amount] of usage) {
    const nano = amount.nano - (before.get(name)?.nano ?? 0n);
    delta.set(name, { ...amount, nano: nano > 0n ? nano : 0n });
  }
  return delta;
}

/** `limits.cpu for: web; memory for: proxy,web` */
function unsaid(pod: Pod, limited: readonly string[]): string {
  const containers = [...pod.spec.containers, ...(pod.spec.initContainers ?? [])];
  return limited
    .filter((resource) => EXPLICIT.test(resource))
    .sort()
    .map((resource) => {
      const lacking = containers.filter((container) => !says(container, resource)).map(({ name }) => name);
      return lacking.length > 0 ? `${resource} for: ${lacking.sort().join(',')}` : '';
    })
    .filter((text) => text !== '')
    .join('; ');
}

function says({ resources }: Container, resource: string): boolean {
  const [, kind = 'requests', name = ''] = /^(?:(requests|limits)\.)?(.*)$/.exec(resource) ?? [];
  return resources?.[kind as 'requests' | 'limits']?.[name] !== undefined;
}
