import t from 'tap';
import { DAEMONSETS, JOBS, NODES, PODS, STATEFULSETS } from '../../src/api/resources.ts';
import { SeededRng } from '../../src/lib/rng.ts';
import { container } from '../support/control-plane.ts';
import { latePlane, randomHistory, type Step } from '../support/random-history.ts';

const template = (app: string, image: string) => ({
  metadata: { labels: { app } },
  spec: { containers: [container({ image })] },
});

// As convergence.test.ts, for what has names or Nodes of its own, and for what ends.
for (let seed = 1; seed <= 5; seed++) {
  t.test(`workloads end up as they were asked to be, however late watches are (seed ${seed})`, async (t) => {
    const rng = new SeededRng(seed);
    const cp = await latePlane(t, seed, rng, 3);
    const { client } = cp;
    const selector = (app: string) => ({ matchLabels: { app } });
    const meta = (name: string) => ({ name, namespace: 'default' });
    await client.create(STATEFULSETS, {
      apiVersion: 'apps/v1',
      kind: 'StatefulSet',
      metadata: meta('set'),
      spec: {
        replicas: 3,
        serviceName: 'set',
        podManagementPolicy: seed % 2 === 0 ? 'Parallel' : 'OrderedReady',
        revisionHistoryLimit: 2,
        selector: selector('set'),
        template: template('set', 'nginx:1'),
      },
    });
    await client.create(DAEMONSETS, {
      apiVersion: 'apps/v1',
      kind: 'DaemonSet',
      metadata: meta('daemon'),
      spec: { selector: selector('daemon'), revisionHistoryLimit: 2, template: template('daemon', 'nginx:1') },
    });
    const completions = 12;
    await client.create(JOBS, {
      apiVersion: 'batch/v1',
      kind: 'Job',
      metadata: meta('job'),
      spec: {
        completions,
        parallelism: 3,
        backoffLimit: 1000,
        template: { spec: { restartPolicy: 'Never', containers: [container({ image: 'nginx:1' })] } },
      },
    });
    let replicas = 3;
    let image = 'nginx:1';
    const of = (app: string) => cp.readyPods().filter((p) => p.metadata.labels?.['app'] === app);
    const jobPods = () => cp.readyPods().filter((p) => p.metadata.labels?.['job-name'] === 'job');
    const one = <T>(list: T[]): T | undefined => (list.length > 0 ? list[rng.below(list.length)] : undefined);
    const remove = (pods: ReturnType<typeof of>) => {
      const pod = one(pods);
      return pod && client.delete(PODS, 'default', pod.metadata.name);
    };
    const setImage = async () => {
      image = `nginx:${1 + rng.below(4)}`;
      const patch = { spec: { template: { spec: { containers: [{ name: 'web', image }] } } } };
      await client.patch(STATEFULSETS, 'default', 'set', 'strategic', patch);
      await client.patch(DAEMONSETS, 'default', 'daemon', 'strategic', patch);
    };
    const steps: Step[] = [
      () => client.patch(STATEFULSETS, 'default', 'set', 'merge', { spec: { replicas: (replicas = rng.below(6)) } }),
      setImage,
      () => remove(of('set')),
      () => remove(of('daemon')),
      () => remove(jobPods()),
      () => {
        const pod = one([...of('set'), ...of('daemon'), ...jobPods()]);
        return pod && cp.kubelets[0]!.fail(pod);
      },
      () => {
        const pod = one(jobPods());
        return pod && cp.kubelets[0]!.succeed(pod);
      },
      () => client.patch(NODES, undefined, 'node-2', 'merge', { spec: { unschedulable: rng.below(2) === 0 } }),
      () => client.patch(JOBS, 'default', 'job', 'merge', { spec: { suspend: rng.below(4) === 0 } }),
    ];
    await randomHistory(cp, rng, 60, steps);
    await client.patch(NODES, undefined, 'node-2', 'merge', { spec: { unschedulable: false } });
    await client.patch(JOBS, 'default', 'job', 'merge', { spec: { suspend: false } });
    const complete = () =>
      cp.view(JOBS)[0]!.status?.conditions?.some((c) => c.type === 'Complete' && c.status === 'True') ?? false;
    for (let i = 0; i < 100 && !complete(); i++) {
      for (const pod of jobPods()) await cp.kubelets[0]!.succeed(pod);
      await cp.clock.run(20e6);
    }
    await cp.clock.run(60e6);

    const names = of('set').map((p) => p.metadata.name);
    t.same(
      names,
      Array.from({ length: replicas }, (_, i) => `set-${i}`),
    );
    t.same(
      of('daemon')
        .map((p) => p.spec.nodeName)
        .sort(),
      ['node-1', 'node-2', 'node-3'],
    );
    for (const app of ['set', 'daemon']) {
      t.ok(
        of(app).every((p) => p.spec.containers[0]!.image === image),
        `${app} runs ${image}`,
      );
    }
    const [set] = cp.view(STATEFULSETS);
    t.match(set!.status, { replicas, observedGeneration: set!.metadata.generation });
    t.equal(set!.status!.currentRevision, set!.status!.updateRevision);
    t.equal(set!.status!.updatedReplicas ?? 0, replicas);
    t.match(cp.view(DAEMONSETS)[0]!.status, {
      updatedNumberScheduled: 3,
      numberAvailable: 3,
      desiredNumberScheduled: 3,
    });
    t.ok(complete(), 'the Job is complete');
    const { status } = cp.view(JOBS)[0]!;
    t.equal(status!.succeeded, completions, 'each success is counted once');
    t.same(status!.uncountedTerminatedPods, {});
    t.notOk(cp.pods().some((p) => p.metadata.finalizers?.length));
    t.same(cp.errors, []);
  });
}
