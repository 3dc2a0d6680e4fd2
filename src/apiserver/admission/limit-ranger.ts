// The LimitRanger plugin: containers that do not say what they take get the Namespace's defaults, and Pods and containers that ask
// for less or more than its LimitRanges allow are refused. After kubernetes/plugin/pkg/admission/limitranger; wording as there.
// Left out: limits of claims and images, which are not served.
import { type Amount, add, amountsOf, formatAmount } from '../../api/amount.ts';
import type { Container, LimitRange, LimitRangeItem, Pod } from '../../api/core-v1.ts';
import { LIMITRANGES, PODS } from '../../api/resources.ts';
import { type AdmissionPlugin, forbidden } from './admission.ts';

type Kind = 'limits' | 'requests';
type Quantities = ReadonlyMap<string, Amount>;
type Resources = Readonly<Record<Kind, Quantities>>;

const ANNOTATION = 'kubernetes.io/limit-ranger';

export const limitRanger: AdmissionPlugin = {
  name: 'LimitRanger',
  async admit({ operation, type, subresource, draft, namespace = '' }, lookup): Promise<void> {
    if (operation !== 'CREATE' || type !== PODS || subresource || !draft) return;
    for (const range of await lookup.all(LIMITRANGES, namespace)) setDefaults(draft as Pod, range);
  },
  async validate({ operation, type, subresource, draft, name, namespace = '' }, lookup): Promise<void> {
    if (operation !== 'CREATE' || type !== PODS || subresource || !draft) return;
    for (const range of await lookup.all(LIMITRANGES, namespace)) {
      const wrong = (range.spec?.limits ?? []).flatMap((item) => violations(draft as Pod, item));
      if (wrong.length > 0) throw forbidden(type, name, wrong.length === 1 ? wrong[0]! : `[${wrong.join(', ')}]`);
    }
  },
};

function setDefaults({ metadata, spec }: Pod, range: LimitRange): void {
  const limits: Record<string, string> = {};
  const requests: Record<string, string> = {};
  for (const item of range.spec?.limits ?? []) {
    if (item.type !== 'Container') continue;
    Object.assign(limits, item.default);
    Object.assign(requests, item.defaultRequest);
  }
  const done: string[] = [];
  const fill = (container: Container, role: string): void => {
    const resources = container.resources ?? {};
    const set = (kind: Kind, defaults: Readonly<Record<string, string>>): void => {
      const missing = Object.keys(defaults).filter((name) => resources[kind]?.[name] === undefined);
      if (missing.length === 0) return;
      resources[kind] = { ...resources[kind], ...Object.fromEntries(missing.map((name) => [name, defaults[name]!])) };
      const what = kind === 'limits' ? 'limit' : 'request';
      done.push(`${missing.sort().join(', ')} ${what} for ${role} ${container.name}`);
    };
    set('requests', requests);
    set('limits', limits);
    container.resources = resources;
  };
  for (const container of spec.containers) fill(container, 'container');
  for (const container of spec.initContainers ?? []) fill(container, 'init container');
  if (done.length === 0) return;
  metadata.annotations = { ...metadata.annotations, [ANNOTATION]: `LimitRanger plugin set: ${done.join('; ')}` };
}

function violations({ spec }: Pod, item: LimitRangeItem): string[] {
  const all = [...spec.containers, ...(spec.initContainers ?? [])];
  if (item.type === 'Container') return all.flatMap((container) => check(item, resourcesOf(container)));
  return item.type === 'Pod' ? check(item, total(spec.containers, spec.initContainers ?? [])) : [];
}

function check(item: LimitRangeItem, { limits, requests }: Resources): string[] {
  const wrong: string[] = [];
  const show = formatAmount;
  for (const [name, least] of amountsOf(item.min)) {
    const rule = `minimum ${name} usage per ${item.type} is ${show(least)}`;
    const [limit, request] = [limits.get(name), requests.get(name)];
    if (!request) wrong.push(`${rule}.  No request is specified`);
    else if (request.nano < least.nano) wrong.push(`${rule}, but request is ${show(request)}`);
    if (limit && limit.nano < least.nano) wrong.push(`${rule}, but limit is ${show(limit)}`);
  }
  for (const [name, most] of amountsOf(item.max)) {
    const rule = `maximum ${name} usage per ${item.type} is ${show(most)}`;
    const [limit, request] = [limits.get(name), requests.get(name)];
    if (!limit) wrong.push(`${rule}.  No limit is specified`);
    else if (limit.nano > most.nano) wrong.push(`${rule}, but limit is ${show(limit)}`);
    if (request && request.nano > most.nano) wrong.push(`${rule}, but request is ${show(request)}`);
  }
  for (const [name, most] of amountsOf(item.maxLimitRequestRatio)) {
    const rule = `${name} max limit to request ratio per ${item.type} is ${show(most)}`;
    const [limit, request] = [limits.get(name), requests.get(name)];
    if (!request || request.nano === 0n) wrong.push(`${rule}, but no request is specified or request is 0`);
    else if (!limit || limit.nano === 0n) wrong.push(`${rule}, but no limit is specified or limit is 0`);
    else if (limit.nano * 1_000_000_000n > most.nano * request.nano) {
      wrong.push(`${rule}, but provided ratio is ${(Number(limit.nano) / Number(request.nano)).toFixed(6)}`);
    }
  }
  return wrong;
}

function resourcesOf({ resources }: Container): Resources {
  const requests = amountsOf(resources?.requests);
  const limits = amountsOf(resources?.limits);
  // Who names only a limit asks for as much.
  for (const [name, amount] of limits) if (!requests.has(name)) requests.set(name, amount);
  return { limits, requests };
}

/** All containers together, or one init container that takes more. */
function total(containers: readonly Container[], inits: readonly Container[]): Resources {
  const sum = (kind: Kind): Quantities => {
    const amounts = new Map<string, Amount>();
    for (const container of containers) {
      for (const [name, amount] of resourcesOf(container)[kind]) amounts.set(name, add(amounts.get(name), amount));
    }
    for (const init of inits) {
      for (const [name, amount] of resourcesOf(init)[kind]) {
        if (amount.nano > (amounts.get(name)?.nano ?? -1n)) amounts.set(name, amount);
      }
    }
    return amounts;
  };
  return { limits: sum('limits'), requests: sum('requests') };
}
