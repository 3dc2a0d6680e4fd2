// Clients that ask a Service without a pause while its Pods are replaced, scaled up and down, and the proxy mode changes: every request is
// answered. On both runtimes; the way from ipvs to nftables is left out, which a real kube-proxy takes by flushing IPVS.
import t, { type Test } from 'tap';
import { Kubectl, needsKubectl } from '../support/kubectl.ts';
import { canUseNetns } from '../support/netns.ts';
import { collect, eventually, Podwire } from '../support/podwire.ts';

t.setTimeout(0); // a loaded machine takes long over it; the runner has its own limit
t.jobs = 2;

const LOOP = `while [ ! -e /tmp/enough ]; do curl -sS -m 20 -o /dev/null -w '%{http_code}\\n' web; done`;

for (const runtime of ['userspace', 'netns'] as const) {
  t.test(`no request is lost on ${runtime} Pods`, { buffered: true }, async (t) => {
    if (!needsKubectl(t) || (runtime === 'netns' && !canUseNetns(t, 'busybox', 'curl'))) return;
    await play(t, runtime);
  });
}

async function play(t: Test, runtime: 'userspace' | 'netns'): Promise<void> {
  const podwire = new Podwire(t);
  await podwire.up(t, '--runtime', runtime, '--listen', '127.0.0.1:0', '-f', 'examples/rolling-update.yml');
  const kubectl = new Kubectl(podwire);
  const clients = [1, 2].map(() => podwire.spawn('exec', 'client', '--', 'sh', '-c', LOOP));
  let answers = 0;
  for (const { stdout } of clients)
    stdout!.on('data', (chunk: Buffer) => (answers += chunk.toString().split('\n').length - 1));
  const ended = clients.map(collect);
  const more = async (): Promise<void> => {
    const enough = answers + 20;
    await eventually('more answers', () => answers >= enough);
  };

  for (const mode of ['iptables', 'nftables', 'ipvs']) {
    await more();
    await kubectl.run('rollout restart deployment web');
    await kubectl.run('rollout status deployment web');
    await more();
    await kubectl.run('scale deployment web --replicas=5');
    await kubectl.run('rollout status deployment web');
    const document = JSON.stringify({ kind: 'KubeProxyConfiguration', mode, clusterCIDR: '10.244.0.0/16' });
    const patch = JSON.stringify({ data: { 'config.conf': document } });
    await kubectl.args(['-n', 'kube-system', 'patch', 'configmap', 'kube-proxy', '--type=merge', '-p', patch]);
    await more();
    await kubectl.run('scale deployment web --replicas=2');
    await eventually('the Pods have gone', async () => {
      const { stdout } = await kubectl.run('get pods -l app=web -o name');
      return stdout.trim().split('\n').length === 2;
    });
  }

  await podwire.exec('client', 'sh', '-c', 'echo >/tmp/enough');
  for (const { stdout, stderr } of await Promise.all(ended)) {
    t.match(stdout, /^(200\n)+$/, 'every answer');
    t.equal(stderr, '');
  }
  t.comment(`${answers} requests`);
}
