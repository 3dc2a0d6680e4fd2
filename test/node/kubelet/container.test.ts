import t from 'tap';
import type { Container, ContainerStatus, Pod } from '../../../src/api/core-v1.ts';
import { VirtualClock } from '../../../src/lib/clock.ts';
import { ImageCatalog } from '../../../src/node/images.ts';
import { ContainerRunner } from '../../../src/node/kubelet/container.ts';
import { ConfigError, containerEnvironment } from '../../../src/node/kubelet/environment.ts';
import { FakeSandbox } from '../../support/fake-sandbox.ts';

const SECOND = 1_000_000;
const FACTS = { hostname: 'p', podIP: '10.244.0.2', hostIP: '192.168.49.2', allocatable: {} };
const NOTHING = { configMaps: new Map(), secrets: new Map() };

/** `missing`: why its environment cannot be made, for each try. */
function start(
  spec: Partial<Container>,
  restart: 'Always' | 'OnFailure' | 'Never' = 'Always',
  missing: string[] = [],
  before?: ContainerStatus,
) {
  const clock = new VirtualClock();
  const sandbox = new FakeSandbox();
  const events: string[] = [];
  const pod: Pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'p', namespace: 'ns', uid: 'u' },
    spec: { containers: [] },
  };
  const runner = new ContainerRunner({
    pod,
    spec: { name: 'c', image: 'nginx', ...spec },
    sandbox,
    images: new ImageCatalog(),
    clock,
    environment: async (imageEnv) => {
      if (missing.length > 0) throw new ConfigError(missing.pop());
      return containerEnvironment(pod, { name: 'c', ...spec }, imageEnv, {}, FACTS, NOTHING);
    },
    hook: async ({ sleep }) => {
      await new Promise<void>((resolve) => clock.after(sleep!.seconds * SECOND, resolve));
    },
    graceMs: 30_000,
    before,
    rerun: false,
    restart,
    event: (_type, reason) => events.push(reason),
    changed: () => {},
  });
  const over = runner.run();
  return { clock, sandbox, events, runner, over };
}

t.test('a crash is restarted at once, then after 10 s, then 20 s', async (t) => {
  const { clock, sandbox, runner, events } = start({});
  await clock.run(0);
  t.equal(sandbox.started.length, 1);
  sandbox.end(1);
  await clock.run(0);
  t.equal(sandbox.started.length, 2, 'at once');
  t.equal(runner.restartCount, 1);
  for (const waitS of [10, 20, 40]) {
    const before = sandbox.started.length;
    sandbox.end(1);
    await clock.run(0);
    t.equal(runner.state.waiting?.reason, 'CrashLoopBackOff');
    t.match(runner.state.waiting?.message, `back-off ${waitS}s restarting failed container=c pod=p_ns(u)`);
    t.equal(runner.status().lastState?.terminated?.exitCode, 1);
    await clock.run((waitS - 1) * SECOND);
    t.equal(sandbox.started.length, before, `not before ${waitS} s`);
    await clock.run(SECOND);
    t.equal(sandbox.started.length, before + 1, `after ${waitS} s`);
  }
  t.same(events.slice(0, 3), ['Pulled', 'Created', 'Started']);
  await runner.stop(0);
});

t.test('Never is not restarted, OnFailure only after a failure', async (t) => {
  const never = start({}, 'Never');
  await never.clock.run(0);
  never.sandbox.end(3);
  await never.over;
  t.same(never.runner.finished, { code: 3 });
  t.equal(never.runner.state.terminated?.reason, 'Error');

  const onFailure = start({}, 'OnFailure');
  await onFailure.clock.run(0);
  onFailure.sandbox.end(1);
  await onFailure.clock.run(0);
  t.equal(onFailure.sandbox.started.length, 2);
  onFailure.sandbox.end(0);
  await onFailure.over;
  t.same(onFailure.runner.finished, { code: 0 });
});

t.test('stop is SIGTERM, and SIGKILL only after the grace period', async (t) => {
  const { clock, sandbox, runner, over } = start({});
  await clock.run(0);
  sandbox.ignoresTerm = true;
  const stopped = runner.stop(5000);
  await clock.run(4 * SECOND);
  t.same(sandbox.signals, ['SIGTERM']);
  await clock.run(SECOND);
  t.same(sandbox.signals, ['SIGTERM', 'SIGKILL']);
  await stopped;
  await over;
  t.equal(runner.state.terminated?.exitCode, 137);
});

t.test('an image that is not in the catalog backs off and says what to do', async (t) => {
  const { clock, sandbox, runner, events } = start({ image: 'no/such:image' });
  await clock.run(0);
  t.equal(runner.state.waiting?.reason, 'ErrImagePull');
  t.match(runner.state.waiting?.message, /not in the image catalog; use one of nginx, .* or add it with --images FILE/);
  await clock.run(SECOND);
  t.equal(runner.state.waiting?.reason, 'ImagePullBackOff');
  t.equal(sandbox.started.length, 0);
  t.same(events, ['Pulling', 'Failed', 'Failed', 'BackOff']);
  await runner.stop(0);
});

t.test('variables are expanded in args, and fields of the Pod in the environment', async (t) => {
  const { clock, sandbox, runner } = start({
    command: ['echo'],
    args: ['$(MY_IP)', '$$(MY_IP)', '$(NOPE)'],
    env: [
      { name: 'MY_IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } },
      { name: 'URL', value: 'http://$(MY_IP)' },
    ],
  });
  await clock.run(0);
  t.same(sandbox.started[0]!.argv, ['echo', '10.244.0.2', '$(MY_IP)', '$(NOPE)']);
  t.equal(sandbox.started[0]!.env['URL'], 'http://10.244.0.2');
  t.equal(sandbox.started[0]!.env['HOSTNAME'], 'p');
  await runner.stop(0);
});

t.test('while its environment cannot be made it waits, and says why', async (t) => {
  const { clock, sandbox, runner, events } = start({}, 'Always', ['configmap "settings" not found']);
  await clock.run(0);
  t.same(runner.state.waiting, {
    reason: 'CreateContainerConfigError',
    message: 'configmap "settings" not found',
  });
  await clock.run(5 * SECOND);
  t.ok(runner.state.running);
  t.equal(sandbox.started.length, 1);
  t.same(events, ['Pulled', 'Failed', 'Created', 'Started']);
  await runner.stop(0);
});

t.test('preStop comes before SIGTERM and takes from the grace', async (t) => {
  const { clock, sandbox, runner, over } = start({ lifecycle: { preStop: { sleep: { seconds: 3 } } } });
  await clock.run(0);
  sandbox.ignoresTerm = true;
  const stopped = runner.stop(10_000);
  await clock.run(2.9 * SECOND);
  t.same(sandbox.signals, []);
  await clock.run(0.2 * SECOND);
  t.same(sandbox.signals, ['SIGTERM']);
  await clock.run(6.8 * SECOND);
  t.same(sandbox.signals, ['SIGTERM']);
  await clock.run(0.2 * SECOND);
  t.same(sandbox.signals, ['SIGTERM', 'SIGKILL']);
  await stopped;
  await over;
});

t.test('a policy of Always pulls, Never refuses an image that is not there', async (t) => {
  const always = start({ imagePullPolicy: 'Always' });
  await always.clock.run(0);
  t.same(always.events.slice(0, 2), ['Pulling', 'Pulled']);
  t.match(always.runner.status(), {
    containerID: /^podwire:\/\/[0-9a-f]{64}$/,
    imageID: /^docker\.io\/library\/nginx@sha256:[0-9a-f]{64}$/,
  });
  await always.runner.stop(0);
  const never = start({ image: 'no/such:image', imagePullPolicy: 'Never' });
  await never.clock.run(0);
  t.equal(never.runner.state.waiting?.reason, 'ErrImageNeverPull');
  await never.runner.stop(0);
});

t.test('on a Node that was started again it runs on only where its policy says so', async (t) => {
  const before = (state: ContainerStatus['state']): ContainerStatus => ({
    ...{ name: 'c', ready: true, restartCount: 2, image: 'nginx', imageID: 'id', containerID: 'podwire://old' },
    ...(state ? { state } : {}),
  });
  const running = before({ running: { startedAt: 'then' } });
  const always = start({}, 'Always', [], running);
  await always.clock.run(0);
  t.match(always.runner.status(), {
    restartCount: 3,
    state: { running: {} },
    lastState: { terminated: { exitCode: 255 } },
  });
  await always.runner.stop(0);
  const never = start({}, 'Never', [], running);
  await never.over;
  t.equal(never.sandbox.started.length, 0);
  t.match(never.runner.status(), { restartCount: 2, state: { terminated: { exitCode: 255, reason: 'Unknown' } } });
  const done = start({}, 'OnFailure', [], before({ terminated: { exitCode: 0, reason: 'Completed' } }));
  await done.over;
  t.equal(done.sandbox.started.length, 0, 'it had succeeded');
  t.same(done.runner.finished, { code: 0 });
});

t.test('a program that is not there could not be started', async (t) => {
  const { clock, sandbox, runner, events } = start({ command: ['nope'] }, 'Never');
  await clock.run(0);
  sandbox.started[0]!.io.stderr.write('exec: "nope": executable file not found in $PATH\n');
  sandbox.end(127);
  await clock.run(0);
  t.match(runner.state.terminated, {
    exitCode: 128,
    reason: 'StartError',
    message: 'unable to start container process: exec: "nope": executable file not found in $PATH',
  });
  t.equal(events.at(-1), 'Failed');
  const other = start({ command: ['sh'] }, 'Never');
  await other.clock.run(0);
  other.sandbox.started[0]!.io.stderr.write('exec: "nope": executable file not found in $PATH\n');
  other.sandbox.end(127);
  await other.clock.run(0);
  t.match(other.runner.state.terminated, { exitCode: 127, reason: 'Error' }, 'a shell that says so did start');
});
