// kube-proxy on a virtual clock: an API server, an emulated kernel with two Pods, and the Service `web` with a connection to it.
import { NAMESPACES, NODES } from '../../src/api/resources.ts';
import { ApiServer } from '../../src/apiserver/apiserver.ts';
import type { ApiClient } from '../../src/client/client.ts';
import { createNetlink } from '../../src/kernel/core/netlink.ts';
import { Ipvs } from '../../src/kernel/ipvs/ipvs.ts';
import { SeededRng } from '../../src/lib/rng.ts';
import { type KubeProxyConfig, parseKubeProxyConfiguration } from '../../src/proxy/config.ts';
import { KubeProxy, type SyncInfo } from '../../src/proxy/kube-proxy.ts';
import { Lab, NODE_IP, POD_A, POD_B } from './kernel.ts';
import { ip, tcp } from './packet.ts';
import { endpointSlice, NODE_NAME, ready, service } from './services.ts';

export const VIP = '10.96.0.10';

export interface Bench {
  readonly lab: Lab;
  readonly client: ApiClient;
  readonly ipvs: Ipvs;
  readonly proxy: KubeProxy;
  readonly syncs: SyncInfo[];
  readonly errors: unknown[];
  /** Until the first sync has been made; no time passes. */
  start(): Promise<void>;
  close(): void;
}

export async function makeBench(
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
  const start = async (): Promise<void> => {
    const started = proxy.start();
    await clock.run(0);
    await started;
  };
  const close = (): void => {
    proxy.close();
    proxy.close();
    ipvs.close();
    lab.close();
  };
  return { lab, client, ipvs, proxy, syncs, errors, start, close };
}

export const web = () => service('web', { clusterIP: VIP, ports: [{ port: 80 }] });
export const slice = (...addresses: string[]) =>
  endpointSlice(
    'web',
    [{ port: 8080, protocol: 'TCP' }],
    addresses.map((a) => ready(a)),
  );

/** A TCP connection of Pod a's to the Service `web`, the server being Pod b. */
export class Connection {
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

  /** Data from the server, translated. */
  hears(): boolean {
    return this.#reply('PA', 5001, 1001);
  }

  /** Both ends; the client first. */
  close(): boolean {
    return this.#request('FA', 1001, 5001) && this.#reply('FA', 5001, 1002) && this.#request('A', 1002, 5002);
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
