// kube-proxy from the API to the kernel, on a virtual clock.
import t from 'tap';
import { ENDPOINTSLICES, NAMESPACES, NODES, SERVICES } from '../../src/api/resources.ts';
import { ApiServer } from '../../src/apiserver/apiserver.ts';
import type { ApiClient } from '../../src/client/client.ts';
import { createNetlink } from '../../src/kernel/core/netlink.ts';
import { Ipvs } from '../../src/kernel/ipvs/ipvs.ts';
import { SeededRng } from '../../src/lib/rng.ts';
import { type KubeProxyConfig, PROXY_MODES, parseKubeProxyConfiguration } from '../../src/proxy/config.ts';
import { KubeProxy, type SyncInfo } from '../../src/proxy/kube-proxy.ts';
import { Lab, NODE_IP, POD_A, POD_B } from '../support/kernel.ts';
import { ip, tcp } from '../support/packet.ts';
import { endpointSlice, NODE_NAME, ready, service } from '../support/services.ts';

const VIP = '10.96.0.10';

interface Bench {
  readonly lab: Lab;
  readonly client: ApiClient;
  readonly ipvs: Ipvs;
  readonly proxy: KubeProxy;
  readonly syncs: SyncInfo[];
  readonly errors: unknown[];
  close(): void;
}

async function makeBench(
  config: Record<string, unknown> = {},
  zone = 'z1',
  change: (config: KubeProxyConfig) => KubeProxyConfig = (same) => same,
): Promise<Bench> {
  const lab = new Lab();
  const { clock } = lab;
  lab.pod('a', POD_A);
  lab.uplink();
  const ipvs = new Ipvs(lab.kernel);
  const netlink = createNetlink(lab.kernel, ipvs);
  const client = new ApiServer({ clock, rng: new SeededRng(1) }).client();
  await client.create(NAMESPACES, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'default' } });
  await client.create(NODES, {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: NODE_NAME, labels: zone === '' ? {} : { 'topology.kubernetes.io/zone': zone } },
    status: { addresses: [{ type: 'InternalIP', address: NODE_IP }] },
  });
  const syncs: SyncInfo[] = [];
  const errors: unknown[] = [];
  const proxy = new KubeProxy({
    client,
    netlink,
    clock,
    nodeName: NODE_NAME,
    config: change(parseKubeProxyConfiguration({ mode: 'ipvs', clusterCIDR: '10.244.0.0/16', ...config })),
    onError: (error) => errors.push(error),
    onSync: (info) => syncs.push(info),
  });
  const close = (): void => {
    proxy.close();
    proxy.close();
    ipvs.close();
    lab.close();
  };
  return { lab, client, ipvs, proxy, syncs, errors, close };
}

const web = () => service('web', { clusterIP: VIP, ports: [{ port: 80 }] });
const slice = (...addresses: string[]) =>
  endpointSlice(
    'web',
    [{ port: 8080, protocol: 'TCP' }],
    addresses.map((a) => ready(a)),
  );

t.test('what is there at the start is programmed in one sync, later changes within milliseconds', async (t) => {
  const b = await makeBench();
  await b.client.create(SERVICES, web());
  const stored = await b.client.create(ENDPOINTSLICES, slice(POD_A));
  const started = b.proxy.start();
  await b.lab.clock.run(0);
  await started;
  t.equal(b.ipvs.save(), '-A -t 10.96.0.10:80 -s rr\n-a -t 10.96.0.10:80 -r 10.244.0.5:8080 -m -w 1\n');
  t.equal(b.syncs.length, 1);
  await b.lab.clock.run(5e6);
  await b.client.update(ENDPOINTSLICES, { ...slice(POD_A, POD_B), metadata: stored.metadata });
  await b.lab.clock.run(1000);
  t.match(b.ipvs.save(), /-r 10\.244\.0\.6:8080/);
  await b.client.delete(SERVICES, 'default', 'web');
  await b.lab.clock.run(20_000);
  t.equal(b.ipvs.save(), '');
  t.same(b.errors, []);
  b.close();
});

t.test('nothing is programmed before the first lists are complete', async (t) => {
  const b = await makeBench();
  await b.client.create(SERVICES, web());
  const started = b.proxy.start();
  t.equal(b.ipvs.save(), '');
  t.equal(b.syncs.length, 0);
  await b.lab.clock.run(0);
  await started;
  t.equal(b.syncs.length, 1);
  b.close();
});

t.test('many changes in a row are few syncs', async (t) => {
  const b = await makeBench({ ipvs: { minSyncPeriod: '1s' } });
  const started = b.proxy.start();
  await b.lab.clock.run(0);
  await started;
  await b.lab.clock.run(2e6);
  const before = b.syncs.length;
  for (let i = 1; i <= 50; i++) {
    await b.client.create(SERVICES, service(`s${i}`, { clusterIP: `10.96.1.${i}`, ports: [{ port: 80 }] }));
    await b.lab.clock.run(10_000);
  }
  await b.lab.clock.run(1e6);
  t.equal(b.ipvs.services().length, 50);
  t.equal(b.syncs.length - before, 2, 'one at once, one for the rest');
  b.close();
});

t.test('the time from the change of a slice to the end of the sync is told', async (t) => {
  const b = await makeBench();
  await b.client.create(SERVICES, web());
  const started = b.proxy.start();
  await b.lab.clock.run(1e6);
  await started;
  const changed = slice(POD_A);
  changed.metadata.annotations = {
    'endpoints.kubernetes.io/last-change-trigger-time': new Date(b.lab.clock.unixMs() - 40).toISOString(),
  };
  await b.client.create(ENDPOINTSLICES, changed);
  await b.lab.clock.run(0);
  t.same(b.syncs.at(-1)!.latenciesMs, [40]);
  b.close();
});

t.test('headless Services and those of another proxy are left alone', async (t) => {
  const b = await makeBench();
  await b.client.create(SERVICES, service('headless', { clusterIP: 'None', ports: [{ port: 80 }] }));
  const other = web();
  other.metadata.labels = { 'service.kubernetes.io/service-proxy-name': 'somebody' };
  await b.client.create(SERVICES, other);
  const started = b.proxy.start();
  await b.lab.clock.run(0);
  await started;
  t.equal(b.ipvs.save(), '');
  b.close();
});

t.test('a kernel that refuses is told of, and the next sync starts over', async (t) => {
  // A kernel without that scheduler, as a configuration that has been read cannot ask for one that Linux has not.
  const b = await makeBench({}, 'z1', (config) => ({
    ...config,
    ipvs: { ...config.ipvs, scheduler: 'nosuch' as 'rr' },
  }));
  await b.client.create(SERVICES, web());
  const started = b.proxy.start();
  await b.lab.clock.run(0);
  await started;
  t.match(b.errors, [{ code: 'ENOENT', message: /nosuch/ }]);
  await b.lab.clock.run(31e6);
  t.equal(b.errors.length, 2, 'again after the sync period');
  b.close();
});

/** A TCP connection of Pod a's to the Service, the server being Pod b. */
class Connection {
  readonly #lab: Lab;
  readonly #sport: number;

  constructor(lab: Lab, sport: number) {
    this.#lab = lab;
    this.#sport = sport;
  }

  open(): boolean {
    return this.#request('S', 1000, 0) && this.#reply('SA', 5000, 1001) && this.#request('A', 1001, 5001);
  }

  /** Data there and back, translated on both ways. */
  works(): boolean {
    return this.#request('PA', 1001, 5001) && this.#reply('PA', 5001, 1001);
  }

  #request(flags: string, seq: number, ack: number): boolean {
    const sport = this.#sport;
    this.#lab.take('b');
    this.#lab.from('a', ip({ saddr: POD_A, daddr: VIP }, tcp({ sport, dport: 80, flags, seq, ack, window: 6000 })));
    const [got] = this.#lab.take('b');
    return got?.ip?.saddr === POD_A && got.ip.daddr === POD_B && got.tcp?.dport === 8080;
  }

  #reply(flags: string, seq: number, ack: number): boolean {
    this.#lab.take('a');
    const segment = tcp({ sport: 8080, dport: this.#sport, flags, seq, ack, window: 6000 });
    this.#lab.from('b', ip({ saddr: POD_B, daddr: POD_A }, segment));
    const [got] = this.#lab.take('a');
    return got?.ip?.saddr === VIP && got.tcp?.sport === 80;
  }
}

for (const from of PROXY_MODES) {
  for (const to of PROXY_MODES.filter((mode) => mode !== from)) {
    t.test(
      `from ${from} to ${to} mode: new rules in one turn, old ones gone, connections kept where they can be`,
      async (t) => {
        const b = await makeBench({ mode: from }, '');
        b.lab.pod('b', POD_B);
        await b.client.create(SERVICES, web());
        await b.client.create(ENDPOINTSLICES, slice(POD_B));
        const started = b.proxy.start();
        await b.lab.clock.run(0);
        await started;
        const old = new Connection(b.lab, 40000);
        t.ok(old.open());
        const notices = b.proxy.reconfigure(parseKubeProxyConfiguration({ mode: to, clusterCIDR: '10.244.0.0/16' }));
        t.match(notices[0], { reason: 'ProxyModeChanged', message: `proxy mode ${from} -> ${to}` });
        const told = notices.find(({ reason }) => reason === 'ConnectionsLost')?.message;
        t.equal(
          told,
          from === 'ipvs'
            ? '1 established connections went through IPVS and cannot be kept: 1 to 10.96.0.10:80'
            : undefined,
        );
        t.equal(old.works(), from !== 'ipvs');
        const fresh = new Connection(b.lab, 40001);
        t.ok(fresh.open() && fresh.works(), 'without any time between');
        const left = {
          ipvs: b.ipvs.save(),
          nftables: b.lab.kernel.nftables.list(),
          iptables: b.lab.kernel.iptables
            .save()
            .split('\n')
            .filter((line) => line.includes('KUBE-SVC'))
            .join(),
        };
        t.equal(left[from], '', 'what the old mode left');
        t.not(left[to], '');
        t.same(b.errors, []);
        b.close();
      },
    );
  }
}

t.test('another scheduler keeps the connections of IPVS', async (t) => {
  const b = await makeBench();
  b.lab.pod('b', POD_B);
  await b.client.create(SERVICES, web());
  await b.client.create(ENDPOINTSLICES, slice(POD_B));
  const started = b.proxy.start();
  await b.lab.clock.run(0);
  await started;
  const old = new Connection(b.lab, 40000);
  t.ok(old.open());
  const config = parseKubeProxyConfiguration({ mode: 'ipvs', clusterCIDR: '10.244.0.0/16', ipvs: { scheduler: 'mh' } });
  t.match(b.proxy.reconfigure(config), [{ type: 'Normal', reason: 'ProxyConfigChanged' }]);
  t.same(b.proxy.reconfigure(config), [], 'the same again is nothing');
  t.match(b.ipvs.save(), '-s mh');
  t.ok(old.works());
  b.close();
});
