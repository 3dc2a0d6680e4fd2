// The cluster DNS as Pods in network namespaces see it: the real resolvers ask it through the kube-dns ClusterIP; its Corefile is
// edited in the API while it runs; its probes and metrics are reached at the Pod and through the Service.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { runInPod } from '../../bench/cluster/run-in-pod.ts';
import { timesToAnswer } from '../../bench/dns/first-answer.ts';
import type { ConfigMap, Pod } from '../../src/api/core-v1.ts';
import { parseManifests } from '../../src/api/manifest.ts';
import { CONFIGMAPS, PODS } from '../../src/api/resources.ts';
import { launch, type Running } from '../../src/cli/launch.ts';
import { canUseNetns } from '../support/netns.ts';
import { eventually } from '../support/podwire.ts';

const CLIENT = `
apiVersion: v1
kind: Pod
metadata: {name: client}
spec:
  containers:
  - {name: client, image: ubuntu, args: [sleep, infinity]}
---
apiVersion: v1
kind: Namespace
metadata: {name: prod}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: prod}
spec: {clusterIP: 10.96.7.7, ports: [{name: http, port: 80}]}
`;
const TOOLS = ['dig', 'kdig', 'drill', 'nslookup', 'busybox', 'getent', 'curl', 'dnsperf'];
const WEB = 'web.prod.svc.cluster.local';

let running: Running | undefined;
const dir = mkdtempSync(join(tmpdir(), 'podwire-'));
t.teardown(async () => {
  await running?.stop();
  rmSync(dir, { recursive: true, force: true });
});

async function sh(...argv: readonly string[]): Promise<{ code: number; output: string }> {
  return runInPod(running!.cluster, 'default', 'client', argv);
}

async function dnsPods(): Promise<Pod[]> {
  const { items } = await running!.cluster.client.list(PODS, { namespace: 'kube-system' });
  return items.filter((pod) => pod.metadata.name!.startsWith('coredns-') && !pod.metadata.deletionTimestamp);
}

async function logOf(pod: Pod): Promise<string> {
  const [namespace, name] = [pod.metadata.namespace!, pod.metadata.name!];
  const node = await running!.cluster.nodeOf(namespace, name);
  return (await node.logs({ namespace, pod: name })).map((line) => line.text).join('\n');
}

async function logs(): Promise<string[]> {
  return Promise.all((await dnsPods()).map(logOf));
}

/** A and AAAA, by both Pods, as their metrics tell. */
async function questionsServed(): Promise<number> {
  let n = 0;
  for (const pod of await dnsPods()) {
    const { output } = await sh('curl', '-sS', '--max-time', '60', `http://${pod.status!.podIP}:9153/metrics`);
    for (const [, value] of output.matchAll(/^coredns_dns_requests_total\{.*type="(?:A|AAAA)".*\} (\d+)$/gm))
      n += Number(value);
  }
  return n;
}

async function editCorefile(edit: (text: string) => string): Promise<void> {
  const { client } = running!.cluster;
  const before = await client.get(CONFIGMAPS, 'kube-system', 'coredns');
  const next = structuredClone(before) as ConfigMap;
  next.data!['Corefile'] = edit(before.data!['Corefile']!);
  await client.update(CONFIGMAPS, next as never);
}

t.test('real resolvers and the running configuration', async (t) => {
  if (!canUseNetns(t, ...TOOLS)) return;
  process.env['PODWIRE_RUN_DIR'] = join(dir, 'run');
  running = await launch({ nodes: 1, runtime: 'netns', offload: true } as never, () => {});
  const { cluster } = running;
  await cluster.apply(parseManifests(CLIENT, 'client.yml'), () => {});
  await eventually('the name resolves', async () =>
    (await sh('dig', '+short', '+time=1', '+tries=1', WEB).catch(() => ({ output: '' }))).output.includes('10.96.7.7'),
  );

  await t.test('each finds the Service, over UDP and TCP', async (t) => {
    t.equal((await sh('dig', '+short', WEB)).output, '10.96.7.7\n');
    t.equal((await sh('dig', '+short', '+search', 'web.prod')).output, '10.96.7.7\n', 'search list');
    t.equal((await sh('dig', '+short', '+tcp', WEB)).output, '10.96.7.7\n');
    t.equal((await sh('dig', '+short', '-x', '10.96.7.7')).output, `${WEB}.\n`);
    t.equal((await sh('kdig', '+short', WEB)).output, '10.96.7.7\n');
    t.match((await sh('drill', WEB)).output, /IN\tA\t10\.96\.7\.7/);
    t.match((await sh('nslookup', 'web.prod')).output, /Name:\tweb\.prod\.svc\.cluster\.local\nAddress: 10\.96\.7\.7/);
    t.match(
      (await sh('busybox', 'nslookup', WEB)).output,
      /Name:\tweb\.prod\.svc\.cluster\.local\nAddress: 10\.96\.7\.7/,
    );
    t.match((await sh('getent', 'hosts', 'web.prod')).output, /^10\.96\.7\.7 +web\.prod\.svc\.cluster\.local\n$/);
    t.match((await sh('dig', `_http._tcp.${WEB}`, 'SRV')).output, /0 100 80 web\.prod\.svc\.cluster\.local\./);
    t.match((await sh('dig', `nope.${WEB}`)).output, /status: NXDOMAIN/);
  });

  await t.test('A and AAAA asked at once from one port: none is lost', async (t) => {
    const before = await questionsServed();
    // Where one is lost, glibc asks for both again when its time is up.
    const { output } = await sh(
      'sh',
      '-c',
      'export RES_OPTIONS=timeout:30; for i in $(seq 150); do getent ahosts web.prod >/dev/null || echo lost; done',
    );
    t.equal(output, '');
    t.equal((await questionsServed()) - before, 150 * 2 * 2, 'two types of two names of the search list, each once');
  });

  await t.test('probes and metrics, at the Pod and through the Service', async (t) => {
    const [pod] = await dnsPods();
    const ip = pod!.status!.podIP!;
    const curl = (url: string): Promise<{ output: string }> => sh('curl', '-sS', '--max-time', '60', url);
    t.equal((await curl(`http://${ip}:8080/health`)).output, 'OK');
    t.equal((await curl(`http://${ip}:8181/ready`)).output, 'OK');
    for (const host of [ip, 'kube-dns.kube-system'])
      t.match((await curl(`http://${host}:9153/metrics`)).output, /^coredns_dns_requests_total\{/m);
  });

  await t.test('an edited Corefile is taken by the Pods that run, and logged', async (t) => {
    // kubeadm's is looked at every thirty seconds: Pods that start with this one look every two.
    await editCorefile((text) => text.replace(/^( *)reload$/m, '$1reload 2s 1s'));
    for (const { metadata } of await dnsPods())
      await cluster.client.delete(PODS, metadata.namespace!, metadata.name!, { gracePeriodSeconds: 0 } as never);
    await eventually('new Pods run', async () => {
      const all = await logs().catch(() => []);
      return all.length === 2 && all.every((text) => text.includes('Running configuration'));
    });
    const started = await logs();
    for (const text of started) t.match(text, /^\.:53$/m);
    await editCorefile((text) => text.replace(/^( *)errors$/m, '$1errors\n$1log'));
    await eventually('both have reloaded', async () =>
      (await logs()).every((text) => text.includes('[INFO] Reloading complete')),
    );
    for (const text of await logs()) {
      t.match(
        text,
        /\[INFO\] Reloading\n(.*\n)*.*plugin\/reload: Running configuration SHA512 = [0-9a-f]{128}\n(.*\n)*.*Reloading complete/,
      );
    }
    await editCorefile((text) => text.replace('errors', 'errors\n    bogus'));
    await eventually('a wrong one is refused', async () =>
      (await logs()).every((text) => text.includes("Error during parsing: Unknown directive 'bogus'")),
    );
    t.equal((await sh('dig', '+short', WEB)).output, '10.96.7.7\n', 'and the old one serves on');
  });

  await t.test('the search list is walked with ndots:5, as the log shows', async (t) => {
    t.equal((await sh('getent', 'ahostsv4', 'web.prod')).code, 0);
    await eventually('the log has both', async () => (await logs()).join().includes('"A IN web.prod.svc.'));
    const lines = (await logs()).join('\n');
    t.match(
      lines,
      /"A IN web\.prod\.default\.svc\.cluster\.local\. udp \d+ false \d+" NXDOMAIN qr,aa,rd \d+ [0-9.e-]+s/,
    );
    t.match(lines, /"A IN web\.prod\.svc\.cluster\.local\. udp \d+ false \d+" NOERROR qr,aa,rd \d+ [0-9.e-]+s/);
  });

  await t.test('a Service that is made has its name, and loses it with its end', async (t) => {
    const count = 25;
    t.equal(
      (await timesToAnswer(running!, count)).length,
      2 * count,
      'each change was seen; the bench looks at the times',
    );
  });

  await t.test('dnsperf loses nothing', async (t) => {
    const { output } = await sh(
      'sh',
      '-c',
      `echo "${WEB} A" > /tmp/q; dnsperf -d /tmp/q -s 10.96.0.10 -n 5000 -q 40 -t 60 -c 4`,
    );
    t.match(output, /Queries sent: +5000\n/);
    t.match(output, /Queries lost: +0 /);
    t.match(output, /Response codes: +NOERROR \d+ \(100\.00%\)/);
  });
});
