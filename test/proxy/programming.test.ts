// From the API write of an EndpointSlice to the data plane, with the Node behind a message port as in a cluster: what the way costs is
// counted, not timed (bench proxies times it, at 10,000 Services). One write is one event over the port, one sync, and rules of one
// Service; and then a packet would go to the new endpoint.
import { MessageChannel } from 'node:worker_threads';
import t from 'tap';
import type { EndpointSlice } from '../../src/api/discovery-v1.ts';
import { ENDPOINTSLICES, NAMESPACES, NODES, SERVICES } from '../../src/api/resources.ts';
import { ApiServer } from '../../src/apiserver/apiserver.ts';
import { servePort } from '../../src/apiserver/serve-port.ts';
import { connectPort } from '../../src/client/port-client.ts';
import type { ToClient } from '../../src/client/port-protocol.ts';
import { createNetlink } from '../../src/kernel/core/netlink.ts';
import { Ipvs } from '../../src/kernel/ipvs/ipvs.ts';
import type { NetlinkOp } from '../../src/kernel/netlink.ts';
import { RealClock } from '../../src/lib/clock.ts';
import { SeededRng } from '../../src/lib/rng.ts';
import { parseKubeProxyConfiguration } from '../../src/proxy/config.ts';
import { KubeProxy } from '../../src/proxy/kube-proxy.ts';
import { Lab, NODE_IP } from '../support/kernel.ts';
import { NODE_NAME } from '../support/services.ts';

const SERVICES_COUNT = 120;
const ENDPOINTS = 5;

/** What a sync may commit for one Service with one endpoint of five exchanged. */
const OPS = {
  iptables: { 'iptables-restore': 2 },
  nftables: { nft: 1 },
  ipvs: { 'ipvs-add-dest': 1, 'ipvs-del-dest': 1 },
} as const;

for (const mode of ['iptables', 'nftables', 'ipvs'] as const) {
  t.test(
    `${mode}: one write among ${SERVICES_COUNT} Services is one event, one sync, the rules of one Service`,
    async (t) => {
      const clock = new RealClock();
      const server = new ApiServer({ clock, rng: new SeededRng(1) });
      const api = server.client();
      await api.create(NAMESPACES, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'default' } });
      await api.create(NODES, {
        apiVersion: 'v1',
        kind: 'Node',
        metadata: { name: NODE_NAME },
        status: { addresses: [{ type: 'InternalIP', address: NODE_IP }] },
      });
      const clusterIPs: string[] = [];
      for (let i = 0; i < SERVICES_COUNT; i++) {
        const spec = { ports: [{ name: 'http', port: 80, protocol: 'TCP' as const, targetPort: 8080 }] };
        const metadata = { name: `s${i}`, namespace: 'default' };
        const made = await api.create(SERVICES, { apiVersion: 'v1', kind: 'Service', metadata, spec });
        clusterIPs.push(made.spec.clusterIP!);
        await api.create(ENDPOINTSLICES, slice(i));
      }

      const { port1, port2 } = new MessageChannel();
      const messages: ToClient[] = [];
      const post = port1.postMessage.bind(port1);
      port1.postMessage = (message: ToClient) => {
        messages.push(message);
        post(message);
      };
      const served = servePort(port1, api);
      const lab = new Lab();
      const ipvs = new Ipvs(lab.kernel);
      const netlink = createNetlink(lab.kernel, ipvs);
      const ops: NetlinkOp[] = [];
      const { commit } = netlink;
      netlink.commit = (batch) => {
        ops.push(...batch);
        commit(batch);
      };
      let synced = (): void => {};
      const proxy = new KubeProxy({
        client: connectPort(port2),
        netlink,
        clock,
        nodeName: NODE_NAME,
        config: parseKubeProxyConfiguration({ clusterCIDR: '10.244.0.0/16', iptables: { minSyncPeriod: '0s' } }, mode),
        onError: (error) => t.fail(String(error)),
        onSync: () => synced(),
      });
      await proxy.start();

      messages.length = 0;
      ops.length = 0;
      let syncs = 0;
      const next = new Promise<void>((resolve) => {
        synced = () => {
          syncs++;
          resolve();
        };
      });
      const changed = await api.get(ENDPOINTSLICES, 'default', 's77');
      const fresh = { addresses: ['10.128.77.200'], conditions: { ready: true } };
      await api.update(ENDPOINTSLICES, { ...changed, endpoints: [...changed.endpoints.slice(1), fresh] });
      await next;
      t.equal(syncs, 1);
      t.same(
        messages.map((m) => (m.kind === 'events' ? (JSON.parse(m.events) as unknown[]).length : m.kind)),
        [1],
        'one event crossed, and no list',
      );
      t.same(tally(ops.map(({ op }) => op)), OPS[mode]);
      t.ok(rulesIn(ops, `s77`) > 0, 'its own rules are among them');
      t.equal(rulesIn(ops, `s78`), 0, "and no other Service's chains");
      const rules =
        mode === 'iptables' ? netlink.iptablesSave() : mode === 'nftables' ? netlink.nftList() : ipvs.save();
      t.match(rules, '10.128.77.200:8080');
      t.notMatch(rules, '10.128.77.0:8080', 'the old one is gone');

      proxy.close();
      served.close();
      ipvs.close();
      lab.close();
      await server.close();
    },
  );
}

function slice(i: number): EndpointSlice {
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name: `s${i}`, namespace: 'default', labels: { 'kubernetes.io/service-name': `s${i}` } },
    addressType: 'IPv4',
    endpoints: Array.from({ length: ENDPOINTS }, (_, k) => ({
      addresses: [`10.128.${i}.${k}`],
      conditions: { ready: true },
    })),
    ports: [{ name: 'http', port: 8080, protocol: 'TCP' }],
  };
}

/** Rules of the Service's own chains, and dests of its own, that a batch writes. */
function rulesIn(ops: readonly NetlinkOp[], service: string): number {
  const address = `10.128.${service.slice(1)}.`;
  let count = 0;
  for (const op of ops) {
    if (op.op === 'iptables-restore') {
      const own = (op.chains ?? []).filter(({ name }) => /^KUBE-(SVC|SEP)-/.test(name)).flatMap(({ rules }) => rules);
      count += own.filter((rule) => JSON.stringify(rule).includes(`default/${service}:`)).length;
    } else if (op.op === 'nft') {
      count += op.commands.filter((c) => c.command === 'add-rule' && c.chain.includes(`default/${service}/`)).length;
    } else if (op.op === 'ipvs-add-dest') {
      const { addr } = op.dest;
      count += `${addr >>> 24}.${(addr >>> 16) & 255}.${(addr >>> 8) & 255}.`.startsWith(address) ? 1 : 0;
    }
  }
  return count;
}

function tally(names: readonly string[]): Record<string, number> {
  const out: Record<string, number> = {};
  for (const name of names) out[name] = (out[name] ?? 0) + 1;
  return out;
}
