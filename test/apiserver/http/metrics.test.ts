// /metrics and the health checks, over HTTPS.
import t, { type Test } from 'tap';
import { HttpsApi } from '../../support/https-api.ts';

const CONFIGMAPS = '/api/v1/namespaces/default/configmaps';

/** Series to value; throws for a line that is not the text format. */
async function scrape(t: Test, api: HttpsApi): Promise<Map<string, number>> {
  const { code, text, headers } = await api.fetch('GET', '/metrics');
  t.equal(code, 200);
  t.match(headers['content-type'], /^text\/plain; version=0\.0\.4/);
  const series = new Map<string, number>();
  const typed = new Set<string>();
  for (const line of text.trimEnd().split('\n')) {
    const type = /^# TYPE (\S+) (counter|gauge|histogram)$/.exec(line);
    if (type) typed.add(type[1]!);
    if (line.startsWith('#')) continue;
    const sample = /^([a-z_]+)(\{(?:[a-z_]+="(?:[^"\\]|\\.)*",?)*\})? (\S+)$/.exec(line);
    if (!sample) throw new Error(`no sample: ${line}`);
    const [, name, labels = '', value] = sample;
    t.ok(typed.has(name!.replace(/_(bucket|sum|count)$/, '')) || typed.has(name!), `${name} has a type`);
    series.set(`${name}${labels}`, Number(value));
  }
  return series;
}

const PLACE = 'component="apiserver",dry_run="",group="",resource="configmaps"';

t.test('requests are counted and timed by verb, place and code', async (t) => {
  const api = await HttpsApi.start(t);
  const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a' } };
  await api.fetch('POST', CONFIGMAPS, { body });
  await api.fetch('POST', CONFIGMAPS, { body });
  await api.fetch('GET', `${CONFIGMAPS}/a`);
  await api.fetch('GET', CONFIGMAPS);
  await api.fetch('GET', '/api/v1/configmaps');
  await api.fetch('GET', '/api/v1/namespaces/default/made-up-by-a-client');
  const series = await scrape(t, api);
  const total = (code: number, scope: string, verb: string): number | undefined =>
    series.get(
      `apiserver_request_total{code="${code}",${PLACE},scope="${scope}",subresource="",verb="${verb}",version="v1"}`,
    );
  t.equal(total(201, 'resource', 'POST'), 1);
  t.equal(total(409, 'resource', 'POST'), 1);
  t.equal(total(200, 'resource', 'GET'), 1);
  t.equal(total(200, 'namespace', 'LIST'), 1);
  t.equal(total(200, 'cluster', 'LIST'), 1);
  const timed = `${PLACE},scope="resource",subresource="",verb="POST",version="v1"`;
  t.equal(series.get(`apiserver_request_duration_seconds_count{${timed}}`), 2);
  t.equal(series.get(`apiserver_request_duration_seconds_bucket{${timed},le="+Inf"}`), 2);
  t.ok(series.get(`apiserver_request_duration_seconds_sum{${timed}}`)! > 0);
  t.equal(series.get('apiserver_current_inflight_requests{request_kind="readOnly"}'), 1, 'the scrape itself');
  t.notOk(
    [...series.keys()].some((key) => key.includes('made-up')),
    'a client makes no labels',
  );
});

t.test('watches are told while they run, with what they sent', async (t) => {
  const api = await HttpsApi.start(t);
  const events: string[] = [];
  let heard = (): void => {};
  const first = new Promise<void>((resolve) => {
    heard = resolve;
  });
  const watch = api.watch(`${CONFIGMAPS}?watch=true`, ({ type }) => {
    events.push(type);
    heard();
  });
  const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a' } };
  const create = async (): Promise<void> => {
    for (let i = 0; events.length === 0; i++)
      await api.fetch('POST', CONFIGMAPS, { body: { ...body, metadata: { name: `a${i}` } } });
  };
  await Promise.all([first, create()]);
  const series = await scrape(t, api);
  const running =
    'apiserver_longrunning_requests{component="apiserver",group="",resource="configmaps",scope="namespace",subresource="",verb="WATCH",version="v1"}';
  t.equal(series.get(running), 1);
  t.ok(series.get('apiserver_watch_events_total{group="",resource="configmaps",version="v1"}')! >= 1);
  watch.close();
  await watch.ended;
  for (let left = 1; left === 1; ) left = (await scrape(t, api)).get(running)!;
  t.pass('and no longer');
});

t.test('objects, the build and the process', async (t) => {
  const api = await HttpsApi.start(t);
  for (const name of ['a', 'b', 'c']) {
    await api.fetch('POST', CONFIGMAPS, { body: { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name } } });
  }
  const series = await scrape(t, api);
  t.equal(series.get('apiserver_storage_objects{resource="configmaps"}'), 3);
  t.equal(series.get('apiserver_resource_objects{group="apps",resource="deployments"}'), 0);
  t.ok([...series.keys()].some((key) => /^kubernetes_build_info\{.*git_version="v1\.35\.0"/.test(key)));
  for (const name of [
    'process_resident_memory_bytes',
    'process_cpu_seconds_total',
    'process_open_fds',
    'nodejs_heap_size_used_bytes',
  ]) {
    t.ok(series.get(name)! > 0, name);
  }
  t.ok(Math.abs(series.get('process_start_time_seconds')! + process.uptime() - Date.now() / 1000) < 5);
});

t.test('nobody without a name reads metrics', async (t) => {
  const api = await HttpsApi.start(t);
  t.equal((await api.fetch('GET', '/metrics', { anonymous: true })).code, 403);
});

t.test('health checks say what they have looked at', async (t) => {
  const api = await HttpsApi.start(t);
  const get = async (path: string): Promise<[number, string]> => {
    const { code, text } = await api.fetch('GET', path);
    return [code, text];
  };
  t.same(await get('/livez'), [200, 'ok']);
  t.same(await get('/livez?verbose'), [200, '[+]ping ok\n[+]etcd ok\nlivez check passed\n']);
  t.same(await get('/readyz?verbose=true'), [
    200,
    '[+]ping ok\n[+]etcd ok\n[+]etcd-readiness ok\n[+]shutdown ok\nreadyz check passed\n',
  ]);
  t.same(await get('/livez?verbose&exclude=etcd&exclude=x'), [
    200,
    '[+]ping ok\n[+]etcd excluded: ok\nwarn: some health checks cannot be excluded: no matches for "x"\nlivez check passed\n',
  ]);
  t.same(await get('/readyz/etcd'), [200, 'ok']);
  t.equal((await get('/readyz/nothing'))[0], 404);
  const failing = t.intercept(api.api.store, 'revision', { value: () => Promise.reject(new Error('disk')) });
  t.same(await get('/livez'), [500, '[+]ping ok\n[-]etcd failed: reason withheld\nlivez check failed\n']);
  failing.restore();
});
