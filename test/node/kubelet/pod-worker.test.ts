import t from 'tap';
import type { Container, Pod } from '../../../src/api/core-v1.ts';
import { CONFIGMAPS, PODS } from '../../../src/api/resources.ts';
import { ImageCatalog } from '../../../src/node/images.ts';
import { PodWorker } from '../../../src/node/kubelet/pod-worker.ts';
import { apiWorld } from '../../support/api.ts';
import { FakeSandbox } from '../../support/fake-sandbox.ts';

const SECOND = 1_000_000;
const container = (name: string, more: Partial<Container> = {}): Container => ({ name, image: 'busybox', ...more });

const configMap = (name: string, data: Record<string, string>) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace: 'default' },
  data,
});

async function run(t: Parameters<typeof apiWorld>[0], spec: Partial<Pod['spec']>, beforeSandbox = async () => {}) {
  const { clock, client } = await apiWorld(t);
  const sandbox = new FakeSandbox();
  const events: string[] = [];
  const healthy = { http: true };
  await client.create(CONFIGMAPS, configMap('kube-root-ca.crt', { 'ca.crt': 'the CA' }));
  const created = await client.create(PODS, {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'p', namespace: 'default' },
    spec: { containers: [container('c')], ...spec },
  });
  const worker = new PodWorker(
    {
      client,
      clock,
      images: new ImageCatalog(),
      runtimeOf: () => ({
        handler: 'fake',
        create: async ({ files }) => {
          await beforeSandbox();
          sandbox.files = new Map(files);
          return sandbox;
        },
      }),
      dns: {
        clusterDNS: '10.96.0.10',
        clusterDomain: 'cluster.local',
        host: { nameservers: [], searches: [], options: [] },
      },
      hostIP: '192.168.49.2',
      allocatable: {},
      services: async () => [],
      probes: () => ({
        http: async () => {
          if (!healthy.http) throw new Error('HTTP probe failed with statuscode: 500');
        },
        tcp: async () => {},
        exec: async () => {},
      }),
      event: (_object, _type, reason, message, fieldPath) => events.push(`${fieldPath ?? '-'} ${reason}: ${message}`),
      gone: () => {},
    },
    created,
  );
  await clock.run(1000);
  const pod = () => client.get(PODS, 'default', 'p');
  const ready = async (name: string) => {
    const { containerStatuses = [], initContainerStatuses = [] } = (await pod()).status!;
    return [...containerStatuses, ...initContainerStatuses].find((c) => c.name === name)?.ready;
  };
  const condition = async (type: string) => (await pod()).status!.conditions!.find((c) => c.type === type);
  const names = () => sandbox.started.map((p) => p.argv[0]!);
  return { clock, client, sandbox, events, healthy, worker, pod, ready, condition, names };
}

t.test('a Pod that ends gives its network back, and keeps its address and log', async (t) => {
  const { clock, sandbox, worker, pod, condition } = await run(t, { restartPolicy: 'Never' });
  sandbox.started[0]!.io.stdout.write('done\n');
  sandbox.end(0);
  await clock.run(1000);
  t.match((await pod()).status, { phase: 'Succeeded', podIP: '0.0.0.1' });
  t.ok(sandbox.closed);
  t.equal((await condition('PodReadyToStartContainers'))!.status, 'False');
  t.match(await condition('Ready'), { status: 'False', reason: 'PodCompleted' });
  t.same(
    worker
      .container('c')!
      .log.lines()
      .map((line) => line.text),
    ['done'],
  );
});

t.test('init containers one after the other, then the containers', async (t) => {
  const { clock, sandbox, pod, ready, names } = await run(t, {
    initContainers: [container('one', { command: ['first'] }), container('two', { command: ['second'] })],
    containers: [container('c', { command: ['main'] })],
  });
  t.same(names(), ['first']);
  t.match((await pod()).status, {
    phase: 'Pending',
    containerStatuses: [{ state: { waiting: { reason: 'PodInitializing' } } }],
  });
  sandbox.end(1);
  await clock.run(1000);
  t.same(names(), ['first', 'first'], 'a failed one again');
  sandbox.end(0);
  await clock.run(1000);
  t.same(names(), ['first', 'first', 'second']);
  sandbox.end(0);
  await clock.run(1000);
  t.same(names(), ['first', 'first', 'second', 'main']);
  t.equal((await pod()).status!.phase, 'Running');
  t.equal(await ready('one'), true);
});

t.test('a sidecar starts first and ends last', async (t) => {
  const { clock, sandbox, pod, ready, names } = await run(t, {
    restartPolicy: 'Never',
    initContainers: [
      container('side', { command: ['proxy'], restartPolicy: 'Always' }),
      container('init', { command: ['init'] }),
    ],
    containers: [container('c', { command: ['main'] })],
  });
  t.same(names(), ['proxy', 'init'], 'the next does not wait for its end');
  sandbox.end(0);
  await clock.run(1000);
  t.same(names(), ['proxy', 'init', 'main']);
  t.equal(await ready('side'), true);
  sandbox.end(1, 0);
  await clock.run(1000);
  t.same(names(), ['proxy', 'init', 'main', 'proxy'], 'it is restarted whatever the policy');
  sandbox.end(0, 2);
  await clock.run(1000);
  t.same(sandbox.signals, ['SIGTERM']);
  t.equal((await pod()).status!.phase, 'Succeeded');
  t.ok(sandbox.closed);
});

t.test('a deadline fails the Pod', async (t) => {
  const { clock, sandbox, events, pod } = await run(t, { activeDeadlineSeconds: 20 });
  await clock.run(18 * SECOND);
  t.equal((await pod()).status!.phase, 'Running');
  await clock.run(3 * SECOND);
  const message = 'Pod was active on the node longer than the specified deadline';
  t.match((await pod()).status, { phase: 'Failed', reason: 'DeadlineExceeded', message });
  t.ok(events.includes(`- DeadlineExceeded: ${message}`));
  t.ok(sandbox.closed);
});

t.test('liveness: three failures a period apart restart the container, and say so', async (t) => {
  const livenessProbe = {
    httpGet: { path: '/', port: 80 },
    initialDelaySeconds: 5,
    periodSeconds: 5,
    failureThreshold: 3,
  };
  const { clock, sandbox, events, healthy, names } = await run(t, { containers: [container('c', { livenessProbe })] });
  await clock.run(7 * SECOND);
  healthy.http = false;
  await clock.run(14 * SECOND);
  t.equal(names().length, 2);
  t.same(sandbox.signals, ['SIGTERM']);
  t.same(
    events.filter((line) => /Unhealthy|Killing/.test(line)),
    [
      ...Array.from(
        { length: 3 },
        () => 'spec.containers{c} Unhealthy: Liveness probe failed: HTTP probe failed with statuscode: 500',
      ),
      'spec.containers{c} Killing: Container c failed liveness probe, will be restarted',
    ],
  );
});

t.test('readiness is looked at every period, and at once while the container starts', async (t) => {
  const readinessProbe = { httpGet: { path: '/', port: 80 }, periodSeconds: 10, failureThreshold: 1 };
  const { clock, events, healthy, ready } = await run(t, { containers: [container('c', { readinessProbe })] });
  t.equal(await ready('c'), true);
  healthy.http = false;
  await clock.run(9 * SECOND);
  t.equal(await ready('c'), true);
  await clock.run(2 * SECOND);
  t.equal(await ready('c'), false);
  t.equal(events.filter((line) => line.includes('Unhealthy')).length, 1);
  healthy.http = true;
  await clock.run(5 * SECOND);
  t.equal(await ready('c'), false, 'not before its time');
  await clock.run(5 * SECOND);
  t.equal(await ready('c'), true);
});

t.test('a readiness gate keeps a Pod with ready containers unready', async (t) => {
  const { client, clock, condition, worker } = await run(t, {
    readinessGates: [{ conditionType: 'example.com/ready' }],
  });
  t.equal((await condition('ContainersReady'))!.status, 'True');
  t.match(await condition('Ready'), {
    status: 'False',
    reason: 'ReadinessGatesNotReady',
    message: 'corresponding condition of pod readiness gate "example.com/ready" does not exist.',
  });
  const conditions = [{ type: 'example.com/ready', status: 'True' }];
  const patched = await client.patch(PODS, 'default', 'p', 'strategic', { status: { conditions } }, 'status');
  worker.update(patched);
  await clock.run(1000);
  t.equal((await condition('Ready'))!.status, 'True');
  t.equal((await condition('example.com/ready'))!.status, 'True', 'what others say stays');
});

t.test('the environment comes from a ConfigMap as soon as there is one', async (t) => {
  const env = [{ name: 'COLOUR', valueFrom: { configMapKeyRef: { name: 'settings', key: 'colour' } } }];
  const { client, clock, sandbox, pod, events } = await run(t, { containers: [container('c', { env })] });
  t.match((await pod()).status!.containerStatuses, [
    { state: { waiting: { reason: 'CreateContainerConfigError', message: 'configmap "settings" not found' } } },
  ]);
  t.ok(events.includes('spec.containers{c} Failed: Error: configmap "settings" not found'));
  await client.create(CONFIGMAPS, configMap('settings', { colour: 'blue' }));
  await clock.run(6 * SECOND);
  t.equal(sandbox.started[0]!.env['COLOUR'], 'blue');
});

t.test('an ephemeral container joins a Pod that runs, and is not restarted', async (t) => {
  const { client, clock, sandbox, worker, names, pod, events } = await run(t, {
    containers: [container('c', { command: ['main'] })],
  });
  const ephemeralContainers = [container('debugger', { command: ['look'] })];
  const patch = { spec: { ephemeralContainers } };
  const added = await client.patch(PODS, 'default', 'p', 'strategic', patch, 'ephemeralcontainers');
  worker.update(added);
  await clock.run(1000);
  t.same(names(), ['main', 'look']);
  t.match((await pod()).status!.ephemeralContainerStatuses, [{ name: 'debugger', state: { running: {} } }]);
  t.ok(events.includes('spec.ephemeralContainers{debugger} Started: Started container debugger'));
  sandbox.end(0);
  await clock.run(30 * SECOND);
  t.same(names(), ['main', 'look']);
  t.match((await pod()).status, { phase: 'Running', ephemeralContainerStatuses: [{ state: { terminated: {} } }] });
  const other = { spec: { ephemeralContainers: [container('debugger', { command: ['other'] })] } };
  await t.rejects(client.patch(PODS, 'default', 'p', 'strategic', other, 'ephemeralcontainers'), {
    message:
      'Pod "p" is invalid: spec.ephemeralContainers: Forbidden: existing ephemeral containers "debugger" may not be changed',
  });
  await t.rejects(client.patch(PODS, 'default', 'p', 'merge', { spec: { ephemeralContainers: null } }), {
    code: 422,
  });
});

t.test('hostNetwork is refused with a reason', async (t) => {
  const { sandbox, events, pod } = await run(t, { hostNetwork: true });
  t.equal(sandbox.started.length, 0);
  t.match(
    events[0],
    /^- FailedCreatePodSandBox: Failed to create pod sandbox: hostNetwork: a Pod cannot join .*\/nodes\/NAME:PORT\/proxy\/`$/,
  );
  t.equal((await pod()).status!.phase, 'Pending');
});

t.test('the files of its service account are there, and the token is renewed before it ends', async (t) => {
  const { sandbox, clock } = await run(t, {});
  const file = (name: string) => sandbox.files.get(`/var/run/secrets/kubernetes.io/serviceaccount/${name}`);
  t.equal(file('ca.crt'), 'the CA');
  t.equal(file('namespace'), 'default');
  const token = file('token')!;
  const claims = (jwt: string) => JSON.parse(Buffer.from(jwt.split('.')[1]!, 'base64url').toString());
  t.match(claims(token)['kubernetes.io'], { pod: { name: 'p' }, serviceaccount: { name: 'default' } });
  await clock.run(45 * 60 * SECOND);
  t.equal(file('token'), token);
  await clock.run(5 * 60 * SECOND);
  t.ok(claims(file('token')!).iat > claims(token).iat + 2700, 'after four fifths of its hour');
});

t.test('of a Pod that is gone without grace no missing file is told', async (t) => {
  const { client, worker, events } = await run(t, {});
  await client.delete(PODS, 'default', 'p', { gracePeriodSeconds: 0 });
  await worker.refreshFiles('kube-root-ca.crt');
  t.same(
    events.filter((event) => event.includes('FailedMount')),
    [],
  );
});

t.test('a Pod that ends while its sandbox is being made leaves none', async (t) => {
  let made = (): void => {};
  const { clock, worker, sandbox } = await run(t, {}, () => new Promise((resolve) => (made = resolve)));
  const ended = worker.terminate(0);
  await clock.run(SECOND);
  t.notOk(sandbox.closed);
  made();
  await ended;
  t.ok(sandbox.closed);
  t.equal(sandbox.started.length, 0);
});

t.test('a volume that cannot be made is told, and tried again', async (t) => {
  const volumes = [
    {
      name: 'v',
      projected: { sources: [{ configMap: { name: 'one' } }, { configMap: { name: 'two', optional: true } }] },
    },
  ];
  const mounted = container('c', { volumeMounts: [{ name: 'v', mountPath: '/v' }] });
  const { client, clock, events, sandbox } = await run(t, { volumes, containers: [mounted] });
  t.equal(events[0], '- FailedMount: MountVolume.SetUp failed for volume "v" : configmap "one" not found');
  await client.create(CONFIGMAPS, configMap('one', { a: '1' }));
  await clock.run(2 * SECOND);
  t.equal(sandbox.files.get('/v/a'), '1');
});
