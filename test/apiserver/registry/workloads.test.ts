import t from 'tap';
import type { Deployment, ReplicaSet } from '../../../src/api/apps-v1.ts';
import { DEPLOYMENTS, REPLICASETS } from '../../../src/api/resources.ts';
import { apiWorld, deployment, refused } from '../../support/api.ts';

const template = { metadata: { labels: { app: 'd' } }, spec: { containers: [{ name: 'c', image: 'nginx:1' }] } };

t.test('defaults of a Deployment and its template', async (t) => {
  const { client } = await apiWorld(t);
  const { spec } = await client.create(DEPLOYMENTS, deployment('d', { template }));
  const { template: made, ...rest } = spec;
  t.same(rest, {
    replicas: 1,
    selector: { matchLabels: { app: 'd' } },
    strategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: '25%', maxSurge: '25%' } },
    revisionHistoryLimit: 10,
    progressDeadlineSeconds: 600,
  });
  t.same(made.spec, {
    containers: [
      {
        name: 'c',
        image: 'nginx:1',
        resources: {},
        terminationMessagePath: '/dev/termination-log',
        terminationMessagePolicy: 'File',
        imagePullPolicy: 'IfNotPresent',
      },
    ],
    restartPolicy: 'Always',
    terminationGracePeriodSeconds: 30,
    dnsPolicy: 'ClusterFirst',
    securityContext: {},
    schedulerName: 'default-scheduler',
  });
});

t.test('validation of Deployments, in the real server’s words', async (t) => {
  const { client } = await apiWorld(t);
  const percent =
    "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')";
  const cases: [Partial<Deployment['spec']>, string][] = [
    [
      { selector: { matchLabels: { app: 'x' } } },
      'spec.template.metadata.labels: Invalid value: {"app":"d"}: `selector` does not match template `labels`',
    ],
    [
      { template: { spec: template.spec } },
      'spec.template.metadata.labels: Invalid value: null: `selector` does not match template `labels`',
    ],
    [{ selector: undefined as never }, 'spec.selector: Required value'],
    [{ selector: {} }, 'spec.selector: Invalid value: {}: empty selector is invalid for deployment'],
    [{ replicas: -1 }, 'spec.replicas: Invalid value: -1: must be greater than or equal to 0'],
    [{ template: { ...template, spec: { containers: [] } } }, 'spec.template.spec.containers: Required value'],
    [
      { template: { ...template, spec: { containers: [{ name: 'c' }] } } },
      'spec.template.spec.containers[0].image: Required value',
    ],
    [
      { template: { ...template, spec: { ...template.spec, restartPolicy: 'Never' } } },
      'spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"',
    ],
    [
      { strategy: { type: 'Foo' as 'Recreate' } },
      'spec.strategy.type: Unsupported value: "Foo": supported values: "Recreate", "RollingUpdate"',
    ],
    [
      { strategy: { type: 'Recreate', rollingUpdate: { maxSurge: 1 } } },
      "spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'",
    ],
    [
      { strategy: { rollingUpdate: { maxSurge: 0, maxUnavailable: 0 } } },
      'spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0',
    ],
    [
      { strategy: { rollingUpdate: { maxSurge: 'many' } } },
      `spec.strategy.rollingUpdate.maxSurge: Invalid value: "many": ${percent}`,
    ],
    [
      { strategy: { rollingUpdate: { maxUnavailable: '200%' } } },
      'spec.strategy.rollingUpdate.maxUnavailable: Invalid value: "200%": must not be greater than 100%',
    ],
    [
      { progressDeadlineSeconds: 10, minReadySeconds: 10 },
      'spec.progressDeadlineSeconds: Invalid value: 10: must be greater than minReadySeconds',
    ],
    [
      { selector: { matchExpressions: [{ key: 'app', operator: 'In' }] } },
      "spec.selector.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
    ],
  ];
  for (const [spec, why] of cases) {
    await refused(
      t,
      client.create(DEPLOYMENTS, deployment('d', { template, ...spec })),
      422,
      `Deployment.apps "d" is invalid: ${why}`,
    );
  }
  const bare = {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'd', namespace: 'default' },
  } as Deployment;
  await refused(
    t,
    client.create(DEPLOYMENTS, bare),
    422,
    'Deployment.apps "d" is invalid: [spec.selector: Required value, spec.template.spec.containers: Required value]',
  );
});

t.test('the selector does not change', async (t) => {
  const { client } = await apiWorld(t);
  await client.create(DEPLOYMENTS, deployment('d', { template }));
  const labels = { app: 'd', tier: 'x' };
  await refused(
    t,
    client.patch(DEPLOYMENTS, 'default', 'd', 'merge', {
      spec: { selector: { matchLabels: labels }, template: { metadata: { labels } } },
    }),
    422,
    'Deployment.apps "d" is invalid: spec.selector: Invalid value: {"matchLabels":{"app":"d","tier":"x"}}: field is immutable',
  );
});

t.test('ReplicaSets likewise', async (t) => {
  const { client } = await apiWorld(t);
  const replicaSet: ReplicaSet = {
    apiVersion: 'apps/v1',
    kind: 'ReplicaSet',
    metadata: { name: 'r', namespace: 'default' },
    spec: { selector: { matchLabels: { app: 'd' } }, template },
  };
  const made = await client.create(REPLICASETS, replicaSet);
  t.same([made.spec.replicas, made.status, made.metadata.generation], [1, { replicas: 0 }, 1]);
  await refused(
    t,
    client.patch(REPLICASETS, 'default', 'r', 'merge', { spec: { selector: { matchLabels: { app: 'e' } } } }),
    422,
    'ReplicaSet.apps "r" is invalid: [spec.template.metadata.labels: Invalid value: {"app":"d"}: `selector` does not match template `labels`, spec.selector: Invalid value: {"matchLabels":{"app":"e"}}: field is immutable]',
  );
});
