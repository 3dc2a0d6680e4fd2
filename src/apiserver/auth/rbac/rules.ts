// What one rule allows, and which rules cover which. After kubernetes/plugin/pkg/auth/authorizer/rbac (RuleAllows),
// pkg/apis/rbac/v1/evaluation_helpers.go, k8s.io/component-helpers/auth/rbac/validation/policy_comparator.go (Covers) and
// kubernetes/pkg/registry/rbac/validation/policy_compact.go.
import type { PolicyRule } from '../../../api/rbac-v1.ts';
import type { Attributes } from '../attributes.ts';

const ALL = '*';

export function ruleAllows(rule: PolicyRule, attributes: Attributes): boolean {
  if (!holds(rule.verbs, attributes.verb)) return false;
  if ('path' in attributes) return (rule.nonResourceURLs ?? []).some((url) => urlCovers(url, attributes.path));
  const { group, resource, subresource, name = '' } = attributes;
  const combined = subresource ? `${resource}/${subresource}` : resource;
  const names = rule.resourceNames ?? [];
  return (
    holds(rule.apiGroups, group) &&
    resourceCovers(rule.resources ?? [], combined) &&
    (names.length === 0 || names.includes(name))
  );
}

/** What of `wanted` no rule of `owned` covers, taken apart into its smallest rules. */
export function uncovered(owned: readonly PolicyRule[], wanted: readonly PolicyRule[]): PolicyRule[] {
  return wanted.flatMap(breakDown).filter((small) => !owned.some((rule) => covers(rule, small)));
}

/** Rules that differ in their verbs only become one. */
export function compact(rules: readonly PolicyRule[]): PolicyRule[] {
  const merged = new Map<string, PolicyRule>();
  for (const rule of rules) {
    const { verbs, ...what } = rule;
    const key = JSON.stringify([what.apiGroups, what.resources, what.resourceNames, what.nonResourceURLs]);
    const known = merged.get(key);
    if (known) known.verbs.push(...verbs.filter((verb) => !known.verbs.includes(verb)));
    else merged.set(key, { ...what, verbs: [...verbs] });
  }
  return [...merged.values()];
}

/** `{APIGroups:[""], Resources:["pods"], Verbs:["get" "list"]}` */
export function describeRule(rule: PolicyRule): string {
  const part = (name: string, list: readonly string[] = []): string[] =>
    list.length > 0 ? [`${name}:${quoted(list)}`] : [];
  const parts = [
    ...part('APIGroups', rule.apiGroups),
    ...part('Resources', rule.resources),
    ...part('NonResourceURLs', rule.nonResourceURLs),
    ...part('ResourceNames', rule.resourceNames),
    ...part('Verbs', rule.verbs),
  ];
  return `{${parts.join(', ')}}`;
}

/** A list of strings as Go's %q prints it. */
export function quoted(list: readonly string[]): string {
  return `[${list.map((item) => JSON.stringify(item)).join(' ')}]`;
}

function holds(list: readonly string[] = [], item: string): boolean {
  return list.includes(ALL) || list.includes(item);
}

function resourceCovers(owned: readonly string[], wanted: string): boolean {
  if (holds(owned, wanted)) return true;
  const slash = wanted.indexOf('/');
  return slash >= 0 && owned.includes(`${ALL}${wanted.slice(slash)}`);
}

function urlCovers(owned: string, wanted: string): boolean {
  if (owned === ALL || owned === wanted) return true;
  return owned.endsWith(ALL) && wanted.startsWith(owned.replace(/\*+$/, ''));
}

/** One verb, one group, one resource, at most one name; or one verb and one path. */
function breakDown({
  verbs = [],
  apiGroups = [],
  resources = [],
  resourceNames = [],
  nonResourceURLs = [],
}: PolicyRule) {
  const small: PolicyRule[] = [];
  for (const verb of verbs) {
    for (const group of apiGroups) {
      for (const resource of resources) {
        const rule = { verbs: [verb], apiGroups: [group], resources: [resource] };
        if (resourceNames.length === 0) small.push(rule);
        for (const name of resourceNames) small.push({ ...rule, resourceNames: [name] });
      }
    }
    for (const url of nonResourceURLs) small.push({ verbs: [verb], nonResourceURLs: [url] });
  }
  return small;
}

/** `small` comes from breakDown. */
function covers(rule: PolicyRule, small: PolicyRule): boolean {
  if (!holds(rule.verbs, small.verbs[0]!)) return false;
  const url = small.nonResourceURLs?.[0];
  if (url !== undefined) return (rule.nonResourceURLs ?? []).some((owned) => urlCovers(owned, url));
  const names = rule.resourceNames ?? [];
  const name = small.resourceNames?.[0];
  return (
    holds(rule.apiGroups, small.apiGroups![0]!) &&
    resourceCovers(rule.resources ?? [], small.resources![0]!) &&
    (names.length === 0 || (name !== undefined && names.includes(name)))
  );
}
