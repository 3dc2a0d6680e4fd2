// Thousands of watchers that do not read: the server's memory stays bounded, the others hear of everything, and those that have lost
// their place are cut off.
import type { ClientHttp2Stream } from 'node:http2';
import t from 'tap';
import { CONFIGMAPS } from '../../../src/api/resources.ts';
import { MemoryStore } from '../../../src/apiserver/storage/memory.ts';
import { VirtualClock } from '../../../src/lib/clock.ts';
import { HttpsApi } from '../../support/https-api.ts';
import { eventually } from '../../support/podwire.ts';

const PATH = '/api/v1/namespaces/default/configmaps';
const WATCHERS = 2000;
const PER_CONNECTION = 200;
const EVENTS = 400;

t.test('2,000 watchers do not read, one does', async (t) => {
  const store = new MemoryStore({ historyBytes: 1_000_000 });
  // The server's own reminder, each minute, does not come: this clock stands still.
  const https = await HttpsApi.start(t, { store, clock: new VirtualClock(Date.now()) });
  const client = https.api.client();
  const data = { big: 'x'.repeat(20_000) };
  await client.create(CONFIGMAPS, {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'a', namespace: 'default' },
    data,
  });

  let open = 0;
  let ended = 0;
  const streams: ClientHttp2Stream[] = [];
  for (let i = 0; i < WATCHERS / PER_CONNECTION; i++) {
    const session = https.connect(1024);
    session.on('error', () => {});
    t.teardown(() => session.destroy());
    for (let j = 0; j < PER_CONNECTION; j++) {
      const stream = session.request({ ':path': `${PATH}?watch=true` });
      stream.on('error', () => {});
      stream.on('response', () => open++);
      stream.on('close', () => ended++);
      streams.push(stream); // and nobody reads it
    }
  }
  await eventually('all watches are open', () => open === WATCHERS);

  let heard = 0;
  const quick = https.watch(`${PATH}?watch=true`, ({ type }) => {
    if (type === 'MODIFIED') heard++;
  });
  t.teardown(() => quick.close());
  await eventually('the reader reads', async () => {
    await client.patch(CONFIGMAPS, 'default', 'a', 'merge', { data: { ping: String(Date.now()) } });
    return heard > 0;
  });

  const before = process.memoryUsage().rss;
  const from = heard;
  for (let i = 0; i < EVENTS; i++) {
    await client.patch(CONFIGMAPS, 'default', 'a', 'merge', { data: { i: String(i) } });
    if (i % 20 === 0) await eventually('the reader keeps up', () => heard >= from + i - 20);
  }
  await eventually('the reader has heard of every change', () => heard >= from + EVENTS);
  const grown = process.memoryUsage().rss - before;
  const queued = (WATCHERS * EVENTS * data.big.length) / 1e6;
  t.ok(grown < 200e6, `${Math.round(grown / 1e6)} MB for ${WATCHERS} watchers that have ${queued} MB to read`);

  t.equal(ended, 0, 'nobody is cut off before the reminder');
  (await https.api.registry(CONFIGMAPS)).bookmark();
  let told = 0;
  for (const stream of streams) {
    stream.on('data', (chunk: Buffer) => {
      if (chunk.includes('"ERROR"')) told++;
    });
  }
  await eventually('those that lost their place are cut off', () => ended === WATCHERS);
  t.equal(told, 0, 'they had not read in time, and it is too late for a 410');
  t.match(await https.fetch('GET', '/readyz'), { code: 200, text: 'ok' });
});

t.test('a watcher that reads on after it lost its place is told 410', async (t) => {
  const store = new MemoryStore({ historyBytes: 1_000_000 });
  const https = await HttpsApi.start(t, { store });
  const client = https.api.client();
  const data = { big: 'x'.repeat(100_000) };
  await client.create(CONFIGMAPS, {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'a', namespace: 'default' },
    data,
  });
  const session = https.connect(1024);
  t.teardown(() => session.destroy());
  const stream = session.request({ ':path': `${PATH}?watch=true` });
  await new Promise((resolve) => stream.once('response', resolve));
  for (let i = 0; i < 100; i++) await client.patch(CONFIGMAPS, 'default', 'a', 'merge', { data: { i: String(i) } });
  let text = '';
  stream.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  await new Promise((resolve) => stream.once('close', resolve));
  const last = JSON.parse(text.trimEnd().split('\n').at(-1)!);
  t.match(last, { type: 'ERROR', object: { code: 410, reason: 'Expired', message: /^too old resource version/ } });
});
