// Whatever comes over the wire, the answer is a Status that says what is wrong, and the server goes on.
import { connect } from 'node:tls';
import t, { type Test } from 'tap';
import { type Answer, HttpsApi } from '../../support/https-api.ts';
import { fc } from '../../support/property.ts';

const PATH = '/api/v1/namespaces/default/configmaps';
const PATCHES = ['json-patch+json', 'merge-patch+json', 'strategic-merge-patch+json', 'apply-patch+yaml'];
const MANAGER = 'fieldManager=test';

async function withObject(t: Test): Promise<HttpsApi> {
  const api = await HttpsApi.start(t);
  await api.fetch('POST', PATH, { body: { metadata: { name: 'a' } } });
  return api;
}

function says({ code, json }: Answer): string {
  return `${code} ${json?.reason ?? ''}: ${json?.message ?? ''}`;
}

t.test('bodies that are broken, by every verb and form', async (t) => {
  const api = await withObject(t);
  const send = (method: string, path: string, type: string, body: string | Buffer): Promise<Answer> =>
    api.fetch(method, path, { body, headers: { 'Content-Type': `application/${type}` } });
  const broken: [string, string | Buffer][] = [
    ['json', '{"metadata":'],
    ['json', 'null'],
    ['json', '[]'],
    ['json', '"text"'],
    ['yaml', 'a: [1'],
    ['yaml', '- a'],
    ['yaml', 'a: &x [*x, *x]\nb: *nothing'],
    ['vnd.kubernetes.protobuf', 'k8s'],
    ['vnd.kubernetes.protobuf', Buffer.from('6b3873000aff', 'hex')],
  ];
  for (const [type, body] of broken) {
    t.match(says(await send('POST', PATH, type, body)), /^400 BadRequest: ./, `POST ${type} ${body}`);
    t.match(says(await send('PUT', `${PATH}/a`, type, body)), /^400 BadRequest: ./, `PUT ${type} ${body}`);
  }
  for (const type of PATCHES) {
    const answer = await send('PATCH', `${PATH}/a?${MANAGER}`, type, '{"metadata":');
    t.match(says(answer), /^400 BadRequest: error decoding (patch|YAML): /, type);
  }
  t.match(says(await send('DELETE', `${PATH}/a`, 'json', '{')), /^400 BadRequest: /);
  t.match(
    says(await send('POST', `${PATH}`, 'json', '{"metadata":{"name":7}}')),
    /^400 BadRequest: .*cannot unmarshal number/,
  );
  t.match(says(await send('POST', `${PATH}`, 'json', '{"metadata":[]}')), /^400 BadRequest: .*cannot unmarshal array/);
});

t.test('bodies that are too large or too deep', async (t) => {
  const api = await withObject(t);
  const big = JSON.stringify({ metadata: { name: 'big' }, data: { x: 'x'.repeat(5 << 20) } });
  const too = '413 RequestEntityTooLarge: Request entity too large: limit is 3145728';
  t.equal(says(await api.fetch('POST', PATH, { body: big })), too);
  t.equal(says(await api.fetch('PUT', `${PATH}/a`, { body: big })), too);
  for (const type of PATCHES) {
    const headers = { 'Content-Type': `application/${type}` };
    t.equal(says(await api.fetch('PATCH', `${PATH}/a?${MANAGER}`, { body: big, headers })), too, type);
  }
  const deep = (depth: number): string => `{"metadata":{"name":"deep"},"x":${'['.repeat(depth)}${']'.repeat(depth)}}`;
  t.match(says(await api.fetch('POST', PATH, { body: deep(1_000_000) })), /^400 BadRequest: .*exceeded max depth/);
  t.match(says(await api.fetch('POST', PATH, { body: deep(900) })), /^201 /, 'unknown fields are only dropped');
  const yaml = { 'Content-Type': 'application/yaml' };
  const nested = `metadata: {name: deeper}\nx: ${'['.repeat(50_000)}${']'.repeat(50_000)}`;
  t.match(says(await api.fetch('POST', PATH, { body: nested, headers: yaml })), /^400 BadRequest: /);
  const bomb = `a: &a [x,x,x,x,x,x,x,x,x]\n${[...'bcdefghi'].map((c, i) => `${c}: &${c} [${Array(9).fill(`*${'abcdefgh'[i]}`)}]\n`).join('')}`;
  t.match(says(await api.fetch('POST', PATH, { body: bomb, headers: yaml })), /^400 BadRequest: /, 'a billion laughs');
  const operations = JSON.stringify(Array(10_001).fill({ op: 'test', path: '/x', value: 1 }));
  const json = { 'Content-Type': 'application/json-patch+json' };
  t.equal(
    says(await api.fetch('PATCH', `${PATH}/a`, { body: operations, headers: json })),
    '413 RequestEntityTooLarge: The allowed maximum operations in a JSON patch is 10000, got 10001',
  );
});

t.test('forms, paths and methods that are not there', async (t) => {
  const api = await withObject(t);
  const form = { 'Content-Type': 'application/x-www-form-urlencoded' };
  t.equal(
    says(await api.fetch('POST', PATH, { body: 'a=b', headers: form })),
    '415 UnsupportedMediaType: the body of the request was in an unknown format - accepted media types include: application/json, application/yaml, application/vnd.kubernetes.protobuf',
  );
  t.equal(
    says(await api.fetch('PATCH', `${PATH}/a`, { body: '{}' })),
    '415 UnsupportedMediaType: the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json, application/apply-patch+yaml',
  );
  const protobuf = { Accept: 'application/vnd.kubernetes.protobuf' };
  t.match(
    says(await api.fetch('GET', PATH, { headers: protobuf })),
    /^406 NotAcceptable: only the following media types/,
  );
  const notFound = '404 NotFound: the server could not find the requested resource';
  for (const path of [
    '/api/v1/wombats',
    '/api/v2/pods',
    '/apis/x.io/v1/pods',
    '/apis',
    '/nothing',
    `${PATH}/a/status`,
  ]) {
    const expected = path === '/apis' ? '405 MethodNotAllowed' : notFound;
    t.match(says(await api.fetch('POST', path, { body: {} })), expected, path);
  }
  const notAllowed = '405 MethodNotAllowed: the server does not allow this method on the requested resource';
  t.equal(says(await api.fetch('PUT', PATH, { body: {} })), notAllowed);
  t.equal(says(await api.fetch('PATCH', PATH, { body: {} })), notAllowed);
  t.equal(says(await api.fetch('POST', `${PATH}/a`, { body: {} })), notAllowed);
  t.equal(says(await api.fetch('DELETE', `${PATH}/a/status`)), notAllowed);
  t.equal(says(await api.fetch('DELETE', '/api/v1/configmaps')), notAllowed);
  t.equal(says(await api.fetch('TRACE', PATH)), notAllowed);
  t.equal(
    says(await api.fetch('GET', '/api/v1/namespaces/default/pods/a/exec')),
    '400 BadRequest: Upgrade request required',
  );
});

t.test('a name in a path stays in its place', async (t) => {
  const api = await withObject(t);
  for (const [path, why] of [
    ['/api/v1/namespaces/default%2f..%2fkube-system/secrets', '"default/../kube-system": may not contain \'/\''],
    [`${PATH}/a%2fb`, '"a/b": may not contain \'/\''],
    [`${PATH}/%252e`, '"%2e": may not contain \'%\''],
  ] as const) {
    t.equal(says(await api.fetch('GET', path)), `400 BadRequest: invalid name ${why}`, path);
  }
  t.match(says(await api.fetch('GET', `${PATH}/..%2f..`)), /^400 BadRequest: invalid name/);
});

t.test('parameters that make no sense', async (t) => {
  const api = await withObject(t);
  const get = async (query: string): Promise<string> => says(await api.fetch('GET', `${PATH}?${query}`));
  const syntax = '400 BadRequest: strconv.ParseInt: parsing "x": invalid syntax';
  t.equal(await get('limit=x'), syntax);
  t.equal(await get('watch=1&timeoutSeconds=x'), syntax);
  t.equal(
    await get('resourceVersion=x'),
    '400 BadRequest: invalid resource version: resourceVersion: Invalid value: "x": strconv.ParseUint: parsing "x": invalid syntax',
  );
  t.match(await get('resourceVersion=99999'), /^504 Timeout: Too large resource version: 99999, current: \d+$/);
  const options = '422 Invalid: ListOptions.meta.k8s.io "" is invalid: ';
  t.equal(
    await get('resourceVersionMatch=Exact'),
    `${options}resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided`,
  );
  t.equal(
    await get('resourceVersion=1&resourceVersionMatch=Some'),
    `${options}resourceVersionMatch: Unsupported value: "Some": supported values: "Exact", "NotOlderThan", ""`,
  );
  t.equal(
    await get('watch=1&sendInitialEvents=true'),
    `${options}resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan`,
  );
  t.equal(
    await get('sendInitialEvents=true'),
    `${options}sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list`,
  );
  t.match(await get('continue=x'), /^400 BadRequest: invalid continue token: continue key is not valid/);
  t.match(await get('labelSelector=a%20in%20('), /^400 BadRequest: /);
  t.match(await get('fieldSelector=a'), /^400 BadRequest: invalid selector: 'a'; can't understand 'a'$/);
  t.equal(
    await get('fieldSelector=spec.x=1'),
    '400 BadRequest: "spec.x" is not a known field selector: only "metadata.name", "metadata.namespace"',
  );
  t.equal(
    says(await api.fetch('GET', '/api/v1/pods?fieldSelector=spec.x=1')),
    '400 BadRequest: field label not supported: spec.x',
  );

  const write = async (method: string, query: string): Promise<string> =>
    says(
      await api.fetch(method, `${PATH}${method === 'POST' ? '' : '/a'}?${query}`, {
        body: { metadata: { name: 'a' } },
      }),
    );
  t.equal(
    await write('POST', 'dryRun=Some'),
    '422 Invalid: CreateOptions.meta.k8s.io "" is invalid: dryRun: Unsupported value: ["Some"]: supported values: "All"',
  );
  t.equal(
    await write('PUT', 'fieldValidation=Loud'),
    '422 Invalid: UpdateOptions.meta.k8s.io "" is invalid: fieldValidation: Unsupported value: "Loud": supported values: "", "Ignore", "Strict", "Warn"',
  );
  t.equal(
    await write('POST', `fieldManager=${'x'.repeat(129)}`),
    '422 Invalid: CreateOptions.meta.k8s.io "" is invalid: fieldManager: Too long: may not be more than 128 bytes',
  );
  t.equal(
    await write('POST', 'fieldManager=%07'),
    '422 Invalid: CreateOptions.meta.k8s.io "" is invalid: fieldManager: Invalid value: "\\u0007": should only contain printable characters',
  );
  const patch = async (type: string, query: string): Promise<string> =>
    says(
      await api.fetch('PATCH', `${PATH}/a?${query}`, {
        body: '{}',
        headers: { 'Content-Type': `application/${type}` },
      }),
    );
  t.equal(
    await patch('apply-patch+yaml', ''),
    '422 Invalid: PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch',
  );
  t.equal(
    await patch('merge-patch+json', 'force=true'),
    '422 Invalid: PatchOptions.meta.k8s.io "" is invalid: force: Forbidden: may not be specified for non-apply patch',
  );
  t.equal(await write('DELETE', 'gracePeriodSeconds=x'), syntax);
  t.equal(
    await write('DELETE', 'propagationPolicy=Maybe'),
    '422 Invalid: DeleteOptions.meta.k8s.io "" is invalid: propagationPolicy: Unsupported value: "Maybe": supported values: "Foreground", "Background", "Orphan", "nil"',
  );
  t.equal((await api.fetch('GET', `${PATH}/a`)).code, 200, 'nothing of it has touched the object');
});

t.test('random bodies and paths never make an internal error', async (t) => {
  const api = await withObject(t);
  const types = fc.constantFrom('json', 'yaml', 'vnd.kubernetes.protobuf', ...PATCHES);
  const scraps = fc.constantFrom(
    '{',
    '}',
    '[',
    ']',
    ':',
    ',',
    '"',
    '\\',
    'k8s\0',
    '\n',
    '- ',
    '&a ',
    '*a',
    '\u0001',
    '{"metadata":',
    'null',
    '<<: ',
  );
  const text = fc.oneof(
    fc.array(scraps, { maxLength: 12 }).map((parts) => parts.join('')),
    fc.json(),
    fc.string(),
  );
  const bytes = fc.uint8Array({ maxLength: 40 }).map((tail) => Buffer.concat([Buffer.from('k8s\0'), tail]));
  const property = fc.asyncProperty(
    types,
    fc.oneof(text, bytes),
    fc.constantFrom('POST', 'PUT', 'PATCH', 'DELETE'),
    async (type, body, method) => {
      const path = method === 'POST' ? PATH : `${PATH}/${method === 'DELETE' ? 'none' : 'a'}`;
      const headers = { 'Content-Type': `application/${type}` };
      const answer = await api.fetch(method, `${path}?${MANAGER}`, { body: Buffer.from(body), headers });
      // 500 without a reason is what the real server says of a configuration that does not fit the schema.
      const internal = answer.code >= 500 && answer.json?.reason !== undefined;
      if (internal || answer.json?.kind === undefined) throw new Error(`${answer.code} ${answer.text}`);
    },
  );
  await fc.assert(property, { numRuns: 300 });
});

t.test('what is not HTTP, and clients that leave in the middle, do no harm', async (t) => {
  const api = await withObject(t);
  const raw = (text: string): Promise<void> =>
    new Promise((resolve) => {
      const socket = connect(
        { host: '127.0.0.1', port: api.port, rejectUnauthorized: false, ALPNProtocols: ['http/1.1'] },
        () => {
          socket.write(text);
          setImmediate(() => socket.destroy());
        },
      );
      socket.on('error', () => {});
      socket.on('close', () => resolve());
    });
  await raw('\0\0\0');
  await raw('GARBAGE\r\n\r\n');
  await raw(`POST ${PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{"metadata"`);
  await raw(`GET ${PATH}?watch=1 HTTP/1.1\r\nHost: x\r\n\r\n`);
  await raw(`GET /${'x'.repeat(100_000)} HTTP/1.1\r\nHost: x\r\n\r\n`);
  t.match(await api.fetch('GET', `${PATH}/a`), { code: 200 });
});

t.test('what subresources and deletions take is checked like objects', async (t) => {
  const api = await withObject(t);
  const deployments = '/apis/apps/v1/namespaces/default/deployments';
  const template = { metadata: { labels: { a: 'b' } }, spec: { containers: [{ name: 'c', image: 'x' }] } };
  const spec = { replicas: 3, selector: { matchLabels: { a: 'b' } }, template };
  await api.fetch('POST', deployments, { body: { metadata: { name: 'w' }, spec } });
  await api.fetch('POST', '/api/v1/namespaces/default/pods', {
    body: { metadata: { name: 'p' }, spec: template.spec },
  });
  await api.fetch('POST', '/api/v1/namespaces/default/serviceaccounts', { body: { metadata: { name: 's' } } });

  const merge = { 'Content-Type': 'application/merge-patch+json' };
  const cannot = 'json: cannot unmarshal string into Go struct field ScaleSpec.spec.replicas of type int32';
  const scale = (body: object, headers = merge) =>
    api.fetch('PATCH', `${deployments}/w/scale?${MANAGER}`, { body, headers });
  t.match(says(await scale({ spec: { replicas: 'x' } })), `: ${cannot}`);
  t.match(says(await scale({ spec: { replicas: 1.5 } })), /^422 Invalid: .*cannot unmarshal number 1.5 into/);
  t.match(says(await scale({ spec: [] })), /^422 Invalid: .*cannot unmarshal array into/);
  const put = (body: object) => api.fetch('PUT', `${deployments}/w/scale`, { body });
  t.equal(
    says(await put({ kind: 'Scale', apiVersion: 'autoscaling/v1', metadata: { name: 'w' }, spec: { replicas: 'x' } })),
    `400 BadRequest: Scale in version "v1" cannot be handled as a Scale: ${cannot}`,
  );
  t.equal(
    says(await put({ kind: 'Deployment', apiVersion: 'apps/v1', metadata: { name: 'w' }, spec: { replicas: 2 } })),
    '400 BadRequest: Deployment in version "v1" cannot be handled as a Scale: converting (v1.Deployment) to (autoscaling.Scale): unknown conversion',
  );
  const applied = { kind: 'Scale', apiVersion: 'autoscaling/v1', metadata: { name: 'w' }, spec: { replicas: 'x' } };
  t.match(
    says(await scale(applied, { 'Content-Type': 'application/apply-patch+yaml' })),
    /^500 : failed to create typed patch object \(default\/w; autoscaling\/v1, Kind=Scale\): \.spec\.replicas: expected numeric/,
  );
  t.equal((await api.fetch('GET', `${deployments}/w/scale`)).json.spec.replicas, 3);

  const pod = '/api/v1/namespaces/default/pods/p';
  t.match(
    says(await api.fetch('POST', `${pod}/binding`, { body: { target: { name: 7 } } })),
    /^400 .*cannot unmarshal number/,
  );
  t.match(
    says(await api.fetch('POST', `${pod}/eviction`, { body: { deleteOptions: 'x' } })),
    /^400 .*cannot unmarshal string/,
  );
  t.match(says(await api.fetch('POST', `${pod}/eviction`, { body: [] })), /^400 .*cannot unmarshal array/);
  t.equal(
    says(await api.fetch('POST', `${pod}/eviction`, { body: { metadata: { name: 'q' } } })),
    '400 BadRequest: name in URL does not match name in Eviction object',
  );
  const options = '400 BadRequest: DeleteOptions in version "v1" cannot be handled as a DeleteOptions: json: ';
  for (const body of [
    { gracePeriodSeconds: 'x' },
    { preconditions: 'x' },
    { preconditions: { uid: 5 } },
    [],
    { dryRun: 'All' },
  ]) {
    t.ok(says(await api.fetch('DELETE', pod, { body })).startsWith(options), JSON.stringify(body));
  }
  const token = '/api/v1/namespaces/default/serviceaccounts/s/token';
  t.match(says(await api.fetch('POST', token, { body: { spec: 'x' } })), /^400 .*cannot unmarshal string/);
  t.match(await api.fetch('GET', pod), { code: 200 });
});
