// Who may do what through HTTPS: bindings, refusals as the real server words them, escalation, impersonation, reviews.
import t, { type Test } from 'tap';
import type { PolicyRule, RoleBinding, Subject } from '../../../../src/api/rbac-v1.ts';
import {
  CLUSTERROLEBINDINGS,
  CLUSTERROLES,
  NAMESPACES as NAMESPACES_TYPE,
  PODS,
  ROLEBINDINGS,
  ROLES,
  SERVICEACCOUNTS,
} from '../../../../src/api/resources.ts';
import { namespace, pod } from '../../../support/api.ts';
import { HttpsApi } from '../../../support/https-api.ts';

const USERS = {
  alice: { name: 'alice', groups: ['devs'] },
  bob: { name: 'bob', groups: [] },
};
const RBAC = 'rbac.authorization.k8s.io';
const ALICE: Subject = { kind: 'User', name: 'alice' };
const PODS_PATH = '/api/v1/namespaces/default/pods';
const SSAR = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews';

async function world(t: Test) {
  const https = await HttpsApi.start(t, { users: USERS });
  const client = https.api.client();
  const role = (name: string, rules: PolicyRule[], ns = 'default') =>
    client.create(ROLES, { apiVersion: `${RBAC}/v1`, kind: 'Role', metadata: { name, namespace: ns }, rules });
  const bind = (ref: string, subject: Subject, ns = 'default') => {
    const [kind = '', name = ''] = ref.split('/');
    const binding = { roleRef: { apiGroup: RBAC, kind, name }, subjects: [subject] };
    const metadata = { generateName: 'b-', ...(ns ? { namespace: ns } : {}) };
    return ns
      ? client.create(ROLEBINDINGS, { apiVersion: `${RBAC}/v1`, kind: 'RoleBinding', metadata, ...binding })
      : client.create(CLUSTERROLEBINDINGS, {
          apiVersion: `${RBAC}/v1`,
          kind: 'ClusterRoleBinding',
          metadata,
          ...binding,
        });
  };
  const as = (token: string, method: string, path: string, body?: unknown, headers: Record<string, string> = {}) =>
    https.fetch(method, path, { token, headers, ...(body === undefined ? {} : { body }) });
  return { https, client, role, bind, as };
}

t.test('a role in a Namespace opens what it names there, and nothing else', async (t) => {
  const { client, role, bind, as } = await world(t);
  await client.create(NAMESPACES_TYPE, namespace('other'));
  await client.create(PODS, pod('web'));
  t.match(await as('alice', 'GET', PODS_PATH), {
    code: 403,
    json: {
      reason: 'Forbidden',
      message: 'pods is forbidden: User "alice" cannot list resource "pods" in API group "" in the namespace "default"',
      details: { kind: 'pods' },
    },
  });
  await role('reader', [
    { verbs: ['get', 'list', 'watch'], apiGroups: [''], resources: ['pods'] },
    { verbs: ['get'], apiGroups: [''], resources: ['configmaps'], resourceNames: ['one'] },
    { verbs: ['get', 'patch'], apiGroups: ['apps'], resources: ['deployments/scale'] },
  ]);
  await bind('Role/reader', ALICE);
  const cases: [string, string, number, string?][] = [
    ['GET', PODS_PATH, 200],
    ['GET', `${PODS_PATH}/web`, 200],
    ['GET', `${PODS_PATH}?watch=true&timeoutSeconds=1`, 200],
    ['GET', '/api/v1/pods', 403, 'cannot list resource "pods" in API group "" at the cluster scope'],
    ['GET', '/api/v1/namespaces/other/pods', 403, 'in the namespace "other"'],
    ['DELETE', `${PODS_PATH}/web`, 403, 'pods "web" is forbidden: User "alice" cannot delete resource "pods"'],
    ['DELETE', PODS_PATH, 403, 'cannot deletecollection resource "pods"'],
    ['GET', `${PODS_PATH}/web/log`, 403, 'cannot get resource "pods/log"'],
    ['PUT', `${PODS_PATH}/web/status`, 403, 'cannot update resource "pods/status"'],
    ['GET', '/api/v1/namespaces/default/configmaps/one', 404],
    ['GET', '/api/v1/namespaces/default/configmaps/two', 403],
    ['GET', '/api/v1/namespaces/default/configmaps', 403],
    ['GET', '/api/v1/namespaces/default/configmaps?fieldSelector=metadata.name%3Done', 403],
    ['GET', '/apis/apps/v1/namespaces/default/deployments/d/scale', 404],
    ['GET', '/apis/apps/v1/namespaces/default/deployments/d', 403, 'deployments.apps "d" is forbidden'],
    ['GET', '/api/v1/namespaces/default', 403, 'resource "namespaces" in API group "" in the namespace "default"'],
    ['GET', '/api/v1/nodes', 403, 'nodes is forbidden: User "alice" cannot list resource "nodes"'],
    ['GET', '/apis', 200],
    ['GET', '/metrics', 403, 'forbidden: User "alice" cannot get path "/metrics"'],
  ];
  for (const [method, path, code, message] of cases) {
    const answer = await as('alice', method, path, method === 'PUT' ? {} : undefined);
    t.equal(answer.code, code, `${method} ${path}`);
    if (message) t.ok(answer.json.message.includes(message), answer.json.message);
  }
  t.equal((await as('bob', 'GET', PODS_PATH)).code, 403, 'somebody else');
});

t.test('groups, service accounts and the default roles; a role that is gone is told', async (t) => {
  const { https, client, bind, as } = await world(t);
  await bind('ClusterRole/system:aggregate-to-view', { kind: 'Group', name: 'devs' });
  t.equal((await as('alice', 'GET', PODS_PATH)).code, 200, 'by her group');
  t.equal((await as('alice', 'GET', '/api/v1/namespaces/default/secrets')).code, 403, 'a viewer sees no secrets');
  await client.create(SERVICEACCOUNTS, {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name: 'robot', namespace: 'default' },
  });
  const { token } = (await client.createToken('default', 'robot', {})).status;
  t.match((await https.fetch('GET', PODS_PATH, { token })).json, {
    message: /User "system:serviceaccount:default:robot" cannot list/,
  });
  await bind('ClusterRole/cluster-admin', { kind: 'ServiceAccount', name: 'robot', namespace: 'default' }, '');
  t.equal((await https.fetch('GET', '/api/v1/nodes', { token })).code, 200);
  await bind('ClusterRole/nope', { kind: 'User', name: 'bob' });
  t.match((await as('bob', 'GET', PODS_PATH)).json, {
    message: /in the namespace "default": RBAC: clusterrole\.rbac\.authorization\.k8s\.io "nope" not found$/,
  });
});

t.test('nobody grants more than they have, unless they may', async (t) => {
  const { role, bind, as } = await world(t);
  const verbs = ['create', 'get', 'update', 'patch'];
  await role('manager', [
    { verbs, apiGroups: [RBAC], resources: ['roles', 'rolebindings'] },
    { verbs: ['get', 'list'], apiGroups: [''], resources: ['pods'] },
  ]);
  await bind('Role/manager', { kind: 'User', name: 'bob' });
  const roles = `/apis/${RBAC}/v1/namespaces/default/roles`;
  const body = (name: string, verbs: string[]) => ({
    metadata: { name },
    rules: [{ verbs, apiGroups: [''], resources: ['pods'] }],
  });
  t.equal((await as('bob', 'POST', roles, body('reader', ['get']))).code, 201);
  const refused = await as('bob', 'POST', roles, body('writer', ['get', 'delete', 'create']));
  t.match(refused, {
    code: 403,
    json: {
      message:
        'roles.rbac.authorization.k8s.io "writer" is forbidden: user "bob" (groups=["system:authenticated"]) is attempting to grant RBAC permissions not currently held:\n{APIGroups:[""], Resources:["pods"], Verbs:["delete" "create"]}',
    },
  });
  t.equal((await as('bob', 'PUT', `${roles}/reader`, body('reader', ['delete']))).code, 403);
  const merge = { 'Content-Type': 'application/merge-patch+json' };
  t.equal((await as('bob', 'PATCH', `${roles}/reader`, { metadata: { labels: { a: 'b' } } }, merge)).code, 200);
  const bindings = `/apis/${RBAC}/v1/namespaces/default/rolebindings`;
  const binding = (kind: string, name: string) => ({
    metadata: { name: `b-${name.replace(':', '-')}` },
    roleRef: { apiGroup: RBAC, kind, name },
    subjects: [ALICE],
  });
  t.equal((await as('bob', 'POST', bindings, binding('Role', 'reader'))).code, 201);
  t.match(await as('bob', 'POST', bindings, binding('ClusterRole', 'cluster-admin')), {
    code: 403,
    json: { message: /\n\{APIGroups:\["\*"\], Resources:\["\*"\], Verbs:\["\*"\]\}\n\{NonResourceURLs:/ },
  });
  t.match(await as('bob', 'POST', bindings, binding('ClusterRole', 'nope')), {
    code: 404,
    json: { message: 'clusterroles.rbac.authorization.k8s.io "nope" not found' },
  });
  await role('binder', [
    { verbs: ['bind'], apiGroups: [RBAC], resources: ['clusterroles'], resourceNames: ['cluster-admin'] },
  ]);
  await bind('Role/binder', { kind: 'User', name: 'bob' });
  t.equal((await as('bob', 'POST', bindings, binding('ClusterRole', 'cluster-admin'))).code, 201, 'he may bind it');
  await role('escalator', [{ verbs: ['escalate'], apiGroups: [RBAC], resources: ['roles'] }]);
  await bind('Role/escalator', { kind: 'User', name: 'bob' });
  t.equal((await as('bob', 'POST', roles, body('all', ['*']))).code, 201, 'he may escalate');
});

t.test('roles and bindings are checked, and a binding keeps its role', async (t) => {
  const { client, as, https, bind } = await world(t);
  await bind('ClusterRole/cluster-admin', ALICE, '');
  const roles = `/apis/${RBAC}/v1/namespaces/default/roles`;
  const bad = await as('alice', 'POST', roles, {
    metadata: { name: 'a/b' },
    rules: [
      { verbs: [], apiGroups: [''], resources: ['pods'] },
      { verbs: ['get'], nonResourceURLs: ['/x'] },
      { verbs: ['get'] },
    ],
  });
  t.match(bad, { code: 422 });
  for (const part of [
    `metadata.name: Invalid value: "a/b": may not contain '/'`,
    'rules[0].verbs: Required value: verbs must contain at least one value',
    'rules[1].nonResourceURLs: Invalid value: ["/x"]: namespaced rules cannot apply to non-resource URLs',
    'rules[2].apiGroups: Required value: resource rules must supply at least one api group',
    'rules[2].resources: Required value: resource rules must supply at least one resource',
  ]) {
    t.ok(bad.json.message.includes(part), part);
  }
  const binding: RoleBinding = {
    apiVersion: `${RBAC}/v1`,
    kind: 'RoleBinding',
    metadata: { name: 'b', namespace: 'default' },
    roleRef: { kind: 'ClusterRole', name: 'view' },
    subjects: [ALICE, { kind: 'ServiceAccount', name: 'x' }, { kind: 'Robot', name: 'r' }],
  };
  const path = `/apis/${RBAC}/v1/namespaces/default/rolebindings`;
  t.match((await https.fetch('POST', path, { body: binding })).json, {
    message:
      'RoleBinding.rbac.authorization.k8s.io "b" is invalid: subjects[2].kind: Unsupported value: "Robot": supported values: "ServiceAccount", "User", "Group"',
  });
  binding.subjects!.pop();
  const stored = await client.create(ROLEBINDINGS, binding);
  t.same(stored.roleRef, { apiGroup: RBAC, kind: 'ClusterRole', name: 'view' });
  t.same(stored.subjects, [
    { apiGroup: RBAC, ...ALICE },
    { kind: 'ServiceAccount', name: 'x' },
  ]);
  const changed = await https.fetch('PATCH', `${path}/b`, {
    headers: { 'Content-Type': 'application/merge-patch+json' },
    body: { roleRef: { name: 'edit' } },
  });
  t.match(changed, { code: 422, json: { message: /: roleRef: Invalid value: .*: cannot change roleRef$/ } });
});

t.test('to change what is not there is to create it', async (t) => {
  const { role, bind, as } = await world(t);
  await role('changer', [
    { verbs: ['patch', 'update'], apiGroups: [''], resources: ['configmaps'] },
    { verbs: ['patch', 'update'], apiGroups: ['coordination.k8s.io'], resources: ['leases'] },
  ]);
  await bind('Role/changer', ALICE);
  const maps = '/api/v1/namespaces/default/configmaps/m';
  const apply = () =>
    as(
      'alice',
      'PATCH',
      `${maps}?fieldManager=x`,
      { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'm' }, data: {} },
      { 'Content-Type': 'application/apply-patch+yaml' },
    );
  t.match(await apply(), {
    code: 403,
    json: { message: /^configmaps "m" is forbidden: User "alice" cannot create resource "configmaps"/ },
  });
  const lease = '/apis/coordination.k8s.io/v1/namespaces/default/leases/l';
  const put = () => as('alice', 'PUT', lease, { metadata: { name: 'l' }, spec: {} });
  t.match(await put(), { code: 403, json: { message: /cannot create resource "leases"/ } });
  await role('maker', [{ verbs: ['create'], apiGroups: ['*'], resources: ['*'] }]);
  await bind('Role/maker', ALICE);
  t.equal((await apply()).code, 201);
  t.equal((await put()).code, 201);
});

t.test('one may act as another, if one may', async (t) => {
  const { https, bind, as, client } = await world(t);
  await bind('ClusterRole/system:aggregate-to-view', ALICE);
  const asAlice = { 'Impersonate-User': 'alice' };
  t.equal((await https.fetch('GET', PODS_PATH, { headers: asAlice })).code, 200);
  t.match(await https.fetch('DELETE', `${PODS_PATH}/x`, { headers: asAlice }), {
    code: 403,
    json: { message: /User "alice" cannot delete/ },
  });
  t.match(await as('alice', 'GET', PODS_PATH, undefined, { 'Impersonate-User': 'root' }), {
    code: 403,
    json: {
      message:
        'users "root" is forbidden: User "alice" cannot impersonate resource "users" in API group "" at the cluster scope',
    },
  });
  const whoami = '/apis/authentication.k8s.io/v1/selfsubjectreviews';
  const robot = { 'Impersonate-User': 'system:serviceaccount:default:robot' };
  t.match((await https.fetch('POST', whoami, { body: {}, headers: robot })).json.status.userInfo, {
    username: 'system:serviceaccount:default:robot',
    groups: ['system:serviceaccounts', 'system:serviceaccounts:default', 'system:authenticated'],
  });
  const masters = { 'Impersonate-User': 'x', 'Impersonate-Group': 'system:masters' };
  t.equal((await https.fetch('GET', '/api/v1/nodes', { headers: masters })).code, 200, 'with a group');
  await client.create(CLUSTERROLES, {
    apiVersion: `${RBAC}/v1`,
    kind: 'ClusterRole',
    metadata: { name: 'impersonator' },
    rules: [{ verbs: ['impersonate'], apiGroups: [''], resources: ['users'] }],
  });
  await bind('ClusterRole/impersonator', { kind: 'User', name: 'bob' }, '');
  t.equal((await as('bob', 'GET', PODS_PATH, undefined, asAlice)).code, 200);
  t.match((await as('bob', 'GET', '/api/v1/nodes', undefined, masters)).json, {
    message: /groups "system:masters" is forbidden/,
  });
});

t.test('reviews answer as the authorizer decides', async (t) => {
  const { https, bind, as } = await world(t);
  await bind('ClusterRole/system:aggregate-to-view', ALICE);
  const ask = (attributes: object) => as('alice', 'POST', SSAR, { spec: { resourceAttributes: attributes } });
  t.match((await ask({ verb: 'list', resource: 'pods', namespace: 'default' })).json, {
    kind: 'SelfSubjectAccessReview',
    status: {
      allowed: true,
      reason:
        /^RBAC: allowed by RoleBinding "b-\w{5}\/default" of ClusterRole "system:aggregate-to-view" to User "alice"$/,
    },
  });
  t.same((await ask({ verb: 'list', resource: 'pods' })).json.status, { allowed: false });
  t.match(await as('alice', 'POST', SSAR, { spec: {} }), {
    code: 422,
    json: { message: /exactly one of nonResourceAttributes or resourceAttributes must be specified$/ },
  });
  t.match(await as('alice', 'POST', SSAR, { spec: { resourceAttributes: { verb: 1 } } }), { code: 400 });
  const path = { nonResourceAttributes: { path: '/metrics', verb: 'get' } };
  t.same((await as('alice', 'POST', SSAR, { spec: path })).json.status, { allowed: false });
  const rules = await as('alice', 'POST', '/apis/authorization.k8s.io/v1/selfsubjectrulesreviews', {
    spec: { namespace: 'default' },
  });
  t.ok(rules.json.status.resourceRules.some((rule: PolicyRule) => rule.resources?.includes('pods/log')));
  t.ok(rules.json.status.nonResourceRules.some((rule: PolicyRule) => rule.nonResourceURLs?.includes('/version')));
  t.equal(rules.json.status.incomplete, false);

  const sar = '/apis/authorization.k8s.io/v1/subjectaccessreviews';
  const question = { resourceAttributes: { verb: 'get', resource: 'pods', namespace: 'default' }, user: 'alice' };
  t.equal((await as('alice', 'POST', sar, { spec: question })).code, 403, 'about others ask those who may');
  t.match((await https.fetch('POST', sar, { body: { spec: question } })).json.status, { allowed: true });
  const local = (ns: string) => `/apis/authorization.k8s.io/v1/namespaces/${ns}/localsubjectaccessreviews`;
  t.match((await https.fetch('POST', local('default'), { body: { spec: question } })).json.status, { allowed: true });
  t.match(await https.fetch('POST', local('other'), { body: { spec: question } }), { code: 422 });

  const tokens = '/apis/authentication.k8s.io/v1/tokenreviews';
  t.match((await https.fetch('POST', tokens, { body: { spec: { token: 'alice' } } })).json.status, {
    authenticated: true,
    user: { username: 'alice', groups: ['devs', 'system:authenticated'] },
  });
  t.same((await https.fetch('POST', tokens, { body: { spec: { token: 'x' } } })).json.status, { user: {} });
});
