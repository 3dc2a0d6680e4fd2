import t from 'tap';
import { CONFIGMAPS as CONFIGMAPS_TYPE } from '../../../src/api/resources.ts';
import { HttpsApi } from '../../support/https-api.ts';
import { eventually } from '../../support/podwire.ts';

const CONFIGMAPS = '/api/v1/namespaces/default/configmaps';
const TABLE = 'application/json;as=Table;v=v1;g=meta.k8s.io,application/json';
const configMap = (name: string, data: Record<string, string> = {}) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name },
  data,
});

t.test('who shows no credential gets health and the version, who shows a wrong one nothing', async (t) => {
  const https = await HttpsApi.start(t);
  const refused = await https.fetch('GET', CONFIGMAPS, { anonymous: true });
  const why = 'User "system:anonymous" cannot list resource "configmaps" in API group "" in the namespace "default"';
  t.match(refused, { code: 403, json: { reason: 'Forbidden', message: `configmaps is forbidden: ${why}` } });
  t.match(await https.fetch('GET', '/apis', { anonymous: true }), {
    code: 403,
    json: { message: 'forbidden: User "system:anonymous" cannot get path "/apis"', details: {} },
  });
  for (const path of [CONFIGMAPS, '/healthz']) {
    t.match(await https.fetch('GET', path, { token: 'nonsense' }), {
      code: 401,
      json: { kind: 'Status', reason: 'Unauthorized', message: 'Unauthorized', code: 401 },
    });
  }
  for (const path of ['/healthz', '/livez', '/readyz']) {
    t.match(await https.fetch('GET', path, { anonymous: true }), { code: 200, text: 'ok' }, path);
  }
  t.match((await https.fetch('GET', '/version', { anonymous: true })).json, { major: '1', minor: '35' });
});

t.test('objects are created, read, listed, changed and deleted', async (t) => {
  const https = await HttpsApi.start(t);
  const created = await https.fetch('POST', CONFIGMAPS, { body: configMap('a', { x: '1' }) });
  t.match(created, { code: 201, json: { kind: 'ConfigMap', metadata: { namespace: 'default', name: 'a' } } });
  t.match(await https.fetch('POST', CONFIGMAPS, { body: configMap('a') }), {
    code: 409,
    json: { reason: 'AlreadyExists', message: 'configmaps "a" already exists' },
  });
  const patch = { headers: { 'Content-Type': 'application/merge-patch+json' }, body: { data: { y: '2' } } };
  t.same((await https.fetch('PATCH', `${CONFIGMAPS}/a`, patch)).json.data, { x: '1', y: '2' });
  const stale = await https.fetch('PUT', `${CONFIGMAPS}/a`, { body: created.json });
  t.match(stale, { code: 409, json: { reason: 'Conflict' } });
  await https.fetch('POST', CONFIGMAPS, { body: configMap('b') });
  const page = (await https.fetch('GET', `${CONFIGMAPS}?limit=1`)).json;
  t.match(page, { kind: 'ConfigMapList', items: [{ metadata: { name: 'a' } }], metadata: { remainingItemCount: 1 } });
  const next = (await https.fetch('GET', `${CONFIGMAPS}?limit=1&continue=${page.metadata.continue}`)).json;
  t.match(next.items, [{ metadata: { name: 'b' } }]);
  t.match(await https.fetch('DELETE', `${CONFIGMAPS}/a`), { code: 200, json: { kind: 'Status', status: 'Success' } });
  t.match(await https.fetch('GET', `${CONFIGMAPS}/a`), {
    code: 404,
    json: { message: 'configmaps "a" not found', details: { name: 'a', kind: 'configmaps' } },
  });
  const dry = await https.fetch('POST', `${CONFIGMAPS}?dryRun=All`, { body: configMap('c') });
  t.equal(dry.code, 201);
  t.equal((await https.fetch('GET', `${CONFIGMAPS}/c`)).code, 404, 'a dry run leaves nothing');
});

t.test('YAML comes in and goes out', async (t) => {
  const https = await HttpsApi.start(t);
  const answer = await https.fetch('POST', CONFIGMAPS, {
    headers: { 'Content-Type': 'application/yaml', Accept: 'application/yaml' },
    body: 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: z}\ndata: {a: "b"}\n',
  });
  t.equal(answer.code, 201);
  t.match(answer.text, /\ndata:\n {2}a: b\n/);
});

t.test('a Table has rows with metadata, all columns, and no objects', async (t) => {
  const https = await HttpsApi.start(t);
  await https.fetch('POST', CONFIGMAPS, { body: configMap('a', { x: '1' }) });
  const { json } = await https.fetch('GET', CONFIGMAPS, { headers: { Accept: TABLE } });
  t.match(json, { kind: 'Table', apiVersion: 'meta.k8s.io/v1', metadata: { resourceVersion: /^\d+$/ } });
  t.same(
    json.columnDefinitions.map((column: { name: string }) => column.name),
    ['Name', 'Data', 'Age'],
  );
  t.match(json.rows, [{ cells: ['a', 1, '0s'], object: { kind: 'PartialObjectMetadata', metadata: { name: 'a' } } }]);
});

t.test('people and their tools get JSON that is laid out', async (t) => {
  const https = await HttpsApi.start(t);
  await https.fetch('POST', CONFIGMAPS, { body: configMap('a') });
  const text = async (query: string, agent: string): Promise<string> =>
    (await https.fetch('GET', CONFIGMAPS + query, { headers: { 'User-Agent': agent } })).text;
  t.match(await text('/a', 'curl/8.0'), /^{\n {2}"apiVersion": "v1",\n(.*\n)*}$/);
  t.match(await text('', 'Mozilla/5.0 (X11)'), /^{\n {2}"apiVersion": "v1",\n {2}"kind": "ConfigMapList",\n/);
  t.match(await text('/none?pretty=true', 'kubectl'), /^{\n {2}"kind": "Status",\n/);
  t.match(await text('/a?pretty=0', 'curl/8.0'), /^{"apiVersion":"v1",.*}\n$/);
  t.match(await text('?watch=1&timeoutSeconds=1', 'curl/8.0'), /^{"type":"ADDED",.*}\n$/, 'lines stay lines');
});

t.test('a watch sends what is there and what comes, each on a line, and ends in time', async (t) => {
  const https = await HttpsApi.start(t);
  await https.fetch('POST', CONFIGMAPS, { body: configMap('a') });
  const seen: string[] = [];
  const watch = https.watch(`${CONFIGMAPS}?watch=true&timeoutSeconds=1`, ({ type, object }) => {
    seen.push(`${type} ${(object['metadata'] as { name: string }).name}`);
  });
  t.teardown(() => watch.close());
  await eventually('the first event', () => seen.length === 1);
  await https.fetch('POST', CONFIGMAPS, { body: configMap('b') });
  await https.fetch('DELETE', `${CONFIGMAPS}/b`);
  await watch.ended;
  t.same(seen, ['ADDED a', 'ADDED b', 'DELETED b']);
});

t.test('a watch that wants bookmarks ends with one', async (t) => {
  const https = await HttpsApi.start(t);
  await https.fetch('POST', CONFIGMAPS, { body: configMap('a') });
  const query =
    'watch=true&allowWatchBookmarks=true&timeoutSeconds=1&resourceVersion=1&fieldSelector=metadata.name%3Dnone';
  const { text } = await https.fetch('GET', `${CONFIGMAPS}?${query}`);
  const revision = String(await https.api.store.revision());
  t.same(JSON.parse(text), {
    type: 'BOOKMARK',
    object: { apiVersion: 'v1', kind: 'ConfigMap', metadata: { resourceVersion: revision } },
  });
});

t.test('a watch from history that is gone says so in an ERROR event', async (t) => {
  const https = await HttpsApi.start(t);
  for (let i = 0; i < 3; i++) await https.fetch('POST', CONFIGMAPS, { body: configMap(`m${i}`) });
  await https.api.store.compact(await https.api.store.revision());
  const { code, text } = await https.fetch('GET', `${CONFIGMAPS}?watch=true&resourceVersion=1`);
  t.equal(code, 200);
  t.match(JSON.parse(text), {
    type: 'ERROR',
    object: { kind: 'Status', code: 410, reason: 'Expired', message: /^too old resource version: 1 \(\d+\)$/ },
  });
  const future = await https.fetch('GET', `${CONFIGMAPS}?watch=true&resourceVersion=1000000`);
  t.match(future, { code: 504, json: { message: /^Too large resource version: 1000000, current: \d+$/ } });
});

t.test('bad input gets a Status that says what is wrong', async (t) => {
  const https = await HttpsApi.start(t);
  const post = (body: unknown, type: string) =>
    https.fetch('POST', CONFIGMAPS, { body, headers: { 'Content-Type': type } });
  t.match(await post('{', 'application/json'), { code: 400, json: { reason: 'BadRequest' } });
  t.match(await post('a: [', 'application/yaml'), { code: 400, json: { reason: 'BadRequest' } });
  t.match(await post('k8s', 'application/vnd.kubernetes.protobuf'), { code: 400, json: { reason: 'BadRequest' } });
  t.match(await post('<a/>', 'text/xml'), { code: 415, json: { reason: 'UnsupportedMediaType' } });
  t.match(await post('', 'application/json'), { code: 400 });
  t.match(await post('[]', 'application/json'), { code: 400 });
  const big = await post(configMap('big', { x: 'x'.repeat(5 << 20) }), 'application/json');
  t.match(big, { code: 413, json: { message: 'Request entity too large: limit is 3145728' } });
  const strict = await https.fetch('POST', `${CONFIGMAPS}?fieldValidation=Strict`, {
    body: { ...configMap('s'), dta: {} },
  });
  t.match(strict, { code: 400, json: { message: /strict decoding error: unknown field "dta"/ } });
  t.match(await https.fetch('GET', '/api/v1/namespaces/default/wombats'), { code: 404 });
  t.match(await https.fetch('GET', '/apis/example.com/v1/wombats'), { code: 404 });
  t.match(await https.fetch('GET', '/nothing'), { code: 404, json: { kind: 'Status' } });
  t.match(await https.fetch('GET', `${CONFIGMAPS}?limit=many`), { code: 400 });
  t.match(await https.fetch('GET', CONFIGMAPS, { headers: { Accept: 'image/png' } }), { code: 406 });
  t.match(await https.fetch('OPTIONS', CONFIGMAPS), { code: 405 });
  t.match(await https.fetch('GET', `/api/v1/namespaces/default/%zz`), { code: 400 });
  t.match(await https.fetch('PUT', `${CONFIGMAPS}/x`, { body: configMap('y') }), {
    code: 400,
    json: { message: 'the name of the object (y) does not match the name on the URL (x)' },
  });
});

t.test('discovery names every resource, aggregated or one by one', async (t) => {
  const https = await HttpsApi.start(t);
  const accept = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json';
  const aggregated = await https.fetch('GET', '/apis', { headers: { Accept: accept } });
  t.equal(aggregated.headers['content-type'], 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList');
  const apps = aggregated.json.items.find((item: { metadata: { name: string } }) => item.metadata.name === 'apps');
  t.match(
    apps.versions[0].resources.find(({ resource }: { resource: string }) => resource === 'deployments'),
    {
      resource: 'deployments',
      responseKind: { group: 'apps', version: 'v1', kind: 'Deployment' },
      scope: 'Namespaced',
      shortNames: ['deploy'],
      subresources: [{ subresource: 'scale' }, { subresource: 'status' }],
    },
  );
  t.match((await https.fetch('GET', '/apis')).json, { kind: 'APIGroupList' });
  t.match((await https.fetch('GET', '/apis/apps')).json, { kind: 'APIGroup', preferredVersion: { version: 'v1' } });
  const list = (await https.fetch('GET', '/api/v1')).json;
  t.match(list, { kind: 'APIResourceList', groupVersion: 'v1' });
  t.ok(list.resources.some((r: { name: string }) => r.name === 'pods/log'));
  const { paths } = (await https.fetch('GET', '/openapi/v3')).json;
  const document = (await https.fetch('GET', paths['apis/apps/v1'].serverRelativeURL)).json;
  const parameters = document.paths['/apis/apps/v1/namespaces/{namespace}/deployments/{name}'].patch.parameters;
  t.ok(parameters.some((p: { name: string }) => p.name === 'fieldValidation'));
});

t.test('a slow watcher costs nothing but its own place in the history', async (t) => {
  const https = await HttpsApi.start(t);
  const client = https.api.client();
  const slow = https.watch(`${CONFIGMAPS}?watch=true`, () => {});
  t.teardown(() => slow.close());
  slow.pause();
  const big = 'x'.repeat(100_000);
  await https.fetch('POST', CONFIGMAPS, { body: configMap('big', { big }) });
  const before = process.memoryUsage().external + process.memoryUsage().arrayBuffers;
  for (let i = 0; i < 300; i++) {
    await client.patch(CONFIGMAPS_TYPE, 'default', 'big', 'merge', { data: { i: String(i) } });
  }
  const grown = process.memoryUsage().external + process.memoryUsage().arrayBuffers - before;
  t.ok(grown < 20e6, `30 MB of events wait in the history, not in ${Math.round(grown / 1e6)} MB of buffers`);
});

t.test('a PUT creates what may be created so, and says it', async (t) => {
  const https = await HttpsApi.start(t);
  const service = { apiVersion: 'v1', kind: 'Service', metadata: { name: 's' }, spec: { ports: [{ port: 80 }] } };
  const role = { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'Role', metadata: { name: 'r' }, rules: [] };
  for (const [path, body] of [
    ['/api/v1/namespaces/default/services/s', service],
    ['/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles/r', role],
  ] as const) {
    const created = await https.fetch('PUT', path, { body });
    t.equal(created.code, 201, path);
    t.equal((await https.fetch('PUT', path, { body: created.json })).code, 200, `${path} again`);
  }
  t.equal((await https.fetch('PUT', `${CONFIGMAPS}/c`, { body: configMap('c') })).code, 404, 'a ConfigMap is not');
});

t.test('a Job that is deleted without a policy leaves its Pods, with a warning', async (t) => {
  const https = await HttpsApi.start(t);
  const jobs = '/apis/batch/v1/namespaces/default/jobs';
  const template = { spec: { restartPolicy: 'Never', containers: [{ name: 'c', image: 'x' }] } };
  const make = (name: string) => https.fetch('POST', jobs, { body: { metadata: { name }, spec: { template } } });
  await make('a');
  const left = await https.fetch('DELETE', `${jobs}/a`);
  t.match(left.headers['warning'], /^299 - "child pods are preserved by default when jobs are deleted; /);
  t.same(left.json.metadata.finalizers, ['orphan']);
  await make('b');
  const gone = await https.fetch('DELETE', `${jobs}/b?propagationPolicy=Background`);
  t.equal(gone.headers['warning'], undefined);
  t.match(gone.json, { kind: 'Status', status: 'Success', details: { name: 'b', group: 'batch', kind: 'jobs' } });
});
