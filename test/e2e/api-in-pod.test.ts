// A Pod reaches the API by its Service, with the cluster's CA and a token: the path of every in-cluster client.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { Kubectl, needsKubectl } from '../support/kubectl.ts';
import { canUseNetns } from '../support/netns.ts';
import { Podwire } from '../support/podwire.ts';

t.test('a Pod talks to https://kubernetes', async (t) => {
  if (!canUseNetns(t, 'curl') || !needsKubectl(t)) return;
  const podwire = new Podwire(t);
  await podwire.up(t, '--runtime', 'netns', '--listen', '127.0.0.1:0');
  const kubectl = new Kubectl(podwire);
  t.equal((await kubectl.run('run box --image=busybox -- sleep 600')).code, 0);
  t.equal((await kubectl.run('wait --for=condition=Ready pod/box --timeout=20s')).code, 0);
  const token = (await kubectl.run('create token default')).stdout.trim();
  t.match(token, /^[\w-]+\.[\w-]+\.[\w-]+$/);
  const kubeconfig = readFileSync(join(podwire.dir, 'kubeconfig'), 'utf8');
  const authority = Buffer.from(/certificate-authority-data: (\S+)/.exec(kubeconfig)![1]!, 'base64').toString();
  t.equal((await kubectl.args(['exec', '-i', 'box', '--', 'sh', '-c', 'cat > /tmp/ca.crt'], authority)).code, 0);
  const curl = (...args: string[]) =>
    kubectl.args(['exec', 'box', '--', 'curl', '-sS', '--cacert', '/tmp/ca.crt', ...args]);
  t.equal((await curl('https://kubernetes/healthz')).stdout, 'ok');
  t.match((await curl('https://kubernetes.default.svc/api')).stdout, 'cannot get path');
  const view = 'create rolebinding view --clusterrole=view --serviceaccount=default:default';
  t.equal((await kubectl.run(view)).code, 0);
  const pod = await curl(
    '-H',
    `Authorization: Bearer ${token}`,
    'https://kubernetes/api/v1/namespaces/default/pods/box',
  );
  t.equal((JSON.parse(pod.stdout) as { metadata: { name: string } }).metadata.name, 'box', 'the Pod reads itself');
  const big = await curl('-H', `Authorization: Bearer ${token}`, 'https://kubernetes/openapi/v3/api/v1');
  t.ok(JSON.parse(big.stdout), 'a large answer comes whole');
  const zeroes = await kubectl.args(['exec', 'box', '--', 'head', '-c', '20000000', '/dev/zero']);
  t.equal(zeroes.stdout.length, 20_000_000, 'and so does the output of a command that is faster than its reader');
});
