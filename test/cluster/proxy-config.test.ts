// ConfigMap kube-proxy over the starts of a cluster that is kept on disk: what a run asked for, and what others left.
import t from 'tap';
import { parse } from 'yaml';
import type { ConfigMap } from '../../src/api/core-v1.ts';
import { CONFIGMAPS, NAMESPACES } from '../../src/api/resources.ts';
import { ApiServer } from '../../src/apiserver/apiserver.ts';
import type { ApiClient } from '../../src/client/client.ts';
import {
  ensureProxyConfig,
  initialProxyConfig,
  ProxyConfigWatch,
  proxyModeOf,
} from '../../src/cluster/proxy-config.ts';
import { createNetlink } from '../../src/kernel/core/netlink.ts';
import { Ipvs } from '../../src/kernel/ipvs/ipvs.ts';
import { VirtualClock } from '../../src/lib/clock.ts';
import { SeededRng } from '../../src/lib/rng.ts';
import { PROXY_MODES } from '../../src/proxy/config.ts';
import { KubeProxy } from '../../src/proxy/kube-proxy.ts';
import { Lab } from '../support/kernel.ts';

const DEFAULTS = { proxyMode: 'ipvs', ipvsScheduler: 'rr', podCIDR: '10.244.0.0/16' } as const;

async function cluster(clock = new VirtualClock()) {
  const server = new ApiServer({ clock, rng: new SeededRng(1), serviceCIDR: '10.96.0.0/12' });
  const client = server.client();
  await client.create(NAMESPACES, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'kube-system' } });
  const get = (): Promise<ConfigMap> => client.get(CONFIGMAPS, 'kube-system', 'kube-proxy');
  return {
    client,
    text: async (): Promise<string> => (await get()).data!['config.conf']!,
    write: async (text: string): Promise<void> => {
      const stored = await client.get(CONFIGMAPS, 'kube-system', 'kube-proxy');
      await client.update(CONFIGMAPS, { ...stored, data: { ...stored.data, 'config.conf': text } });
    },
  };
}

t.test('the first start writes the settings down', async (t) => {
  const { client, text } = await cluster();
  await ensureProxyConfig(client, { ...DEFAULTS, proxyMode: 'nftables' }, { mode: 'nftables' });
  t.match(parse(await text()), { mode: 'nftables', clusterCIDR: '10.244.0.0/16', ipvs: { scheduler: 'rr' } });
  t.equal(await proxyModeOf(client, DEFAULTS), 'nftables');
});

t.test('a later start without flags leaves everything', async (t) => {
  const { client, text, write } = await cluster();
  await ensureProxyConfig(client, DEFAULTS, {});
  const edited = 'kind: KubeProxyConfiguration\nmode: iptables # for a while\niptables: {masqueradeAll: true}\n';
  await write(edited);
  await ensureProxyConfig(client, DEFAULTS, {});
  t.equal(await text(), edited);
  t.equal(await proxyModeOf(client, DEFAULTS), 'iptables', 'the mode that runs is the stored one');
});

t.test('what a later start asks for changes, the rest and its comments stay', async (t) => {
  const { client, text, write } = await cluster();
  await ensureProxyConfig(client, DEFAULTS, {});
  await write('kind: KubeProxyConfiguration\n# ours\nmode: iptables\niptables: {masqueradeAll: true}\n');
  await ensureProxyConfig(client, { ...DEFAULTS, ipvsScheduler: 'sh' }, { mode: 'ipvs', scheduler: 'sh' });
  t.match(await text(), /^# ours$/m);
  t.same(parse(await text()), {
    kind: 'KubeProxyConfiguration',
    mode: 'ipvs',
    iptables: { masqueradeAll: true },
    ipvs: { scheduler: 'sh' },
  });
});

t.test('what is no configuration is replaced only when something is asked for', async (t) => {
  const { client, text, write } = await cluster();
  await ensureProxyConfig(client, DEFAULTS, {});
  for (const nonsense of ['[', '- mode', 'clusterCIDR: everywhere\n']) {
    await write(nonsense);
    await ensureProxyConfig(client, DEFAULTS, {});
    t.equal(await text(), nonsense);
    t.equal(await proxyModeOf(client, DEFAULTS), 'ipvs', 'Nodes stay with what they began with');
    await ensureProxyConfig(client, { ...DEFAULTS, proxyMode: 'nftables' }, { mode: 'nftables' });
    t.match(parse(await text()), { mode: 'nftables', clusterCIDR: '10.244.0.0/16' });
  }
});

/** A Node's kube-proxy of a cluster that was started with the defaults, and what it is told of. */
async function node(lab: Lab, client: ApiClient) {
  const { clock } = lab;
  const ipvs = new Ipvs(lab.kernel);
  const proxy = new KubeProxy({
    client,
    clock,
    netlink: createNetlink(lab.kernel, ipvs),
    nodeName: 'node-1',
    config: initialProxyConfig(DEFAULTS),
  });
  const events: string[] = [];
  const watch = new ProxyConfigWatch({
    client,
    clock,
    proxy,
    event: (_about, type, reason, message) => events.push(`${type} ${reason}: ${message}`),
    onError: () => {},
  });
  const started = watch.start().then(() => proxy.start());
  await clock.run(0);
  await started;
  return {
    proxy,
    events,
    /** What the modes make before there are Services. */
    made: {
      ipvs: lab.kernel.devices.byName('kube-ipvs0') !== undefined,
      iptables: lab.kernel.iptables.save().includes('KUBE-EXTERNAL-SERVICES'),
      nftables: lab.kernel.nftables.list() !== '',
    },
    close: () => {
      watch.close();
      proxy.close();
      ipvs.close();
      lab.close();
    },
  };
}

for (const mode of PROXY_MODES) {
  t.test(
    `a Node starts in the stored mode, ${mode}, having made nothing of another, and has nothing to tell`,
    async (t) => {
      const lab = new Lab();
      const { client, write } = await cluster(lab.clock);
      await ensureProxyConfig(client, DEFAULTS, {});
      await write(`kind: KubeProxyConfiguration\nmode: ${mode}\nmetricsBindAddress: 0.0.0.0\n`);
      const { proxy, events, made, close } = await node(lab, client);
      t.equal(proxy.mode, mode);
      t.same(made, { ipvs: mode === 'ipvs', iptables: mode === 'iptables', nftables: mode === 'nftables' });
      t.same(events, []);
      close();
    },
  );
}

t.test('an edit that cannot be is refused by its place, one that is odd is taken and warned of', async (t) => {
  const lab = new Lab();
  const { client, write } = await cluster(lab.clock);
  await ensureProxyConfig(client, DEFAULTS, {});
  const { proxy, events, close } = await node(lab, client);
  const kind = 'kind: KubeProxyConfiguration\n';
  const cases: readonly (readonly [string, RegExp])[] = [
    ['mode: [ipvs\nfoo', /^config\.conf:2:1: Flow sequence in block collection must .* with a \];/],
    [
      `${kind}mode: quantum\n`,
      /^config\.conf:2:7: KubeProxyConfiguration\.mode: expected iptables, ipvs, nftables, not quantum;/,
    ],
    [
      `${kind}ipvs:\n  syncPeriod: 30\n`,
      /^config\.conf:3:15: .*ipvs\.syncPeriod: expected a duration such as 30s, not 30;/,
    ],
    [`${kind}ipvs: {minSyncPeriod: 1h}\n`, /^config\.conf:2:7: .*syncPeriod: must be greater/],
    [`${kind}nodePortAddresses: [192.168.49.2]`, /not 192\.168\.49\.2; that address alone is 192\.168\.49\.2\/32;/],
    [`${kind}metricsBindAddress: 10249`, /^config\.conf:2:21: .*: expected IP or IP:PORT, not 10249;/],
    ['', /^config\.conf:1:1: expected a KubeProxyConfiguration;/],
  ];
  for (const [text, expected] of cases) {
    events.length = 0;
    await write(text);
    await lab.clock.run(0);
    t.equal(events.length, 1, text);
    const [, message = ''] =
      /^Warning ProxyConfigRefused: (.*; kube-proxy goes on as before)$/.exec(events[0] ?? '') ?? [];
    t.match(message, expected);
  }
  const present = await client.get(CONFIGMAPS, 'kube-system', 'kube-proxy');
  events.length = 0;
  await client.update(CONFIGMAPS, { ...present, data: {} });
  await lab.clock.run(0);
  t.match(events, [/^Warning ProxyConfigRefused: the ConfigMap has no key config\.conf; /]);
  t.equal(proxy.mode, 'ipvs');
  events.length = 0;
  await write(`${kind}mode: iptables\nipvs: {shceduler: lc}\n`);
  await lab.clock.run(0);
  t.equal(events[0], 'Warning ProxyConfigIgnored: config.conf:3:19: unknown field "ipvs.shceduler"');
  t.equal(proxy.mode, 'iptables');
  close();
});

t.test('a Node whose stored configuration makes no sense says so, and starts as the settings have it', async (t) => {
  const lab = new Lab();
  const { client, write } = await cluster(lab.clock);
  await ensureProxyConfig(client, DEFAULTS, {});
  await write('kind: KubeProxyConfiguration\nmode: quantum\n');
  const { proxy, events, close } = await node(lab, client);
  t.equal(proxy.mode, 'ipvs');
  t.match(events, [/^Warning ProxyConfigRefused: .*not quantum/]);
  t.equal(events.length, 1);
  close();
});
