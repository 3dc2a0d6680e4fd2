// A Pod reaches the API by its Service, with the cluster's CA and a token: the path of every in-cluster client.
import { existsSync } from 'node:fs';
import t from 'tap';
import { Kubectl, needsKubectl } from '../support/kubectl.ts';
import { canUseNetns } from '../support/netns.ts';
import { Podwire } from '../support/podwire.ts';

t.test('a Pod talks to https://kubernetes', async (t) => {
  if (!canUseNetns(t, 'curl') || !needsKubectl(t)) return;
  const podwire = new Podwire(t);
  await podwire.up(t, '--runtime', 'netns', '--listen', '127.0.0.1:0');
  const kubectl = new Kubectl(podwire);
  // What is mounted below a symbolic link of the image (/var/run) lands in the Pod, not where the link leads on the host.
  const mark = `podwire-${process.pid}`;
  const volume = { name: 'v', configMap: { name: 'kube-root-ca.crt' } };
  const mounts = [{ name: 'v', mountPath: `/var/run/${mark}` }];
  const command = ['sleep', '600'];
  const linked = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'linked' },
    spec: { volumes: [volume], containers: [{ name: 'c', image: 'busybox', command, volumeMounts: mounts }] },
  };
  t.equal((await kubectl.args(['create', '-f', '-'], JSON.stringify(linked))).code, 0);
  t.equal((await kubectl.run('wait --for=condition=Ready pod/linked --timeout=90s')).code, 0);
  t.match((await kubectl.run(`exec linked -- cat /run/${mark}/ca.crt`)).stdout, 'BEGIN CERTIFICATE');
  t.notOk(existsSync(`/run/${mark}`), 'nothing of it is on the host');
  t.equal((await kubectl.run('run box --image=busybox -- sleep 600')).code, 0);
  t.equal((await kubectl.run('wait --for=condition=Ready pod/box --timeout=90s')).code, 0);
  const at = '/var/run/secrets/kubernetes.io/serviceaccount';
  const inPod = (command: string) => kubectl.args(['exec', 'box', '--', 'sh', '-c', command]);
  t.equal((await inPod(`cat ${at}/namespace`)).stdout, 'default');
  const view = 'create rolebinding view --clusterrole=view --serviceaccount=default:default';
  t.equal((await kubectl.run(view)).code, 0);
  const curl = (path: string) =>
    inPod(`curl -sS --cacert ${at}/ca.crt -H "Authorization: Bearer $(cat ${at}/token)" https://kubernetes${path}`);
  t.match(JSON.parse((await curl('/api')).stdout), { kind: 'APIVersions' });
  const pod = await curl('/api/v1/namespaces/default/pods/box');
  t.equal((JSON.parse(pod.stdout) as { metadata: { name: string } }).metadata.name, 'box', 'the Pod reads itself');
  const secrets = await curl('/api/v1/namespaces/default/secrets');
  t.match(secrets.stdout, 'User \\"system:serviceaccount:default:default\\" cannot list resource');
  t.ok(JSON.parse((await curl('/openapi/v3/api/v1')).stdout), 'a large answer comes whole');
  const anonymous = await inPod(`curl -sS --cacert ${at}/ca.crt https://kubernetes.default.svc/healthz`);
  t.equal(anonymous.stdout, 'ok');
  const zeroes = await kubectl.args(['exec', 'box', '--', 'head', '-c', '20000000', '/dev/zero']);
  t.equal(zeroes.stdout.length, 20_000_000, 'and so does the output of a command that is faster than its reader');
});
