import t from 'tap';
import type { ContainerState, ContainerStatus, Pod } from '../../../src/api/core-v1.ts';
import { podStatus } from '../../../src/node/kubelet/pod-status.ts';

const waiting: ContainerState = { waiting: { reason: 'ContainerCreating' } };
const running: ContainerState = { running: { startedAt: '2026-01-01T00:00:00Z' } };
const ended = (exitCode: number): ContainerState => ({ terminated: { exitCode } });

function status(name: string, state: ContainerState, ready = false, lastState?: ContainerState): ContainerStatus {
  return { name, state, ready, restartCount: 0, image: 'x', imageID: '', ...(lastState ? { lastState } : {}) };
}

function make(
  restartPolicy: Pod['spec']['restartPolicy'],
  statuses: ContainerStatus[],
  more: { init?: ContainerStatus[]; initialized?: boolean } = {},
) {
  const pod: Pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'p' },
    spec: { containers: [{ name: 'c' }], ...(restartPolicy ? { restartPolicy } : {}) },
  };
  return podStatus({
    pod,
    hostIP: '192.168.49.2',
    podIP: '10.244.0.2',
    hasSandbox: true,
    startTime: 'then',
    initStatuses: more.init ?? [],
    statuses,
    initialized: more.initialized ?? true,
    now: 'now',
  });
}

t.test('phases by restart policy and states', async (t) => {
  const cases: [string, Pod['spec']['restartPolicy'], ContainerStatus[], string][] = [
    ['creating', 'Always', [status('c', waiting)], 'Pending'],
    ['one of two runs', 'Always', [status('a', running), status('b', waiting)], 'Running'],
    ['crash loop', 'Always', [status('c', { waiting: { reason: 'CrashLoopBackOff' } }, false, ended(1))], 'Running'],
    ['exited, will be restarted', 'Always', [status('c', ended(0))], 'Running'],
    ['all succeeded', 'Never', [status('a', ended(0)), status('b', ended(0))], 'Succeeded'],
    ['one failed', 'Never', [status('a', ended(0)), status('b', ended(2))], 'Failed'],
    ['failed, to be retried', 'OnFailure', [status('c', ended(2))], 'Running'],
    ['succeeded on failure policy', 'OnFailure', [status('c', ended(0))], 'Succeeded'],
  ];
  for (const [name, policy, statuses, phase] of cases) t.equal(make(policy, statuses).phase, phase, name);
  t.equal(
    make('Never', [status('c', waiting)], { initialized: false, init: [status('i', ended(1))] }).phase,
    'Failed',
    'a failed init container fails the Pod',
  );
  t.equal(
    make('Always', [status('c', waiting)], { initialized: false, init: [status('i', ended(1))] }).phase,
    'Pending',
    'or is tried again',
  );
});

t.test('Ready names the containers that are not', async (t) => {
  const s = make('Always', [status('a', running, true), status('b', running)]);
  const ready = s.conditions!.find((c) => c.type === 'Ready')!;
  t.equal(ready.status, 'False');
  t.equal(ready.message, 'containers with unready status: [b]');
  t.equal(make('Always', [status('a', running, true)]).conditions!.find((c) => c.type === 'Ready')!.status, 'True');
  t.equal(make('Never', [status('a', ended(0))]).conditions!.find((c) => c.type === 'Ready')!.reason, 'PodCompleted');
});

t.test('a transition time stays while the status stays', async (t) => {
  const pod: Pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'p' },
    spec: { containers: [] },
    status: {
      conditions: [
        { type: 'Initialized', status: 'True', lastTransitionTime: 'before' },
        { type: 'Ready', status: 'False', lastTransitionTime: 'before' },
      ],
    },
  };
  const s = podStatus({
    pod,
    hostIP: 'h',
    podIP: 'p',
    hasSandbox: true,
    startTime: 's',
    initStatuses: [],
    statuses: [status('a', running, true)],
    initialized: true,
    now: 'now',
  });
  const time = (type: string): string | undefined => s.conditions!.find((c) => c.type === type)!.lastTransitionTime;
  t.equal(time('Initialized'), 'before');
  t.equal(time('Ready'), 'now');
});
