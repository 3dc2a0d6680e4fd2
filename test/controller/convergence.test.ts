import t from 'tap';
import { DEPLOYMENTS, PODS, SERVICES } from '../../src/api/resources.ts';
import { SeededRng } from '../../src/lib/rng.ts';
import { deployment, service } from '../support/control-plane.ts';
import { latePlane, randomHistory, type Step } from '../support/random-history.ts';

// Whatever users and Pods do, and however late each controller hears of it, the cluster ends up as it was asked to be.
for (let seed = 1; seed <= 5; seed++) {
  t.test(`a random history ends in the desired state (seed ${seed})`, async (t) => {
    const rng = new SeededRng(seed);
    const cp = await latePlane(t, seed, rng, 4);
    const { client } = cp;
    await client.create(DEPLOYMENTS, deployment({ replicas: 3, revisionHistoryLimit: 2 }));
    await client.create(SERVICES, service());
    let replicas = 3;
    let image = 'nginx:1';
    const patch = (spec: unknown) => client.patch(DEPLOYMENTS, 'default', 'web', 'strategic', { spec });
    const anyPod = () => {
      const pods = cp.readyPods();
      return pods.length > 0 ? pods[rng.below(pods.length)] : undefined;
    };
    const steps: Step[] = [
      () => patch({ replicas: (replicas = rng.below(9)) }),
      () =>
        patch({ template: { spec: { containers: [{ name: 'web', image: (image = `nginx:${1 + rng.below(4)}`) }] } } }),
      () => patch({ paused: rng.below(2) === 0 }),
      () =>
        patch({
          strategy: {
            type: 'RollingUpdate',
            rollingUpdate: { maxSurge: rng.below(3), maxUnavailable: 1 + rng.below(2) },
          },
        }),
      () => {
        const pod = anyPod();
        return pod && client.delete(PODS, 'default', pod.metadata.name);
      },
      () => {
        const pod = anyPod();
        return pod && cp.kubelets[0]!.fail(pod);
      },
      async () => {
        const pod = anyPod();
        if (!pod) return;
        await cp.kubelets[0]!.setReady(pod, false);
        cp.clock.after(rng.below(1_000_000), () => void cp.kubelets[0]!.setReady(pod, true));
      },
      async () => {
        await client.delete(SERVICES, 'default', 'web');
        await cp.clock.run(rng.below(300_000));
        await client.create(SERVICES, service());
      },
    ];
    await randomHistory(cp, rng, 40, steps);
    await patch({ paused: false });
    await cp.clock.run(120e6);

    const pods = cp.activePods();
    t.equal(pods.length, replicas);
    t.equal(cp.readyPods().length, replicas);
    t.same(new Set(pods.map((p) => p.spec.containers[0]!.image)), new Set(replicas > 0 ? [image] : []));
    t.same(
      cp
        .replicaSets()
        .map((rs) => rs.spec.replicas)
        .filter((n) => n! > 0),
      replicas > 0 ? [replicas] : [],
    );
    t.ok(cp.replicaSets().length <= 3, 'the history limit holds');
    t.equal(cp.deployment().status!.observedGeneration, cp.deployment().metadata.generation);
    const wanted = pods.map((p) => p.status!.podIP!).sort();
    t.same(
      cp
        .slices()
        .flatMap((s) => s.endpoints.map((e) => e.addresses[0]!))
        .sort(),
      wanted,
    );
    t.equal(cp.slices().length, 1);
    t.same((cp.endpoints()?.subsets ?? []).flatMap((s) => (s.addresses ?? []).map((a) => a.ip)).sort(), wanted);
    t.same(cp.errors, []);
  });
}
