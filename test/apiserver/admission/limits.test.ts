import t, { type Test } from 'tap';
import type { LimitRange, Pod, ResourceQuota } from '../../../src/api/core-v1.ts';
import { CONFIGMAPS, LIMITRANGES, PODS, RESOURCEQUOTAS, SERVICES } from '../../../src/api/resources.ts';
import { apiWorld, pod, refused, service } from '../../support/api.ts';

async function quotaWorld(t: Test, hard: Record<string, string>, spec: ResourceQuota['spec'] = {}) {
  const { client, clock } = await apiWorld(t);
  const quota: ResourceQuota = {
    apiVersion: 'v1',
    kind: 'ResourceQuota',
    metadata: { name: 'q', namespace: 'default' },
    spec: { hard, ...spec },
  };
  const made = await client.create(RESOURCEQUOTAS, quota);
  const zero = Object.fromEntries(Object.keys(hard).map((name) => [name, '0']));
  await client.update(RESOURCEQUOTAS, { ...made, status: { hard, used: zero } }, 'status');
  const used = async () => (await client.get(RESOURCEQUOTAS, 'default', 'q')).status?.used;
  return { client, clock, used };
}

function asking(name: string, requests: Record<string, string>, limits: Record<string, string> = {}): Pod {
  return pod(name, { containers: [{ name: 'c', image: 'nginx', resources: { requests, limits } }] });
}

t.test('what is made is charged, and refused where it is too much', async (t) => {
  const { client, used } = await quotaWorld(t, { pods: '2', 'requests.cpu': '1', 'limits.memory': '1Gi' });
  await client.create(PODS, asking('a', { cpu: '400m' }, { memory: '512Mi' }));
  t.same(await used(), { pods: '1', 'requests.cpu': '400m', 'limits.memory': '512Mi' });
  await refused(
    t,
    client.create(PODS, asking('b', { cpu: '700m' }, { memory: '513Mi' })),
    403,
    'pods "b" is forbidden: exceeded quota: q, requested: limits.memory=513Mi,requests.cpu=700m, used: limits.memory=512Mi,requests.cpu=400m, limited: limits.memory=1Gi,requests.cpu=1',
  );
  await refused(
    t,
    client.create(PODS, pod('b')),
    403,
    'pods "b" is forbidden: failed quota: q: must specify limits.memory for: c; requests.cpu for: c',
  );
  await client.create(PODS, asking('b', { cpu: '600m' }, { memory: '512Mi' }));
  await refused(
    t,
    client.create(PODS, asking('c', { cpu: '0' }, { memory: '0' })),
    403,
    'pods "c" is forbidden: exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2',
  );
  t.same(await used(), { pods: '2', 'requests.cpu': '1', 'limits.memory': '1Gi' });
});

t.test('what fails otherwise, or is only tried, is not charged', async (t) => {
  const { client, used } = await quotaWorld(t, { configmaps: '2', 'count/configmaps': '5' });
  const map = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'm', namespace: 'default' } };
  await client.create(CONFIGMAPS, map);
  await refused(t, client.create(CONFIGMAPS, map), 409, 'configmaps "m" already exists');
  await t.rejects(client.create(CONFIGMAPS, { ...map, metadata: { ...map.metadata, name: 'M!' } }), { code: 422 });
  t.same(await used(), { configmaps: '1', 'count/configmaps': '1' });
});

t.test('of many at once exactly as many come through as may', async (t) => {
  const { client, used } = await quotaWorld(t, { pods: '5' });
  const results = await Promise.allSettled(Array.from({ length: 12 }, (_, i) => client.create(PODS, pod(`p${i}`))));
  t.equal(results.filter(({ status }) => status === 'fulfilled').length, 5);
  t.same(await used(), { pods: '5' });
});

t.test('Services are charged by their type, also when it changes', async (t) => {
  const { client, used } = await quotaWorld(t, {
    services: '3',
    'services.nodeports': '1',
    'services.loadbalancers': '0',
  });
  await client.create(SERVICES, service('a'));
  const toNodePort = (name: string) => client.patch(SERVICES, 'default', name, 'merge', { spec: { type: 'NodePort' } });
  await toNodePort('a');
  t.same(await used(), { services: '1', 'services.nodeports': '1', 'services.loadbalancers': '0' });
  await client.create(SERVICES, service('b'));
  await refused(
    t,
    toNodePort('b'),
    403,
    'services "b" is forbidden: exceeded quota: q, requested: services.nodeports=1, used: services.nodeports=1, limited: services.nodeports=1',
  );
  await t.rejects(client.create(SERVICES, service('c', { type: 'LoadBalancer' })), { code: 403 });
});

t.test('a quota with scopes is about some Pods', async (t) => {
  const { client, used } = await quotaWorld(t, { pods: '0' }, { scopes: ['BestEffort'] });
  await t.rejects(client.create(PODS, pod('a')), { message: /exceeded quota: q/ });
  await client.create(PODS, asking('b', { cpu: '1m' }));
  t.same(await used(), { pods: '0' });
});

t.test('quotas are checked themselves', async (t) => {
  const { client } = await apiWorld(t);
  const quota = (hard: Record<string, string>) =>
    client.create(RESOURCEQUOTAS, {
      apiVersion: 'v1',
      kind: 'ResourceQuota',
      metadata: { name: 'q', namespace: 'default' },
      spec: { hard },
    });
  const invalid = (what: string) => `ResourceQuota "q" is invalid: ${what}`;
  await refused(
    t,
    quota({ wombats: '1' }),
    422,
    invalid('spec.hard[wombats]: Invalid value: "wombats": must be a standard resource for quota'),
  );
  await refused(
    t,
    quota({ pods: '-1' }),
    422,
    invalid('spec.hard[pods]: Invalid value: "-1": must be greater than or equal to 0'),
  );
  await refused(
    t,
    quota({ pods: '1500m' }),
    422,
    invalid('spec.hard[pods]: Invalid value: "1500m": must be an integer'),
  );
});

t.test('a LimitRange gives defaults and sets bounds', async (t) => {
  const { client } = await apiWorld(t);
  const range: LimitRange = {
    apiVersion: 'v1',
    kind: 'LimitRange',
    metadata: { name: 'l', namespace: 'default' },
    spec: {
      limits: [
        {
          type: 'Container',
          min: { cpu: '100m' },
          max: { cpu: '1' },
          default: { cpu: '500m' },
          defaultRequest: { cpu: '200m' },
        },
        { type: 'Pod', max: { cpu: '1' } },
      ],
    },
  };
  await client.create(LIMITRANGES, range);
  const made = await client.create(PODS, pod('a'));
  t.same(made.spec.containers[0]!.resources, { requests: { cpu: '200m' }, limits: { cpu: '500m' } });
  t.equal(
    made.metadata.annotations!['kubernetes.io/limit-ranger'],
    'LimitRanger plugin set: cpu request for container c; cpu limit for container c',
  );
  await refused(
    t,
    client.create(PODS, asking('b', { cpu: '50m' }, { cpu: '2' })),
    403,
    'pods "b" is forbidden: [minimum cpu usage per Container is 100m, but request is 50m, maximum cpu usage per Container is 1, but limit is 2, maximum cpu usage per Pod is 1, but limit is 2]',
  );
  const two = ['x', 'y'].map((name) => ({ name, image: 'nginx', resources: { limits: { cpu: '600m' } } }));
  await t.rejects(client.create(PODS, pod('c', { containers: two })), {
    message:
      'pods "c" is forbidden: [maximum cpu usage per Pod is 1, but limit is 1200m, maximum cpu usage per Pod is 1, but request is 1200m]',
  });
});
