// A cluster kept on disk comes back: same objects, same addresses, Pods started again. Also after kill -9.
import { once } from 'node:events';
import { join } from 'node:path';
import t from 'tap';
import { eventually, Podwire } from '../support/podwire.ts';
import { status } from './example.ts';

t.test('with --store DIR the same cluster comes back, its Pods restarted', async (t) => {
  const podwire = new Podwire(t);
  const store = join(t.testdir(), 'store');
  const start = (...flags: string[]) =>
    podwire.up(t, '--runtime', 'userspace', '--store', store, '-f', 'examples/sd-example.yml', ...flags);
  const addresses = async (): Promise<string[]> => {
    const { pods, services } = await status(podwire);
    return [
      ...pods.map((p) => `${p.metadata.namespace}/${p.metadata.name} ${p.status?.podIP}`),
      ...services.map((s) => `${s.metadata.namespace}/${s.metadata.name} ${s.spec.clusterIP}`),
    ].sort();
  };
  const containers = async () => {
    const { pods } = (await status(podwire)) as unknown as {
      pods: { status: { containerStatuses: { ready: boolean; restartCount: number }[] } }[];
    };
    return pods.flatMap((p) => p.status.containerStatuses);
  };
  const first = await start('--proxy-mode', 'iptables');
  const before = await addresses();
  first.kill('SIGKILL');
  await once(first, 'exit');

  await start();
  // A cluster from a store does not wait for all of its Pods.
  await eventually('the Pods are back', async () => (await containers()).every(({ ready }) => ready));
  t.same(await addresses(), before, 'after kill -9: the same names and addresses');
  await eventually('the proxy mode came back', async () => /^# Generated/.test((await podwire.run('rules')).stdout));
  t.match(
    (await podwire.exec('dev/jump', 'curl', '-sS', '--max-time', '60', 'ent:8080')).stdout,
    'Hello form the DEV Namespace!',
  );
  t.ok(
    (await containers()).every(({ restartCount }) => restartCount === 1),
    'every container was restarted once',
  );

  const second = await podwire.run('up', '--store', store);
  t.match(second.stderr, /a cluster is already running/);
  await podwire.run('down');
  await eventually('the cluster is gone', () => podwire.leftovers().length === 0);
  await start('--proxy-mode', 'nftables');
  t.same(await addresses(), before, 'after an orderly end');
  await eventually('the mode that was asked for', async () => /^table ip/.test((await podwire.run('rules')).stdout));
});
