import t from 'tap';
import type { PolicyRule } from '../../../../src/api/rbac-v1.ts';
import type { Attributes } from '../../../../src/apiserver/auth/attributes.ts';
import { compact, describeRule, ruleAllows, uncovered } from '../../../../src/apiserver/auth/rbac/rules.ts';

const user = { name: 'u', groups: [] };
/** `get pods/log/NAME`, `list apps:deployments`, `get /healthz` */
function ask(text: string): Attributes {
  const [verb = '', what = ''] = text.split(' ');
  if (what.startsWith('/')) return { user, verb, path: what };
  const [resource = '', subresource, name] = what.replace(/^.*:/, '').split('/');
  const group = what.includes(':') ? what.split(':')[0]! : '';
  return { user, verb, group, resource, subresource: subresource || undefined, name };
}
const rule = (verbs: string, apiGroups: string[], resources: string, resourceNames: string[] = []): PolicyRule => ({
  verbs: verbs.split(','),
  apiGroups,
  resources: resources.split(','),
  resourceNames,
});
const url = (...nonResourceURLs: string[]): PolicyRule => ({ verbs: ['get'], nonResourceURLs });

t.test('a rule allows what it names, and no more', async (t) => {
  const cases: [PolicyRule, string, boolean][] = [
    [rule('get', [''], 'pods'), 'get pods', true],
    [rule('get', [''], 'pods'), 'list pods', false],
    [rule('get', [''], 'pods'), 'get pods/log', false],
    [rule('get', [''], 'pods/log'), 'get pods/log', true],
    [rule('get', [''], 'pods/log'), 'get pods', false],
    [rule('get', [''], 'pods/*'), 'get pods/log', false],
    [rule('get', [''], '*/log'), 'get pods/log', true],
    [rule('get', [''], '*/log'), 'get pods/status', false],
    [rule('get', [''], '*'), 'get pods/log', true],
    [rule('get', ['apps'], 'deployments'), 'get apps:deployments', true],
    [rule('get', [''], 'deployments'), 'get apps:deployments', false],
    [rule('*', ['*'], '*'), 'impersonate x:y', true],
    [rule('*', ['*'], '*'), 'get /healthz', false],
    [rule('get', [''], 'pods', ['a']), 'get pods//a', true],
    [rule('get', [''], 'pods', ['a']), 'get pods//b', false],
    [rule('list', [''], 'pods', ['a']), 'list pods', false],
    [url('/healthz'), 'get /healthz', true],
    [url('/healthz'), 'get /healthz/ping', false],
    [url('/healthz/*'), 'get /healthz/ping', true],
    [url('/healthz/*'), 'get /healthz', false],
    [url('*'), 'get /anything', true],
    [url('/healthz'), 'post /healthz', false],
  ];
  for (const [given, asked, expected] of cases) {
    t.equal(ruleAllows(given, ask(asked)), expected, `${describeRule(given)}: ${asked}`);
  }
});

t.test('what rules do not cover is named in its smallest parts, and put together again', async (t) => {
  const owned = [rule('get,list', [''], 'pods,services'), rule('get', ['apps'], '*'), url('/healthz/*')];
  const lacking = (...wanted: PolicyRule[]) => compact(uncovered(owned, wanted)).map(describeRule);
  t.same(lacking(rule('get', [''], 'pods')), []);
  t.same(lacking(rule('get', [''], 'pods', ['x'])), []);
  t.same(lacking(rule('get', ['apps'], 'deployments/scale')), []);
  t.same(lacking(url('/healthz/x')), []);
  t.same(lacking(url('/healthz')), ['{NonResourceURLs:["/healthz"], Verbs:["get"]}']);
  t.same(lacking(rule('get,list,watch,delete', [''], 'pods,secrets')), [
    '{APIGroups:[""], Resources:["secrets"], Verbs:["get" "list" "watch" "delete"]}',
    '{APIGroups:[""], Resources:["pods"], Verbs:["watch" "delete"]}',
  ]);
  const named = [rule('get', [''], 'secrets', ['a'])];
  t.same(uncovered(named, [rule('get', [''], 'secrets', ['a'])]), []);
  t.equal(uncovered(named, [rule('get', [''], 'secrets')]).length, 1, 'one name is not all names');
  t.equal(uncovered([rule('get', [''], 'pods')], [rule('*', [''], 'pods')]).length, 1, 'a verb is not all verbs');
});
