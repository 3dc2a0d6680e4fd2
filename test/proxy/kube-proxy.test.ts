// kube-proxy from the API to the kernel, on a virtual clock.
import t from 'tap';
import { ENDPOINTSLICES, SERVICES } from '../../src/api/resources.ts';
import { PROXY_MODES, parseKubeProxyConfiguration } from '../../src/proxy/config.ts';
import { POD_A, POD_B } from '../support/kernel.ts';
import { Connection, makeBench, slice, web } from '../support/proxy-bench.ts';
import { service } from '../support/services.ts';

t.test('what is there at the start is programmed in one sync, later changes within milliseconds', async (t) => {
  const b = await makeBench();
  await b.client.create(SERVICES, web());
  const stored = await b.client.create(ENDPOINTSLICES, slice(POD_A));
  await b.start();
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
  await b.start();
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
  await b.start();
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
  await b.start();
  t.match(b.errors, [{ code: 'ENOENT', message: /nosuch/ }]);
  await b.lab.clock.run(31e6);
  t.equal(b.errors.length, 2, 'again after the sync period');
  b.close();
});

for (const from of PROXY_MODES) {
  for (const to of PROXY_MODES.filter((mode) => mode !== from)) {
    t.test(
      `from ${from} to ${to} mode: new rules in one turn, old ones gone, connections kept where they can be`,
      async (t) => {
        const b = await makeBench({ mode: from }, '');
        b.lab.pod('b', POD_B);
        await b.client.create(SERVICES, web());
        await b.client.create(ENDPOINTSLICES, slice(POD_B));
        await b.start();
        const old = new Connection(b.lab, 40000);
        t.ok(old.open());
        const notices = b.proxy.reconfigure(parseKubeProxyConfiguration({ mode: to, clusterCIDR: '10.244.0.0/16' }));
        t.match(notices[0], { reason: 'ProxyModeChanged', message: `proxy mode ${from} -> ${to}` });
        const isLost = from === 'ipvs' && to === 'nftables';
        const named = notices.find(({ message }) =>
          message.includes('10.244.0.5:40000 to 10.96.0.10:80 at 10.244.0.6:8080'),
        );
        const [, outcome] = /Connections(Lost|Kept)/.exec(named?.reason ?? '') ?? [];
        t.equal(outcome, isLost ? 'Lost' : from === 'ipvs' ? 'Kept' : undefined, 'what is told of the connection');
        t.equal(old.works(), !isLost);
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
        const kept = '-A -t 10.96.0.10:80 -s rr\n-a -t 10.96.0.10:80 -r 10.244.0.6:8080 -m -w 0\n';
        t.equal(left[from], from === 'ipvs' && to === 'iptables' ? kept : '', 'what the old mode left');
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
  await b.start();
  const old = new Connection(b.lab, 40000);
  t.ok(old.open());
  const config = parseKubeProxyConfiguration({ mode: 'ipvs', clusterCIDR: '10.244.0.0/16', ipvs: { scheduler: 'mh' } });
  t.match(b.proxy.reconfigure(config), [{ type: 'Normal', reason: 'ProxyConfigChanged' }]);
  t.same(b.proxy.reconfigure(config), [], 'the same again is nothing');
  t.match(b.ipvs.save(), '-s mh');
  t.ok(old.works());
  b.close();
});
