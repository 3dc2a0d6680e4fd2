import t from 'tap';
import { EVENTS, NAMESPACES, PODS, SERVICEACCOUNTS } from '../../src/api/resources.ts';
import { ApiServer } from '../../src/apiserver/apiserver.ts';
import { EventRecorder } from '../../src/controller/events.ts';
import { VirtualClock } from '../../src/lib/clock.ts';
import { SeededRng } from '../../src/lib/rng.ts';
import { serviceAccount } from '../support/api.ts';
import { pod } from '../support/control-plane.ts';

async function recorder() {
  const clock = new VirtualClock();
  const rng = new SeededRng(1);
  const client = new ApiServer({ clock, rng }).client();
  await client.create(NAMESPACES, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'default' } });
  await client.create(SERVICEACCOUNTS, serviceAccount('default'));
  const object = await client.create(PODS, pod('p'));
  const record = new EventRecorder({ client, clock, rng }, 'kubelet', 'node-1');
  const list = async () => (await client.list(EVENTS, { namespace: 'default' })).items;
  return { clock, object, record, list };
}

t.test('a repeated event counts up', async (t) => {
  const { clock, object, record, list } = await recorder();
  for (let i = 0; i < 3; i++) {
    record.event(object, 'Warning', 'BackOff', 'Back-off restarting failed container', 'spec.containers{web}');
    await clock.run(1e6);
  }
  const [event, ...others] = await list();
  t.equal(others.length, 0);
  t.match(event, {
    count: 3,
    type: 'Warning',
    reason: 'BackOff',
    firstTimestamp: '2026-01-01T00:00:00Z',
    lastTimestamp: '2026-01-01T00:00:02Z',
    source: { component: 'kubelet', host: 'node-1' },
    involvedObject: {
      kind: 'Pod',
      apiVersion: 'v1',
      name: 'p',
      uid: object.metadata.uid,
      fieldPath: 'spec.containers{web}',
    },
  });
});

t.test('more than ten different messages of one kind become one combined event', async (t) => {
  const { clock, object, record, list } = await recorder();
  for (let i = 0; i < 14; i++) record.normal(object, 'Probe', `message ${i}`);
  await clock.run(1e6);
  const events = await list();
  t.equal(events.length, 11);
  const combined = events.find((e) => e.message!.startsWith('(combined from similar events): '))!;
  t.equal(combined.message, '(combined from similar events): message 13');
  t.equal(combined.count, 4);
});

t.test('an object has a budget of 25 events, refilled one in five minutes', async (t) => {
  const { clock, object, record, list } = await recorder();
  for (let i = 0; i < 40; i++) record.normal(object, `R${i}`, 'm');
  await clock.run(1e6);
  t.equal((await list()).length, 25);
  await clock.run(301e6);
  for (let i = 40; i < 50; i++) record.normal(object, `R${i}`, 'm');
  await clock.run(1e6);
  t.equal((await list()).length, 26);
});
