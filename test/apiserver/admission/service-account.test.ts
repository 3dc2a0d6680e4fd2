import t from 'tap';
import { NAMESPACES, PODS, SERVICEACCOUNTS } from '../../../src/api/resources.ts';
import { apiWorld, namespace, pod, refused, serviceAccount } from '../../support/api.ts';

const AT = '/var/run/secrets/kubernetes.io/serviceaccount';

t.test('a Pod gets its account, and a token where its containers look for it', async (t) => {
  const { client } = await apiWorld(t);
  const { spec } = await client.create(PODS, pod('web', { initContainers: [{ name: 'i', image: 'busybox' }] }));
  t.match(spec, { serviceAccountName: 'default', serviceAccount: 'default' });
  const [volume] = spec.volumes ?? [];
  t.match(volume?.name, /^kube-api-access-[bcdfghjklmnpqrstvwxz2456789]{5}$/);
  t.same(volume?.projected, {
    defaultMode: 420,
    sources: [
      { serviceAccountToken: { expirationSeconds: 3607, path: 'token' } },
      { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
      {
        downwardAPI: {
          items: [{ path: 'namespace', fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.namespace' } }],
        },
      },
    ],
  });
  for (const container of [...spec.containers, ...spec.initContainers!]) {
    t.same(container.volumeMounts, [{ name: volume!.name, readOnly: true, mountPath: AT }]);
  }
});

t.test('who does not want a token, or has one, gets none', async (t) => {
  const { client } = await apiWorld(t);
  const volumes = async (name: string, spec: object) => (await client.create(PODS, pod(name, spec))).spec.volumes ?? [];
  t.same(await volumes('a', { automountServiceAccountToken: false }), []);
  await client.create(SERVICEACCOUNTS, { ...serviceAccount('quiet'), automountServiceAccountToken: false });
  t.same(await volumes('b', { serviceAccountName: 'quiet' }), [], 'the account says no');
  t.equal((await volumes('c', { serviceAccountName: 'quiet', automountServiceAccountToken: true })).length, 1);
  const own = {
    containers: [{ name: 'c', image: 'nginx', volumeMounts: [{ name: 'v', mountPath: AT }] }],
    volumes: [{ name: 'v', emptyDir: {} }],
  };
  t.equal((await volumes('d', own)).length, 1, 'something is mounted there already');
});

t.test('an account that does not exist is told; `default` is waited for', async (t) => {
  const { client, clock } = await apiWorld(t);
  await refused(
    t,
    client.create(PODS, pod('web', { serviceAccountName: 'nobody' })),
    403,
    'pods "web" is forbidden: error looking up service account default/nobody: serviceaccount "nobody" not found',
  );
  await client.create(NAMESPACES, namespace('late'));
  const early = { ...pod('web'), metadata: { name: 'web', namespace: 'late' } };
  const created = client.create(PODS, early);
  await clock.run(300_000);
  await client.create(SERVICEACCOUNTS, serviceAccount('default', 'late'));
  await clock.run(300_000);
  t.equal((await created).spec.serviceAccountName, 'default');
  await client.delete(SERVICEACCOUNTS, 'late', 'default');
  const again = client.create(PODS, { ...early, metadata: { name: 'x', namespace: 'late' } });
  again.catch(() => {});
  await clock.run(5e6);
  await refused(
    t,
    again,
    403,
    'pods "x" is forbidden: error looking up service account late/default: serviceaccount "default" not found',
  );
});
