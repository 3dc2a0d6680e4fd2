// ConfigMap kube-proxy over the starts of a cluster that is kept on disk: what a run asked for, and what others left.
import t from 'tap';
import { parse } from 'yaml';
import type { ConfigMap } from '../../src/api/core-v1.ts';
import { CONFIGMAPS, NAMESPACES } from '../../src/api/resources.ts';
import { ApiServer } from '../../src/apiserver/apiserver.ts';
import { ensureProxyConfig, proxyModeOf } from '../../src/cluster/proxy-config.ts';
import { VirtualClock } from '../../src/lib/clock.ts';
import { SeededRng } from '../../src/lib/rng.ts';

const DEFAULTS = { proxyMode: 'ipvs', ipvsScheduler: 'rr', podCIDR: '10.244.0.0/16' } as const;

async function cluster() {
  const server = new ApiServer({ clock: new VirtualClock(), rng: new SeededRng(1), serviceCIDR: '10.96.0.0/12' });
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
