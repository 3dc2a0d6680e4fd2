// Server-side apply and managed fields on registries: cases after structured-merge-diff merge/*_test.go and apimachinery's
// managedfields tests, on kinds that are served.
import t, { type Test } from 'tap';
import type { Deployment } from '../../../src/api/apps-v1.ts';
import type { ConfigMap, Pod } from '../../../src/api/core-v1.ts';
import type { KubeObject, ResourceType, Stored } from '../../../src/api/meta.ts';
import { CONFIGMAPS, DEPLOYMENTS, PODS, SERVICES } from '../../../src/api/resources.ts';
import type { Subresource } from '../../../src/client/client.ts';
import { type ApiWorld, apiWorld, deployment, pod, refused } from '../../support/api.ts';

const USER = { name: 'tester', groups: [] };

class Applier {
  readonly #world: ApiWorld;
  readonly #manager: string;

  constructor(world: ApiWorld, manager: string) {
    this.#world = world;
    this.#manager = manager;
  }

  async apply<T extends KubeObject>(
    type: ResourceType<T>,
    config: object,
    {
      force = false,
      dryRun = false,
      subresource,
    }: { force?: boolean; dryRun?: boolean; subresource?: Subresource } = {},
  ): Promise<Stored<T>> {
    const object = config as KubeObject;
    const { namespace, name } = object.metadata;
    const options = { user: USER, fieldManager: this.#manager, dryRun };
    const registry = await this.#world.server.registry(type);
    return (await registry.apply(namespace, name!, object, force, subresource, options)).object;
  }
}

function configMap(data: Record<string, string>, metadata: object = {}): ConfigMap {
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'cm', namespace: 'default', ...metadata },
    ...(Object.keys(data).length > 0 ? { data } : {}),
  };
}

function web(replicas: number | undefined, image = 'nginx'): Deployment {
  const made = deployment('web', { ...(replicas === undefined ? {} : { replicas }) });
  made.spec.template.spec!.containers[0]!.image = image;
  return made;
}

/** manager → its fields, with operation and subresource. */
function owners({ metadata }: KubeObject): Record<string, unknown> {
  return Object.fromEntries(
    metadata.managedFields!.map(({ manager, operation, subresource, fieldsV1 }) => [
      [operation, manager, subresource].filter(Boolean).join(' '),
      fieldsV1,
    ]),
  );
}

async function worldOf(t: Test, ...managers: string[]): Promise<{ world: ApiWorld; by: Applier[] }> {
  const world = await apiWorld(t);
  return { world, by: managers.map((manager) => new Applier(world, manager)) };
}

t.test('an apply creates, and owns what it names and no default', async (t) => {
  const { by } = await worldOf(t, 'kubectl');
  const object = await by[0]!.apply(DEPLOYMENTS, web(1));
  t.equal(object.spec.revisionHistoryLimit, 10);
  t.same(object.metadata.managedFields, [
    {
      manager: 'kubectl',
      operation: 'Apply',
      apiVersion: 'apps/v1',
      time: object.metadata.creationTimestamp,
      fieldsType: 'FieldsV1',
      fieldsV1: {
        'f:spec': {
          'f:replicas': {},
          'f:selector': {},
          'f:template': {
            'f:metadata': { 'f:labels': { 'f:app': {} } },
            'f:spec': { 'f:containers': { 'k:{"name":"c"}': { '.': {}, 'f:name': {}, 'f:image': {} } } },
          },
        },
      },
    },
  ]);
});

t.test('a create and an update own what they change, defaults included, by subresource', async (t) => {
  const { world } = await worldOf(t);
  const registry = await world.server.registry(DEPLOYMENTS);
  const made = await registry.create(web(1), { user: USER, fieldManager: 'kubectl-create' });
  t.match(owners(made), {
    'Update kubectl-create': {
      'f:spec': {
        'f:replicas': {},
        'f:revisionHistoryLimit': {},
        'f:strategy': { 'f:rollingUpdate': { '.': {}, 'f:maxSurge': {}, 'f:maxUnavailable': {} }, 'f:type': {} },
        'f:template': { 'f:metadata': { 'f:labels': { '.': {}, 'f:app': {} } } },
      },
    },
  });
  t.notOk('.' in (owners(made)['Update kubectl-create'] as { 'f:spec': object })['f:spec'], 'Go has a spec by value');
  const patched = await registry.patch('default', 'web', 'merge', { spec: { replicas: 2 } }, undefined, {
    user: USER,
    fieldManager: 'kubectl-patch',
  });
  t.same(owners(patched)['Update kubectl-patch'], { 'f:spec': { 'f:replicas': {} } });
  const status = { ...patched, status: { readyReplicas: 1 } };
  const reported = await registry.update(status, 'status', { user: USER, fieldManager: 'controller' });
  t.same(owners(reported)['Update controller status'], { 'f:status': { 'f:readyReplicas': {} } });
  const scaled = await registry.patch('default', 'web', 'merge', { spec: { replicas: 5 } }, 'scale', {
    user: USER,
    fieldManager: 'hpa',
  });
  t.equal((scaled as unknown as { spec: { replicas: number } }).spec.replicas, 5);
  const now = await registry.get('default', 'web');
  t.same(owners(now)['Update hpa scale'], { 'f:spec': { 'f:replicas': {} } });
  t.notOk('Update kubectl-patch' in owners(now), 'who owns nothing any more is forgotten');
});

t.test('a conflict names managers and fields, changes nothing, and can be forced', async (t) => {
  const { world, by } = await worldOf(t, 'a', 'b');
  const [a, b] = by as [Applier, Applier];
  await a.apply(DEPLOYMENTS, web(1));
  const registry = await world.server.registry(DEPLOYMENTS);
  await registry.patch('default', 'web', 'merge', { spec: { replicas: 2 } }, undefined, {
    user: USER,
    fieldManager: 'kubectl-client-side-apply',
  });
  const error = await refused(
    t,
    a.apply(DEPLOYMENTS, web(1)),
    409,
    'Apply failed with 1 conflict: conflict with "kubectl-client-side-apply" using apps/v1: .spec.replicas',
  );
  t.same(error.details, {
    causes: [
      {
        reason: 'FieldManagerConflict',
        message: 'conflict with "kubectl-client-side-apply" using apps/v1',
        field: '.spec.replicas',
      },
    ],
  });
  await refused(
    t,
    b.apply(DEPLOYMENTS, web(3, 'busybox')),
    409,
    [
      'Apply failed with 2 conflicts: conflicts with "a":',
      '- .spec.template.spec.containers[name="c"].image',
      'conflicts with "kubectl-client-side-apply" using apps/v1:',
      '- .spec.replicas',
    ].join('\n'),
  );
  t.equal((await registry.get('default', 'web')).spec.replicas, 2);
  const dry = await b.apply(DEPLOYMENTS, web(3, 'busybox'), { force: true, dryRun: true });
  t.equal(dry.spec.replicas, 3);
  t.equal((await registry.get('default', 'web')).spec.replicas, 2, 'a dry run writes nothing');
  const forced = await b.apply(DEPLOYMENTS, web(3, 'busybox'), { force: true });
  t.equal(forced.spec.replicas, 3);
  t.match(owners(forced)['Apply a'], { 'f:spec': { 'f:selector': {} } });
  t.notMatch(owners(forced)['Apply a'], { 'f:spec': { 'f:replicas': {} } }, 'the others have lost what was taken');
  t.same(Object.keys(owners(forced)), ['Apply a', 'Apply b']);
});

t.test('equal values are shared, and stay until the last owner lets go', async (t) => {
  const { by } = await worldOf(t, 'a', 'b');
  const [a, b] = by as [Applier, Applier];
  await a.apply(CONFIGMAPS, configMap({ x: '1', y: '1' }));
  await b.apply(CONFIGMAPS, configMap({ x: '1' }));
  const fewer = await a.apply(CONFIGMAPS, configMap({ y: '1' }));
  t.same(fewer.data, { x: '1', y: '1' }, 'b holds x');
  const gone = await b.apply(CONFIGMAPS, configMap({}));
  t.same(gone.data, { y: '1' });
  t.same(Object.keys(owners(gone)), ['Apply a']);
});

t.test('what an update has set is not removed by an apply that never owned it', async (t) => {
  const { world, by } = await worldOf(t, 'a');
  const [a] = by as [Applier];
  await a.apply(CONFIGMAPS, configMap({ x: '1', y: '1' }));
  await world.client.patch(CONFIGMAPS, 'default', 'cm', 'merge', { data: { z: '1' } });
  const left = await a.apply(CONFIGMAPS, configMap({ x: '1' }));
  t.same(left.data, { x: '1', z: '1' });
});

t.test('lists merge by their keys: items come, change, keep their order and go', async (t) => {
  const { world, by } = await worldOf(t, 'a', 'b');
  const [a, b] = by as [Applier, Applier];
  const service = (ports: object[]): object => ({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 's', namespace: 'default' },
    spec: { ports },
  });
  await a.apply(SERVICES, service([{ name: 'http', port: 80 }]));
  const both = await b.apply(SERVICES, service([{ name: 'dns', port: 53, protocol: 'UDP' }]));
  t.same(
    both.spec.ports!.map((p) => `${p.port}/${p.protocol}`),
    ['80/TCP', '53/UDP'],
  );
  t.same(owners(both)['Apply a'], {
    'f:spec': { 'f:ports': { 'k:{"port":80,"protocol":"TCP"}': { '.': {}, 'f:name': {}, 'f:port': {} } } },
  });
  const three = await b.apply(
    SERVICES,
    service([
      { name: 'first', port: 1 },
      { name: 'dns', port: 53, protocol: 'UDP' },
    ]),
  );
  t.same(
    three.spec.ports!.map((p) => p.name),
    ['http', 'first', 'dns'],
  );
  const two = await b.apply(SERVICES, service([{ name: 'first', port: 1 }]));
  t.same(
    two.spec.ports!.map((p) => p.name),
    ['http', 'first'],
  );
  const stored = await world.client.get(SERVICES, 'default', 's');
  t.same(stored.spec.ports, two.spec.ports);
});

t.test('sets own single values, lists without keys are owned whole', async (t) => {
  const { by } = await worldOf(t, 'a', 'b');
  const [a, b] = by as [Applier, Applier];
  await a.apply(CONFIGMAPS, configMap({}, { finalizers: ['x/a'] }));
  const both = await b.apply(CONFIGMAPS, configMap({}, { finalizers: ['x/b'] }));
  t.same(both.metadata.finalizers, ['x/a', 'x/b']);
  t.same(owners(both)['Apply b'], { 'f:metadata': { 'f:finalizers': { 'v:"x/b"': {} } } });
  const left = await a.apply(CONFIGMAPS, configMap({}));
  t.same(left.metadata.finalizers, ['x/b']);

  const template = (args: string[]): Pod => pod('p', { containers: [{ name: 'c', image: 'nginx', args }] });
  await a.apply(PODS, template(['1', '2']));
  await refused(
    t,
    b.apply(PODS, template(['2'])),
    409,
    'Apply failed with 1 conflict: conflict with "a": .spec.containers[name="c"].args',
  );
});

t.test('what cannot be applied is refused in the real server’s words', async (t) => {
  const { by } = await worldOf(t, 'a');
  const [a] = by as [Applier];
  const bad = (change: (object: Record<string, unknown> & Deployment) => void): Promise<unknown> => {
    const object = web(1);
    change(object as never);
    return a.apply(DEPLOYMENTS, object);
  };
  const head = 'failed to create typed patch object (default/web; apps/v1, Kind=Deployment): ';
  await refused(
    t,
    bad((o) => Object.assign(o.spec, { bogus: 1 })),
    500,
    `${head}.spec.bogus: field not declared in schema`,
  );
  await refused(
    t,
    bad((o) => Object.assign(o.spec, { replicas: 'two' })),
    500,
    `${head}.spec.replicas: expected numeric (int or float), got string`,
  );
  await refused(
    t,
    bad((o) => o.spec.template.spec!.containers.push({ name: 'c', image: 'b' })),
    500,
    `${head}.spec.template.spec.containers: duplicate entries for key [name="c"]`,
  );
  await refused(
    t,
    bad((o) => {
      o.spec.template.spec!.containers = [{ image: 'b' } as never];
    }),
    500,
    `${head}.spec.template.spec.containers: element 0: associative list with keys has an element that omits key field "name" (and doesn't have default value)`,
  );
  await refused(
    t,
    bad((o) => {
      o.metadata.managedFields = [];
    }),
    400,
    'metadata.managedFields must be nil',
  );
  await refused(
    t,
    bad((o) => {
      o.apiVersion = 'apps/v1beta1';
    }),
    400,
    'Incorrect version specified in apply patch. Specified patch version: apps/v1beta1, expected: apps/v1',
  );
  await refused(
    t,
    a.apply(CONFIGMAPS, configMap({}, { uid: 'u1' })),
    409,
    'Operation cannot be fulfilled on configmaps "cm": uid mismatch: the provided object specified uid u1, and no existing object was found',
  );
  const { metadata } = await a.apply(CONFIGMAPS, configMap({ x: '1' }));
  await a.apply(CONFIGMAPS, configMap({ x: '2' }, { resourceVersion: metadata.resourceVersion }));
  await refused(
    t,
    a.apply(CONFIGMAPS, configMap({ x: '3' }, { resourceVersion: metadata.resourceVersion })),
    409,
    'Operation cannot be fulfilled on configmaps "cm": the object has been modified; please apply your changes to the latest version and try again',
  );
});

t.test('an apply that changes nothing writes nothing; times move only with fields', async (t) => {
  const { world, by } = await worldOf(t, 'a');
  const [a] = by as [Applier];
  const first = await a.apply(CONFIGMAPS, configMap({ x: '1' }));
  world.clock.advance(10e6);
  const again = await a.apply(CONFIGMAPS, configMap({ x: '1' }));
  t.equal(again.metadata.resourceVersion, first.metadata.resourceVersion);
  const changed = await a.apply(CONFIGMAPS, configMap({ x: '2' }));
  t.not(changed.metadata.managedFields![0]!.time, first.metadata.managedFields![0]!.time);
});

t.test('status and scale are applied through their own doors', async (t) => {
  const { world, by } = await worldOf(t, 'a', 'b');
  const [a, b] = by as [Applier, Applier];
  await a.apply(DEPLOYMENTS, { ...web(1), status: { replicas: 7 } });
  const object = await b.apply(DEPLOYMENTS, { ...web(9), status: { readyReplicas: 1 } }, { subresource: 'status' });
  t.equal(object.spec.replicas, 1);
  t.same(object.status, { readyReplicas: 1 });
  t.same(owners(object)['Apply b status'], { 'f:status': { 'f:readyReplicas': {} } });
  const scale = {
    apiVersion: 'autoscaling/v1',
    kind: 'Scale',
    metadata: { name: 'web', namespace: 'default' },
    spec: { replicas: 4 },
  };
  await refused(
    t,
    b.apply(DEPLOYMENTS, scale, { subresource: 'scale' }),
    409,
    'Apply failed with 1 conflict: conflict with "a": .spec.replicas',
  );
  await b.apply(DEPLOYMENTS, scale, { subresource: 'scale', force: true });
  const now = await world.client.get(DEPLOYMENTS, 'default', 'web');
  t.equal(now.spec.replicas, 4);
  t.same(owners(now)['Apply b scale'], { 'f:spec': { 'f:replicas': {} } });
});

t.test('who binds a Pod owns nothing of it', async (t) => {
  const { world } = await worldOf(t);
  const registry = await world.server.registry(PODS);
  await registry.create(pod('p'), { user: USER, fieldManager: 'kubectl-run' });
  const binding = { ...pod('p'), spec: { nodeName: 'node-1' } } as unknown as Pod;
  const bound = await registry.update(binding, 'binding', { user: USER, fieldManager: 'kube-scheduler' });
  t.equal(bound.spec.nodeName, 'node-1');
  t.same(Object.keys(owners(bound)), ['Update kubectl-run']);
});

t.test('managed fields may be edited and reset, and survive clients that do not know them', async (t) => {
  const { world, by } = await worldOf(t, 'a');
  const [a] = by as [Applier];
  const { metadata, ...rest } = await a.apply(CONFIGMAPS, configMap({ x: '1' }));
  const { managedFields: _, ...unaware } = metadata;
  const kept = await world.client.update(CONFIGMAPS, { ...rest, metadata: unaware });
  t.same(Object.keys(owners(kept)), ['Apply a']);
  const reset = await world.client.patch(CONFIGMAPS, 'default', 'cm', 'merge', { metadata: { managedFields: [{}] } });
  t.equal(reset.metadata.managedFields, undefined);
  const junk = {
    managedFields: [
      { manager: 'x', operation: 'Apply', apiVersion: 'v1', fieldsType: 'FieldsV1', fieldsV1: { 'k:{': {} } },
    ],
  };
  const same = await world.client.patch(CONFIGMAPS, 'default', 'cm', 'merge', { metadata: junk });
  t.equal(same.metadata.managedFields, undefined, 'what makes no sense is not taken over');
});

t.test('more than ten updaters are joined into ancient changes', async (t) => {
  const { world } = await worldOf(t);
  const registry = await world.server.registry(CONFIGMAPS);
  await registry.create(configMap({}), { user: USER, fieldManager: 'maker' });
  for (let i = 0; i < 14; i++) {
    world.clock.advance(1e6);
    const options = { user: USER, fieldManager: `m${i}` };
    await registry.patch('default', 'cm', 'merge', { data: { [`k${i}`]: 'v' } }, undefined, options);
  }
  const { metadata } = await registry.get('default', 'cm');
  const managers = metadata.managedFields!.map(({ manager }) => manager);
  t.equal(managers.length, 10);
  t.equal(managers[0], 'ancient-changes');
  t.equal(managers.at(-1), 'm13');
});
