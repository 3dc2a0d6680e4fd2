import t from 'tap';
import type { ConfigMap, Pod } from '../../../src/api/core-v1.ts';
import {
  CONFIGMAPS,
  DEPLOYMENTS,
  EVENTS,
  NAMESPACES,
  NODES,
  PODS,
  SERVICEACCOUNTS,
} from '../../../src/api/resources.ts';
import { apiWorld, deployment, namespace, pod, refused, serviceAccount } from '../../support/api.ts';

function configMap(name: string, data: Record<string, string> = {}): ConfigMap {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace: 'default' }, data };
}

const modified = (what: string) =>
  `Operation cannot be fulfilled on ${what}: the object has been modified; please apply your changes to the latest version and try again`;

t.test('create gives uid, time and revision, and leaves the caller’s object alone', async (t) => {
  const { client, clock } = await apiWorld(t);
  await clock.run(5_000_000);
  const given = configMap('a', { k: 'v' });
  const stored = await client.create(CONFIGMAPS, given);
  t.equal(stored.metadata.creationTimestamp, '2026-01-01T00:00:05Z');
  t.match(stored.metadata.uid, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  t.match(stored.metadata.resourceVersion, /^\d+$/);
  t.same(given, configMap('a', { k: 'v' }));
  t.ok(Object.isFrozen(stored.data));
  t.same(await client.get(CONFIGMAPS, 'default', 'a'), stored);
});

t.test('what a client may not set is put right or refused', async (t) => {
  const { client } = await apiWorld(t);
  const stored = await client.create(PODS, {
    ...pod('a'),
    metadata: {
      name: 'a',
      namespace: 'default',
      uid: 'mine',
      creationTimestamp: '1999-01-01T00:00:00Z',
      deletionTimestamp: '1999-01-01T00:00:00Z',
      deletionGracePeriodSeconds: 4,
      generation: 99,
    },
    status: { phase: 'Running' },
  });
  t.not(stored.metadata.uid, 'mine');
  t.equal(stored.metadata.deletionTimestamp, undefined);
  t.equal(stored.metadata.generation, 1);
  t.equal(stored.status?.phase, 'Pending');
  await refused(
    t,
    client.create(CONFIGMAPS, {
      ...configMap('b'),
      metadata: { name: 'b', namespace: 'default', resourceVersion: '1' },
    }),
    400,
    'resourceVersion should not be set on objects to be created',
  );
  await refused(
    t,
    client.create(CONFIGMAPS, { ...configMap('b'), metadata: { name: 'b' } }),
    400,
    'an empty namespace may not be set during creation',
  );
});

t.test('the errors of everyday life have the real server’s words', async (t) => {
  const { client } = await apiWorld(t);
  await client.create(PODS, pod('a'));
  await client.create(DEPLOYMENTS, deployment('d'));
  await refused(t, client.create(PODS, pod('a')), 409, 'pods "a" already exists');
  await refused(t, client.create(DEPLOYMENTS, deployment('d')), 409, 'deployments.apps "d" already exists');
  await refused(t, client.get(PODS, 'default', 'x'), 404, 'pods "x" not found');
  await refused(t, client.get(DEPLOYMENTS, 'default', 'x'), 404, 'deployments.apps "x" not found');
  await refused(t, client.delete(PODS, 'default', 'x'), 404, 'pods "x" not found');
  await refused(t, client.patch(PODS, 'default', 'x', 'merge', {}), 404, 'pods "x" not found');
  await refused(
    t,
    client.create(PODS, { ...pod('a'), metadata: { name: 'a', namespace: 'no' } }),
    404,
    'namespaces "no" not found',
  );
  const error = await refused(
    t,
    client.create(PODS, pod('Bad_Name')),
    422,
    `Pod "Bad_Name" is invalid: metadata.name: Invalid value: "Bad_Name": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')`,
  );
  t.same(error.toStatus(), {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message: error.message,
    reason: 'Invalid',
    details: {
      name: 'Bad_Name',
      kind: 'Pod',
      causes: [
        { reason: 'FieldValueInvalid', message: error.message.split('metadata.name: ')[1], field: 'metadata.name' },
      ],
    },
    code: 422,
  });
  await refused(
    t,
    client.create(PODS, { ...pod('b', {}, { 'bad key!': 'x', good: 'bad value!' }) }),
    422,
    `Pod "b" is invalid: [metadata.labels: Invalid value: "bad key!": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]'), metadata.labels: Invalid value: "bad value!": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')]`,
  );
  await refused(
    t,
    client.create(PODS, { ...pod('c'), metadata: { namespace: 'default' } }),
    422,
    'Pod "" is invalid: metadata.name: Required value: name or generateName is required',
  );
  await refused(
    t,
    client.create(PODS, { ...pod('c'), apiVersion: 'v2' }),
    400,
    'the API version in the data (v2) does not match the expected API version (v1)',
  );
  await refused(
    t,
    client.create(PODS, { ...pod('c'), kind: 'Service' }),
    400,
    'Service in version "v1" cannot be handled as a Pod: converting (v1.Service) to (core.Pod): unknown conversion',
  );
});

t.test('generateName makes names with the real alphabet and tries again when one is taken', async (t) => {
  const { client } = await apiWorld(t);
  const names = new Set<string>();
  for (let i = 0; i < 200; i++) {
    const made = await client.create(CONFIGMAPS, {
      ...configMap(''),
      metadata: { generateName: 'web-', namespace: 'default' },
    });
    names.add(made.metadata.name);
    t.match(made.metadata.name, /^web-[bcdfghjklmnpqrstvwxz2456789]{5}$/);
  }
  t.equal(names.size, 200);
  const long = 'x'.repeat(80);
  const cut = await client.create(CONFIGMAPS, {
    ...configMap(''),
    metadata: { generateName: long, namespace: 'default' },
  });
  t.equal(cut.metadata.name.length, 63);
});

t.test('an update on an old resourceVersion is a conflict, one without is not', async (t) => {
  const { client } = await apiWorld(t);
  const first = await client.create(CONFIGMAPS, configMap('a', { n: '1' }));
  const second = await client.update(CONFIGMAPS, { ...first, data: { n: '2' } });
  t.not(second.metadata.resourceVersion, first.metadata.resourceVersion);
  const error = await refused(
    t,
    client.update(CONFIGMAPS, { ...first, data: { n: '3' } }),
    409,
    modified('configmaps "a"'),
  );
  t.same(error.details, { name: 'a', kind: 'configmaps' });
  const third = await client.update(CONFIGMAPS, configMap('a', { n: '4' }));
  t.same(third.data, { n: '4' });
  t.equal(third.metadata.uid, first.metadata.uid);
  t.equal(third.metadata.creationTimestamp, first.metadata.creationTimestamp);
});

t.test('an update that changes nothing writes nothing', async (t) => {
  const { client, server } = await apiWorld(t);
  const made = await client.create(PODS, pod('a'));
  const before = await server.store.revision();
  t.same(await client.update(PODS, made), made);
  t.same(await client.patch(PODS, 'default', 'a', 'merge', { spec: { restartPolicy: 'Always' } }), made);
  t.same(
    await client.update(PODS, { ...pod('a', made.spec), metadata: { name: 'a', namespace: 'default', labels: {} } }),
    made,
  );
  t.equal(await server.store.revision(), before);
});

t.test('identity cannot be changed', async (t) => {
  const { client } = await apiWorld(t);
  const made = await client.create(CONFIGMAPS, configMap('a'));
  await refused(
    t,
    client.update(CONFIGMAPS, { ...made, metadata: { ...made.metadata, uid: 'other' } }),
    409,
    `Operation cannot be fulfilled on configmaps "a": StorageError: invalid object, Code: 4, Key: /registry/configmaps/default/a, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: other, UID in object meta: ${made.metadata.uid}`,
  );
  await refused(
    t,
    client.patch(CONFIGMAPS, 'default', 'a', 'merge', { metadata: { name: 'b' } }),
    422,
    'ConfigMap "a" is invalid: metadata.name: Invalid value: "b": field is immutable',
  );
  await refused(
    t,
    client.patch(CONFIGMAPS, 'default', 'a', 'merge', { metadata: { creationTimestamp: '2020-01-01T00:00:00Z' } }),
    422,
    'ConfigMap "a" is invalid: metadata.creationTimestamp: Invalid value: "2020-01-01T00:00:00Z": field is immutable',
  );
});

t.test('status and spec are changed through different doors', async (t) => {
  const { client } = await apiWorld(t);
  const made = await client.create(DEPLOYMENTS, deployment('d'));
  t.equal(made.metadata.generation, 1);
  const viaSpec = await client.update(DEPLOYMENTS, {
    ...made,
    spec: { ...made.spec, replicas: 3 },
    status: { replicas: 9 },
  });
  t.same([viaSpec.spec.replicas, viaSpec.status, viaSpec.metadata.generation], [3, {}, 2]);
  const viaStatus = await client.update(
    DEPLOYMENTS,
    { ...viaSpec, spec: { ...viaSpec.spec, replicas: 7 }, status: { replicas: 9, observedGeneration: 2 } },
    'status',
  );
  t.same(
    [viaStatus.spec.replicas, viaStatus.status, viaStatus.metadata.generation],
    [3, { replicas: 9, observedGeneration: 2 }, 2],
  );
  const labelled = await client.patch(DEPLOYMENTS, 'default', 'd', 'merge', { metadata: { labels: { a: 'b' } } });
  t.equal(labelled.metadata.generation, 2, 'metadata does not count as desired state');
  await refused(
    t,
    client.update(CONFIGMAPS, await client.create(CONFIGMAPS, configMap('c')), 'status'),
    404,
    'the server could not find the requested resource',
  );
});

t.test('concurrent patches all apply', async (t) => {
  const { client } = await apiWorld(t);
  await client.create(CONFIGMAPS, configMap('a'));
  await Promise.all(
    Array.from({ length: 30 }, (_, i) =>
      client.patch(CONFIGMAPS, 'default', 'a', 'merge', { data: { [`k${i}`]: 'v' } }),
    ),
  );
  t.equal(Object.keys((await client.get(CONFIGMAPS, 'default', 'a')).data ?? {}).length, 30);
});

t.test('a patch may insist on a resourceVersion', async (t) => {
  const { client } = await apiWorld(t);
  const made = await client.create(CONFIGMAPS, configMap('a'));
  const patch = (n: string) => ({ metadata: { resourceVersion: made.metadata.resourceVersion }, data: { n } });
  await client.patch(CONFIGMAPS, 'default', 'a', 'merge', patch('1'));
  await refused(t, client.patch(CONFIGMAPS, 'default', 'a', 'merge', patch('2')), 409, modified('configmaps "a"'));
});

t.test('scale speaks autoscaling/v1', async (t) => {
  const { client } = await apiWorld(t);
  const made = await client.create(DEPLOYMENTS, deployment('d'));
  const scaled: unknown = await client.patch(DEPLOYMENTS, 'default', 'd', 'merge', { spec: { replicas: 5 } }, 'scale');
  const { uid, creationTimestamp } = made.metadata;
  const now = await client.get(DEPLOYMENTS, 'default', 'd');
  t.same(scaled, {
    kind: 'Scale',
    apiVersion: 'autoscaling/v1',
    metadata: {
      name: 'd',
      namespace: 'default',
      uid,
      resourceVersion: now.metadata.resourceVersion,
      creationTimestamp,
    },
    spec: { replicas: 5 },
    status: { replicas: 0, selector: 'app=d' },
  });
  t.same([now.spec.replicas, now.metadata.generation], [5, 2]);
  await refused(
    t,
    client.patch(DEPLOYMENTS, 'default', 'd', 'merge', { spec: { replicas: -1 } }, 'scale'),
    422,
    'Deployment.apps "d" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0',
  );
});

t.test('binding puts a Pod on a Node once', async (t) => {
  const { client } = await apiWorld(t);
  const made = await client.create(PODS, pod('a'));
  const bound = await client.update(PODS, { ...made, spec: { ...made.spec, nodeName: 'n1' } }, 'binding');
  t.equal(bound.spec.nodeName, 'n1');
  t.same(
    bound.status?.conditions?.map((c) => [c.type, c.status]),
    [['PodScheduled', 'True']],
  );
  const binding = {
    apiVersion: 'v1',
    kind: 'Binding',
    metadata: { name: 'a', namespace: 'default' },
    target: { kind: 'Node', name: 'n2' },
  };
  await refused(
    t,
    client.update(PODS, binding as unknown as Pod, 'binding'),
    409,
    'Operation cannot be fulfilled on pods/binding "a": pod a is already assigned to node "n1"',
  );
  await client.create(PODS, pod('b'));
  const asBinding = { ...binding, metadata: { name: 'b', namespace: 'default' } };
  t.equal((await client.update(PODS, asBinding as unknown as Pod, 'binding')).spec.nodeName, 'n2');
});

t.test('lists: namespaces, selectors, chunks of one revision', async (t) => {
  const { client, server } = await apiWorld(t);
  await client.create(NAMESPACES, namespace('other'));
  await client.create(SERVICEACCOUNTS, serviceAccount('default', 'other'));
  for (let i = 0; i < 10; i++)
    await client.create(PODS, pod(`p${i}`, i < 5 ? { nodeName: 'n1' } : {}, { parity: i % 2 ? 'odd' : 'even' }));
  await client.create(PODS, { ...pod('p0'), metadata: { name: 'p0', namespace: 'other' } });
  const names = async (options: Parameters<typeof client.list>[1]) =>
    (await client.list(PODS, options)).items.map((p) => p.metadata.name).join(' ');
  t.equal((await client.list(PODS)).items.length, 11);
  t.equal(await names({ namespace: 'other' }), 'p0');
  t.equal(await names({ labelSelector: 'parity=odd' }), 'p1 p3 p5 p7 p9');
  t.equal(await names({ fieldSelector: 'spec.nodeName=n1', labelSelector: 'parity in (even)' }), 'p0 p2 p4');
  t.equal(await names({ fieldSelector: 'metadata.name=p3' }), 'p3');
  t.equal(await names({ fieldSelector: 'metadata.namespace!=default' }), 'p0');
  await refused(t, client.list(PODS, { fieldSelector: 'spec.foo=x' }), 400, 'field label not supported: spec.foo');
  await refused(
    t,
    client.list(PODS, { labelSelector: 'a=(b' }),
    400,
    "unable to parse requirement: found '(', expected: identifier",
  );

  const registry = await server.registry(PODS);
  const first = await registry.list({ namespace: 'default', limit: 4 });
  t.equal(first.metadata.remainingItemCount, 6);
  await client.delete(PODS, 'default', 'p5');
  await client.create(PODS, pod('p55'));
  const second = await registry.list({ namespace: 'default', limit: 4, continue: first.metadata.continue! });
  const third = await registry.list({ namespace: 'default', limit: 4, continue: second.metadata.continue! });
  const all = [first, second, third].flatMap((l) => l.items.map((p) => p.metadata.name)).join(' ');
  t.equal(all, 'p0 p1 p2 p3 p4 p5 p6 p7 p8 p9', 'as it was when the first chunk was read');
  t.equal(third.metadata.continue, undefined);
  t.equal(second.metadata.resourceVersion, first.metadata.resourceVersion);
  const odd = await registry.list({ namespace: 'default', limit: 2, labelSelector: 'parity=odd' });
  t.same([odd.items.map((p) => p.metadata.name), odd.metadata.remainingItemCount], [['p1', 'p3'], undefined]);
  const found: string[] = [];
  for (let token: string | undefined = ''; token !== undefined; ) {
    const page = await registry.list({ limit: 1, labelSelector: 'parity=even', ...(token ? { continue: token } : {}) });
    found.push(page.items.map((p) => `${p.metadata.namespace}/${p.metadata.name}`).join());
    token = page.metadata.continue;
  }
  t.same(
    found.filter((f) => f !== ''),
    ['default/p0', 'default/p2', 'default/p4', 'default/p6', 'default/p8'],
  );
  await refused(
    t,
    registry.list({ continue: 'rubbish' }),
    400,
    'invalid continue token: continue key is not valid: illegal base64 data or JSON',
  );
  await server.store.compact(await server.store.revision());
  const gone = await registry
    .list({ namespace: 'default', limit: 4, continue: first.metadata.continue! })
    .catch((e) => e);
  t.match(gone, { code: 410, reason: 'Expired', message: /^The provided continue parameter is too old/ });
  const old = await registry
    .list({ resourceVersion: first.metadata.resourceVersion, resourceVersionMatch: 'Exact' })
    .catch((e) => e);
  t.match(old, { code: 410, reason: 'Expired', message: 'The resourceVersion for the provided list is too old.' });
});

t.test('lists at a resourceVersion', async (t) => {
  const { client, server } = await apiWorld(t);
  const registry = await server.registry(CONFIGMAPS);
  const first = await client.create(CONFIGMAPS, configMap('a'));
  await client.create(CONFIGMAPS, configMap('b'));
  const at = first.metadata.resourceVersion;
  const exact = await registry.list({ resourceVersion: at, resourceVersionMatch: 'Exact' });
  t.same([exact.items.length, exact.metadata.resourceVersion], [1, at]);
  t.equal((await registry.list({ resourceVersion: at })).items.length, 2);
  t.equal((await registry.list({ resourceVersion: '0' })).items.length, 2);
  const ahead = await registry.list({ resourceVersion: '999' }).catch((e) => e);
  t.same([ahead.code, ahead.reason, ahead.message], [504, 'Timeout', 'Too large resource version: 999, current: 5']);
  const nonsense = await registry.list({ resourceVersion: 'x' }).catch((e) => e);
  t.equal(nonsense.code, 400);
});

t.test('dry run does everything but write', async (t) => {
  const { client, server } = await apiWorld(t);
  const registry = await server.registry(CONFIGMAPS);
  const user = { name: 'u', groups: [] };
  const before = await server.store.revision();
  const made = await registry.create(configMap('a', { k: 'v' }), { user, dryRun: true });
  t.ok(made.metadata.uid);
  await refused(t, client.get(CONFIGMAPS, 'default', 'a'), 404, 'configmaps "a" not found');
  await refused(
    t,
    registry.create(configMap('a', { '!': '' }), { user, dryRun: true }),
    422,
    `ConfigMap "a" is invalid: data[!]: Invalid value: "!": a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')`,
  );
  t.equal(await server.store.revision(), before);
  await client.create(CONFIGMAPS, configMap('a'));
  await refused(t, registry.create(configMap('a'), { user, dryRun: true }), 409, 'configmaps "a" already exists');
  await registry.update(configMap('a', { x: 'y' }), undefined, { user, dryRun: true });
  await registry.delete('default', 'a', {}, { user, dryRun: true });
  t.same((await client.get(CONFIGMAPS, 'default', 'a')).data, {});
});

t.test('deleteCollection deletes what matches', async (t) => {
  const { client, server } = await apiWorld(t);
  for (let i = 0; i < 6; i++) await client.create(PODS, pod(`p${i}`, {}, { keep: i < 2 ? 'yes' : 'no' }));
  const registry = await server.registry(PODS);
  await registry.deleteCollection(
    { namespace: 'default', labelSelector: 'keep=no' },
    {},
    { user: { name: 'u', groups: [] } },
  );
  t.same(
    (await client.list(PODS)).items.map((p) => p.metadata.name),
    ['p0', 'p1'],
  );
});

t.test('kinds outside namespaces have none', async (t) => {
  const { client } = await apiWorld(t);
  const node = { apiVersion: 'v1', kind: 'Node', metadata: { name: 'n1', namespace: 'default' } };
  await refused(
    t,
    client.create(NODES, node),
    422,
    'Node "n1" is invalid: metadata.namespace: Forbidden: not allowed on this type',
  );
  const made = await client.create(NODES, {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: 'n1' },
    spec: { podCIDR: '10.244.0.0/24' },
  });
  t.same(made.spec, { podCIDR: '10.244.0.0/24', podCIDRs: ['10.244.0.0/24'] });
  await refused(
    t,
    client.patch(NODES, undefined, 'n1', 'merge', { spec: { podCIDR: '10.244.1.0/24', podCIDRs: ['10.244.1.0/24'] } }),
    422,
    'Node "n1" is invalid: spec.podCIDRs: Forbidden: node updates may not change podCIDR except from "" to valid',
  );
});

t.test('events are forgotten an hour after they were last written', async (t) => {
  const { client, clock } = await apiWorld(t);
  const event = (name: string) => ({
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name, namespace: 'default' },
    involvedObject: { kind: 'Pod', namespace: 'default', name: 'p' },
  });
  await client.create(EVENTS, event('old'));
  await client.create(EVENTS, event('repeated'));
  await clock.run(3000e6);
  await client.patch(EVENTS, 'default', 'repeated', 'merge', {
    lastTimestamp: new Date(clock.unixMs()).toISOString(),
    count: 2,
  });
  await clock.run(1000e6);
  t.same(
    (await client.list(EVENTS, { fieldSelector: 'involvedObject.name=p' })).items.map((e) => e.metadata.name),
    ['repeated'],
  );
  await clock.run(4000e6);
  t.equal((await client.list(EVENTS)).items.length, 0);
});

t.test('a body that has not the shape of its kind is a bad request in Go’s words', async (t) => {
  const { client, server } = await apiWorld(t);
  const cases: [unknown, string][] = [
    [{ ...pod('a'), spec: 'x' }, 'json: cannot unmarshal string into Go struct field Pod.spec of type v1.PodSpec'],
    [
      { ...pod('a'), spec: { containers: {} } },
      'json: cannot unmarshal object into Go struct field PodSpec.spec.containers of type []v1.Container',
    ],
    [
      { ...pod('a'), spec: { containers: [{ name: 'c', image: 'i', ports: [{ containerPort: '80' }] }] } },
      'json: cannot unmarshal string into Go struct field ContainerPort.spec.containers.ports.containerPort of type int32',
    ],
    [
      { ...pod('a'), metadata: { name: 'a', namespace: 'default', labels: { a: 1 } } },
      'json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string',
    ],
    [
      { ...pod('a'), spec: { containers: [{ name: 'c', image: 'i', args: [true] }] } },
      'json: cannot unmarshal bool into Go struct field Container.spec.containers.args of type string',
    ],
  ];
  for (const [body, why] of cases) {
    await refused(t, client.create(PODS, body as Pod), 400, `Pod in version "v1" cannot be handled as a Pod: ${why}`);
  }
  const registry = await server.registry(PODS);
  const user = { name: 'u', groups: [] };
  const odd = {
    ...pod('a'),
    spec: { ...pod('a').spec, replicas: 2, containers: [{ name: 'c', image: 'i', imagePolicy: 'x' }] },
  };
  await refused(
    t,
    registry.create(odd as Pod, { user, fieldValidation: 'Strict' }),
    400,
    'Pod in version "v1" cannot be handled as a Pod: strict decoding error: unknown field "spec.containers[0].imagePolicy", unknown field "spec.replicas"',
  );
  const dropped = await registry.create(odd as Pod, { user, fieldValidation: 'Ignore' });
  t.notOk('replicas' in dropped.spec);
  const nulls = {
    ...pod('n'),
    spec: { ...pod('n').spec, nodeSelector: null, containers: [{ name: 'c', image: 'i', command: null }] },
  };
  t.notOk('command' in (await client.create(PODS, nulls as unknown as Pod)).spec.containers[0]!);
});
