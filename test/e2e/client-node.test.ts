// The official JavaScript client, unchanged, against a cluster: whoever wrote it did not know of us.
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import {
  AppsV1Api,
  CoreV1Api,
  Exec,
  KubeConfig,
  KubernetesObjectApi,
  Log,
  makeInformer,
  PatchStrategy,
  PortForward,
  type V1Pod,
  type V1Status,
  Watch,
} from '@kubernetes/client-node';
import t, { type Test } from 'tap';
import { eventually, Podwire } from '../support/podwire.ts';

const NAMESPACE = 'default';

function podOf(name: string, image: string, command?: string[]): V1Pod {
  return {
    metadata: { name, labels: { app: name } },
    spec: {
      terminationGracePeriodSeconds: 0,
      restartPolicy: 'Never',
      containers: [{ name: 'c', image, ...(command ? { command } : {}) }],
    },
  };
}

function collected(): { stream: PassThrough; text: () => string } {
  const stream = new PassThrough();
  let text = '';
  stream.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  return { stream, text: () => text };
}

t.test('@kubernetes/client-node', async (t) => {
  const podwire = new Podwire(t);
  await podwire.up(t, '--runtime', 'userspace', '--listen', '127.0.0.1:0');
  const config = new KubeConfig();
  config.loadFromFile(join(podwire.dir, 'kubeconfig'));
  const core = config.makeApiClient(CoreV1Api);
  const phase = async (name: string): Promise<string | undefined> =>
    (await core.readNamespacedPod({ name, namespace: NAMESPACE })).status?.phase;
  const runs = (name: string): Promise<void> =>
    eventually(`${name} runs`, async () => (await phase(name)) === 'Running');

  await t.test('an informer follows what happens', async (t) => {
    const seen: string[] = [];
    const informer = makeInformer(config, `/api/v1/namespaces/${NAMESPACE}/pods`, () =>
      core.listNamespacedPod({ namespace: NAMESPACE }),
    );
    for (const verb of ['add', 'update', 'delete'] as const) {
      informer.on(verb, (pod) => void seen.push(`${verb} ${pod.metadata!.name} ${pod.status?.phase ?? ''}`));
    }
    const errors: unknown[] = [];
    informer.on('error', (error: unknown) => void errors.push(error));
    await informer.start();
    await core.createNamespacedPod({ namespace: NAMESPACE, body: podOf('seen', 'nginx') });
    await eventually('it runs', () => informer.get('seen', NAMESPACE)?.status?.phase === 'Running');
    await core.deleteNamespacedPod({ name: 'seen', namespace: NAMESPACE });
    await eventually('it goes', () => seen.some((line) => line.startsWith('delete seen')));
    t.equal(seen[0], 'add seen Pending');
    t.ok(seen.includes('update seen Running'), seen.join('; '));
    t.equal(informer.get('seen', NAMESPACE), undefined);
    t.same(errors, []);
    await informer.stop(); // which it reports as an error of its own
  });

  await t.test('a watch tells of changes from a resourceVersion on, and ends when it is told to', async (t) => {
    const { metadata } = await core.listNamespacedConfigMap({ namespace: NAMESPACE });
    const events: string[] = [];
    const ended = new Promise<void>((resolve) => {
      const query = { resourceVersion: metadata!.resourceVersion!, labelSelector: 'a=b' };
      void new Watch(config)
        .watch(
          `/api/v1/namespaces/${NAMESPACE}/configmaps`,
          query,
          (type) => events.push(type),
          () => resolve(),
        )
        .then(async (controller) => {
          const body = { metadata: { name: 'watched', labels: { a: 'b' } }, data: { k: 'v' } };
          await core.createNamespacedConfigMap({ namespace: NAMESPACE, body });
          await core.replaceNamespacedConfigMap({
            name: 'watched',
            namespace: NAMESPACE,
            body: { ...body, data: { k: 'w' } },
          });
          await core.deleteNamespacedConfigMap({ name: 'watched', namespace: NAMESPACE });
          await eventually('three events', () => events.length === 3);
          controller.abort();
        });
    });
    await ended;
    t.same(events, ['ADDED', 'MODIFIED', 'DELETED']);
  });

  await t.test('errors are its own', async (t) => {
    const missing = core.readNamespacedPod({ name: 'nobody', namespace: NAMESPACE });
    await t.rejects(missing, { code: 404, body: /pods \\"nobody\\" not found/ });
  });

  await t.test('exec passes input, output, and the exit code; logs are read', async (t) => {
    await core.createNamespacedPod({
      namespace: NAMESPACE,
      body: podOf('box', 'busybox', ['sh', '-c', 'echo started; sleep 600']),
    });
    await runs('box');
    const exec = (
      command: string[],
      stdin: PassThrough | null,
    ): Promise<{ status: V1Status; out: string; err: string }> => {
      const [out, err] = [collected(), collected()];
      return new Promise((resolve, reject) => {
        const done = (status: V1Status): void => resolve({ status, out: out.text(), err: err.text() });
        new Exec(config).exec(NAMESPACE, 'box', 'c', command, out.stream, err.stream, stdin, false, done).catch(reject);
      });
    };
    const stdin = new PassThrough();
    stdin.end('through\n');
    const cat = await exec(['cat'], stdin);
    t.same([cat.status.status, cat.out], ['Success', 'through\n']);
    const failed = await exec(['sh', '-c', 'echo oops >&2; exit 7'], null);
    t.equal(failed.err, 'oops\n');
    t.equal(failed.status.details?.causes?.[0]?.message, '7');
    const log = collected();
    await new Log(config).log(NAMESPACE, 'box', 'c', log.stream, { tailLines: 1 });
    await eventually('the log comes', () => log.text() === 'started\n');
  });

  await t.test('a port is forwarded', async (t) => {
    await core.createNamespacedPod({ namespace: NAMESPACE, body: podOf('web', 'nginx') });
    await runs('web');
    const [out, err, input] = [collected(), collected(), new PassThrough()];
    const socket = await new PortForward(config).portForward(NAMESPACE, 'web', [80], out.stream, err.stream, input);
    input.write('GET / HTTP/1.0\r\n\r\n');
    await eventually('the page comes', () => out.text().includes('It works'));
    t.match(out.text(), /^HTTP\/1\.[01] 200 OK\r\n/);
    t.equal(err.text(), '');
    if ('close' in socket) socket.close();
    const refused = collected();
    await new PortForward(config).portForward(
      NAMESPACE,
      'web',
      [81],
      collected().stream,
      refused.stream,
      new PassThrough(),
    );
    await eventually('a closed port is told', () => refused.text().includes('connect: connection refused'));
  });

  await t.test('any object, and patches of every kind', (t) => playObjects(t, config));
});

async function playObjects(t: Test, config: KubeConfig): Promise<void> {
  const objects = KubernetesObjectApi.makeApiClient(config);
  const labels = { app: 'd' };
  const deployment = {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'd', namespace: NAMESPACE },
    spec: {
      replicas: 1,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers: [{ name: 'c', image: 'nginx' }] } },
    },
  };
  await objects.create(deployment);
  const target = { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'd', namespace: NAMESPACE } };
  for (const [strategy, replicas] of [
    [PatchStrategy.StrategicMergePatch, 2],
    [PatchStrategy.MergePatch, 3],
  ] as const) {
    const body = { ...target, spec: { replicas } };
    const patched = await objects.patch(body, undefined, undefined, undefined, undefined, strategy);
    t.equal((patched as typeof deployment).spec.replicas, replicas, strategy);
  }
  const apps = config.makeApiClient(AppsV1Api);
  await eventually('three Pods', async () => {
    const { status } = await apps.readNamespacedDeployment({ name: 'd', namespace: NAMESPACE });
    return status?.readyReplicas === 3;
  });
  // Server-side apply: with the fields that another manager owns only by force.
  const apply = (replicas: number, manager: string, force: boolean): Promise<unknown> =>
    objects.patch(
      { ...target, spec: { replicas } },
      undefined,
      undefined,
      manager,
      force,
      PatchStrategy.ServerSideApply,
    );
  await apply(3, 'one', true);
  await t.rejects(apply(4, 'two', false), { code: 409, body: /conflict with \\"one\\"/ });
  const applied = (await apply(4, 'two', true)) as typeof deployment & {
    metadata: { managedFields: { manager: string; operation: string }[] };
  };
  t.equal(applied.spec.replicas, 4);
  const managers = applied.metadata.managedFields.filter(({ operation }) => operation === 'Apply');
  t.same(
    managers.map(({ manager }) => manager),
    ['two'],
  );
  await objects.delete(target);
}
