// What kube-proxy tells about itself over HTTP: metrics under the real names, from what really happened, its mode, and where it listens.
import t from 'tap';
import type { ServiceSpec } from '../../src/api/core-v1.ts';
import { ENDPOINTSLICES, NAMESPACES, NODES, SERVICES } from '../../src/api/resources.ts';
import { ApiServer } from '../../src/apiserver/apiserver.ts';
import type { ApiClient } from '../../src/client/client.ts';
import { createNetlink } from '../../src/kernel/core/netlink.ts';
import { Ipvs } from '../../src/kernel/ipvs/ipvs.ts';
import { SeededRng } from '../../src/lib/rng.ts';
import { parseKubeProxyConfiguration } from '../../src/proxy/config.ts';
import { KubeProxy } from '../../src/proxy/kube-proxy.ts';
import { HttpPorts } from '../support/http-ports.ts';
import { Lab, NODE_IP, POD_B } from '../support/kernel.ts';
import { endpointSlice, NODE_NAME, ready, service } from '../support/services.ts';

interface Bench {
  readonly lab: Lab;
  readonly client: ApiClient;
  readonly proxy: KubeProxy;
  readonly ports: HttpPorts;
  metrics(): ReadonlyMap<string, number>;
  close(): void;
}

const config = (document: object) => parseKubeProxyConfiguration({ mode: 'iptables', ...document });

async function bench(): Promise<Bench> {
  const lab = new Lab();
  lab.uplink();
  const ipvs = new Ipvs(lab.kernel);
  const { clock } = lab;
  const client = new ApiServer({ clock, rng: new SeededRng(1) }).client();
  await client.create(NAMESPACES, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'default' } });
  await client.create(NODES, {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: NODE_NAME },
    status: { addresses: [{ type: 'InternalIP', address: NODE_IP }] },
  });
  const ports = new HttpPorts();
  const proxy = new KubeProxy({
    client,
    netlink: createNetlink(lab.kernel, ipvs),
    clock,
    nodeName: NODE_NAME,
    config: config({}),
    listen: ports.listen,
  });
  await proxy.start();
  return {
    ...{ lab, client, proxy, ports },
    metrics: () => samples(ports.get(10249, '/metrics', '127.0.0.1').body),
    close: () => {
      proxy.close();
      ipvs.close();
      lab.close();
    },
  };
}

/** Of the exposition format: series and its value. */
function samples(text: string): ReadonlyMap<string, number> {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => {
      const [, series, value] = /^kubeproxy_(\S+) (\S+)$/.exec(line) ?? ['', line, 'NaN'];
      return [series!, Number(value)] as const;
    }),
  );
}

/** Until a watch's events have arrived and their sync is made. */
async function settle({ lab }: Bench): Promise<void> {
  for (let i = 0; i < 5; i++) {
    await new Promise((resolve) => setImmediate(resolve));
    lab.clock.advance(1e6);
  }
}

const SLICE_PORTS = [{ port: 8080, protocol: 'TCP' as const }];

t.test('changes, syncs and their latency are counted', async (t) => {
  const b = await bench();
  const before = b.metrics();
  t.equal(before.get('sync_proxy_rules_service_changes_total'), 0);
  t.equal(before.get('sync_proxy_rules_duration_seconds_count{ip_family="IPv4"}'), 1, 'the first sync');
  t.equal(before.get('sync_proxy_rules_iptables_restore_failures_total{ip_family="IPv4"}'), 0);

  await b.client.create(SERVICES, service('web', { clusterIP: '10.96.0.10', ports: [{ port: 80 }] }));
  const slice = endpointSlice('web', SLICE_PORTS, [ready(POD_B)]);
  const triggered = new Date(b.lab.clock.unixMs()).toISOString();
  const annotations = { 'endpoints.kubernetes.io/last-change-trigger-time': triggered };
  await b.client.create(ENDPOINTSLICES, { ...slice, metadata: { ...slice.metadata, annotations } });
  await settle(b);
  const after = b.metrics();
  t.equal(after.get('sync_proxy_rules_service_changes_total'), 1);
  t.equal(after.get('sync_proxy_rules_endpoint_changes_total'), 1);
  t.equal(after.get('sync_proxy_rules_service_changes_pending'), 0);
  t.equal(after.get('sync_proxy_rules_endpoint_changes_pending'), 0);
  t.equal(after.get('network_programming_duration_seconds_count{ip_family="IPv4"}'), 1);
  t.ok(after.get('sync_proxy_rules_last_timestamp_seconds{ip_family="IPv4"}')! > 0);
  t.ok(after.get('sync_proxy_rules_last_queued_timestamp_seconds{ip_family="IPv4"}')! > 0);
  for (const table of ['nat', 'filter']) {
    const saved = createNetlink(b.lab.kernel, null)
      .iptablesSave(table as 'nat' | 'filter')
      .split('\n')
      .filter((line) => line.startsWith('-A KUBE-'));
    const series = `sync_proxy_rules_iptables_total{ip_family="IPv4",table="${table}"}`;
    t.equal(after.get(series), saved.length, `as many rules as iptables-save shows in ${table}`);
  }
  b.close();
});

t.test('Services whose Local policy has no endpoint here are told of', async (t) => {
  const b = await bench();
  const spec: ServiceSpec = {
    type: 'NodePort',
    clusterIP: '10.96.0.10',
    ports: [{ port: 80, nodePort: 30080 }],
    internalTrafficPolicy: 'Local',
    externalTrafficPolicy: 'Local',
  };
  await b.client.create(SERVICES, service('web', spec));
  await settle(b);
  const told = (): (number | undefined)[] =>
    ['internal', 'external'].map((policy) =>
      b.metrics().get(`sync_proxy_rules_no_local_endpoints_total{ip_family="IPv4",traffic_policy="${policy}"}`),
    );
  t.same(told(), [0, 0], 'without any endpoint there is nothing to be local');
  await b.client.create(ENDPOINTSLICES, endpointSlice('web', SLICE_PORTS, [ready(POD_B, 'elsewhere')]));
  await settle(b);
  t.same(told(), [1, 1]);
  b.close();
});

t.test('health-check node ports are where NodePorts are', async (t) => {
  const b = await bench();
  const spec: ServiceSpec = {
    type: 'LoadBalancer',
    clusterIP: '10.96.0.10',
    ports: [{ port: 80, nodePort: 30080 }],
    externalTrafficPolicy: 'Local',
    healthCheckNodePort: 31000,
  };
  await b.client.create(SERVICES, service('web', spec));
  await settle(b);
  const open = (): string[] => [...b.ports.open.keys()].filter((key) => key.endsWith(':31000'));
  t.same(open(), ['0.0.0.0:31000']);
  b.proxy.reconfigure(config({ mode: 'nftables' }));
  t.same(open(), [`${NODE_IP}:31000`], "nftables mode: the Node's own address");
  b.proxy.reconfigure(config({ nodePortAddresses: ['192.168.49.0/24'] }));
  t.same(open(), [`${NODE_IP}:31000`]);
  b.proxy.reconfigure(config({ nodePortAddresses: ['0.0.0.0/0'] }));
  t.same(open(), ['0.0.0.0:31000']);
  b.close();
});

t.test('a new configuration begins to count anew, as the restart would that a real one takes', async (t) => {
  const b = await bench();
  await b.client.create(SERVICES, service('web', { clusterIP: '10.96.0.10', ports: [{ port: 80 }] }));
  await b.client.create(SERVICES, service('shop', { clusterIP: '10.96.0.11', ports: [{ port: 80 }] }));
  await b.client.create(ENDPOINTSLICES, endpointSlice('web', SLICE_PORTS, [ready(POD_B)]));
  await b.client.delete(SERVICES, 'default', 'shop');
  await settle(b);
  // A set of that name is there, of another type: every sync in IPVS mode fails.
  b.lab.netlink.commit([{ op: 'ipset-create', name: 'KUBE-CLUSTER-IP', type: 'hash:net' }]);
  b.proxy.reconfigure(config({ mode: 'ipvs' }));
  await settle(b);
  const failures = 'sync_proxy_rules_iptables_restore_failures_total{ip_family="IPv4"}';
  t.ok(b.metrics().get(failures)! > 0);
  t.equal(b.ports.get(10256, '/healthz').code, 200);
  t.equal(b.metrics().get('proxy_healthz_total{code="200"}'), 1);
  b.proxy.reconfigure(config({ mode: 'iptables' }));
  const after = b.metrics();
  t.equal(after.get(failures), 0);
  t.equal(after.get('sync_proxy_rules_duration_seconds_count{ip_family="IPv4"}'), 1, 'the first sync');
  t.equal(after.get('sync_proxy_rules_service_changes_total'), 1, 'the Service that there is');
  t.equal(after.get('sync_proxy_rules_endpoint_changes_total'), 1);
  t.notOk(after.has('proxy_healthz_total{code="200"}'));
  b.close();
});

t.test('it listens where the configuration says, and moves with it', async (t) => {
  const b = await bench();
  t.same([...b.ports.open.keys()], ['0.0.0.0:10256', '127.0.0.1:10249']);
  t.match(b.ports.get(10249, '/proxyMode', '127.0.0.1'), { code: 200, body: 'iptables' });
  t.match(b.ports.get(10249, '/healthz', '127.0.0.1'), { code: 200, body: 'ok' });
  t.equal(b.ports.get(10249, '/', '127.0.0.1').code, 404);
  const told = b.ports.get(10249, '/configz', '127.0.0.1');
  t.equal(told.headers['Content-Type'], 'application/json');
  t.match(JSON.parse(told.body), {
    'kubeproxy.config.k8s.io': { Mode: 'iptables', MetricsBindAddress: '127.0.0.1:10249', SyncPeriod: '30s' },
  });
  b.proxy.reconfigure(
    config({ mode: 'nftables', metricsBindAddress: '0.0.0.0', healthzBindAddress: `${NODE_IP}:1000` }),
  );
  t.same([...b.ports.open.keys()].sort(), ['0.0.0.0:10249', `${NODE_IP}:1000`]);
  t.equal(b.ports.get(10249, '/proxyMode').body, 'nftables');
  const moved = samples(b.ports.get(10249, '/metrics').body);
  t.equal(moved.get('sync_proxy_rules_nftables_sync_failures_total{ip_family="IPv4"}'), 0);
  t.notOk([...moved.keys()].some((series) => series.startsWith('sync_proxy_rules_iptables_total')));
  t.equal(b.ports.get(1000, '/healthz', NODE_IP).code, 200);
  t.equal(samples(b.ports.get(10249, '/metrics').body).get('proxy_healthz_total{code="200"}'), 1);
  b.close();
  t.same([...b.ports.open.keys()], []);
});
