// kube-proxy: watches Services, EndpointSlices and its own Node, accumulates what changes, and lets the proxier bring the
// kernel in line, at most so often. After cmd/kube-proxy/app/server.go and the OnXxx handlers of pkg/proxy, v1.31.
// Nothing is programmed before the first lists of Services and EndpointSlices are complete.

import type { Node, Service } from '../api/core-v1.ts';
import { type EndpointSlice, LABEL_HEADLESS, LABEL_SERVICE_PROXY_NAME } from '../api/discovery-v1.ts';
import { ENDPOINTSLICES, NODES, SERVICES } from '../api/resources.ts';
import type { ApiClient } from '../client/client.ts';
import { Informer, keyOf } from '../client/informer.ts';
import type { Clock } from '../lib/clock.ts';
import { formatIpAddress, type IpAddress, jsonOf, parseIpOf, parseIpPrefixes } from '../tcpip-ts/wire/ip-address.ts';
import { BoundedRunner } from './bounded-runner.ts';
import { ChangeTracker } from './change-tracker.ts';
import type { Cidr, KubeProxyConfig, ProxyMode } from './config.ts';
import type { Netlink } from './either-family.ts';
import { type Endpoint, EndpointSliceCache, type EndpointsByPort } from './endpoints.ts';
import { HealthChecks, type ServiceHealth } from './health-check.ts';
import { IpvsLeftovers, underWay } from './ipvs/leftovers.ts';
import { removeDevice } from './ipvs/proxier.ts';
import { localDetectorOf } from './local-detector.ts';
import { ProxyMetrics, type ProxyState } from './metrics.ts';
import { addressesIn, isEverything, nodeIPOf, nodePortRanges } from './node-ports.ts';
import { answerMetrics, type HttpListen, OwnServers } from './own-servers.ts';
import type { Proxier } from './proxier.ts';
import { createProxier } from './proxiers.ts';
import { type ServicePort, type ServicePorts, servicePortsOf } from './service-port.ts';
import { categorizeEndpoints } from './topology.ts';

/** Deviation: one proxier, for IPv4; the emulated kernel has no packet path for IPv6. */
const FAMILY = 4;
const EVERYWHERE = '0.0.0.0';
const NOT_OURS = `!${LABEL_SERVICE_PROXY_NAME},!${LABEL_HEADLESS}`;
const ZONE_LABEL = 'topology.kubernetes.io/zone';
const TRIGGER_TIME = 'endpoints.kubernetes.io/last-change-trigger-time';

export interface SyncInfo {
  /** Operations committed; 0 when there was nothing to do. */
  readonly operations: number;
  readonly durationUs: number;
  /** Of the slices that changed: from the change that caused it to this sync's end (NetworkProgrammingLatency). */
  readonly latenciesMs: readonly number[];
}

/** Something that the cluster's user may want to know: an Event. */
export interface ProxyNotice {
  readonly type: 'Normal' | 'Warning';
  readonly reason: string;
  readonly message: string;
}

export interface KubeProxyOptions {
  readonly client: ApiClient;
  readonly netlink: Netlink;
  readonly clock: Clock;
  readonly nodeName: string;
  readonly config: KubeProxyConfig;
  /** Networks that ClusterIPs are from; nftables mode drops what is for nobody in them. */
  readonly serviceCIDRs?: readonly Cidr[];
  /** Serves HTTP: health checks and metrics. Nobody does when left out. */
  readonly listen?: HttpListen;
  readonly onError?: (error: unknown) => void;
  readonly onSync?: (info: SyncInfo) => void;
}

export class KubeProxy {
  readonly #options: KubeProxyOptions;
  #config: KubeProxyConfig;
  #proxier: Proxier;
  #runner: BoundedRunner;
  /** Of IPVS mode, in iptables mode. */
  #leftovers: IpvsLeftovers | undefined;
  readonly #services: Informer<Service>;
  readonly #slices: Informer<EndpointSlice>;
  readonly #node: Informer<Node>;
  readonly #serviceChanges = new ChangeTracker<ServicePorts>(samePorts);
  readonly #endpointChanges = new ChangeTracker<EndpointsByPort>(samePorts);
  readonly #cache: EndpointSliceCache;
  /** Endpoints of each Service as of the last event. */
  readonly #known = new Map<string, EndpointsByPort>();
  readonly #ports = new Map<string, ServicePort>();
  readonly #endpoints = new Map<string, readonly Endpoint[]>();
  /** Service ports with a health-check node port. */
  readonly #healthChecked = new Map<string, ServicePort>();
  #metrics = new ProxyMetrics();
  readonly #health: HealthChecks | undefined;
  readonly #own: OwnServers | undefined;
  #triggerTimesMs: number[] = [];
  #syncs = 0;
  #started = false;
  #ready = false;
  #startedMs = 0;
  #closed = false;

  constructor(options: KubeProxyOptions) {
    const { client, clock, nodeName, config, onError = () => {} } = options;
    this.#options = options;
    this.#config = config;
    this.#proxier = this.#makeProxier(config);
    this.#cache = new EndpointSliceCache(nodeName, FAMILY);
    this.#runner = this.#makeRunner(config);
    if (options.listen) {
      this.#health = new HealthChecks(options.listen, clock, (path, code) => this.#metrics.answered(path, code));
      const metrics = answerMetrics(
        () => this.#config,
        () => this.#metrics.text(this.#state()),
      );
      this.#own = new OwnServers(options.listen, this.#health.answerOwn, metrics);
      this.#own.serve(config);
    }
    const common = { client, clock, onError };
    this.#services = new Informer({ ...common, type: SERVICES, labelSelector: NOT_OURS });
    this.#slices = new Informer({ ...common, type: ENDPOINTSLICES, labelSelector: NOT_OURS });
    this.#node = new Informer({ ...common, type: NODES, fieldSelector: `metadata.name=${nodeName}` });
  }

  /** Resolves when the first sync has been made. Rejects when the kernel refuses what the mode needs. */
  async start(): Promise<void> {
    this.#started = true;
    this.#startedMs = this.#options.clock.unixMs();
    this.#proxier.prepare();
    this.#services.addHandler({
      add: (service) => this.#serviceChanged(undefined, service),
      update: (old, service) => this.#serviceChanged(old, service),
      delete: (service) => this.#serviceChanged(service, undefined),
    });
    this.#slices.addHandler({
      add: (slice) => this.#sliceChanged(slice, false),
      update: (_old, slice) => this.#sliceChanged(slice, false),
      delete: (slice) => this.#sliceChanged(slice, true),
    });
    this.#node.addHandler({ add: () => this.#request(), update: () => this.#request(), delete: () => this.#request() });
    for (const informer of [this.#services, this.#slices, this.#node]) informer.start();
    await Promise.all([this.#services.synced, this.#slices.synced, this.#node.synced]);
    if (this.#closed) return;
    this.#ready = true;
    this.#runner.runNow();
  }

  /** How often it has taken changes over so far. */
  get syncs(): number {
    return this.#syncs;
  }

  /** The ports of a Service, `namespace/name`, as of the last sync. O(service ports). */
  *portsOf(service: string): Generator<ServicePort> {
    for (const port of this.#ports.values()) if (port.service === service) yield port;
  }

  get mode(): ProxyMode {
    return this.#config.mode;
  }

  /**
   * Goes on with another configuration, between two packets: the rules of the mode before are cleaned up, as `kube-proxy --cleanup`
   * does, and the new one's are made in the same turn. Connections that netfilter has translated keep their translation. Those of
   * IPVS stay with it when iptables mode comes, and end when nftables mode does, as with a real one: see ipvs/leftovers.ts. Returns
   * what there is to tell: nothing before start(), which then begins with it. Throws NetlinkError; then the configuration is the new
   * one, and the next sync tries again.
   */
  reconfigure(config: KubeProxyConfig): readonly ProxyNotice[] {
    const before = this.#config;
    if (this.#closed || jsonOf(before) === jsonOf(config)) return [];
    this.#runner.close();
    this.#proxier.close();
    const notices = this.#started ? this.#leave(before.mode, config.mode) : [];
    this.#config = config;
    this.#proxier = this.#makeProxier(config);
    this.#runner = this.#makeRunner(config);
    this.#own?.serve(config);
    if (!this.#started) return notices;
    this.#countAnew();
    this.#proxier.prepare();
    if (this.#ready) this.#runner.runNow();
    return notices;
  }

  /** Takes out of the kernel what the mode had there. */
  #leave(mode: ProxyMode, next: ProxyMode): readonly ProxyNotice[] {
    if (mode === next)
      return [{ type: 'Normal', reason: 'ProxyConfigChanged', message: 'kube-proxy took a new configuration' }];
    const { netlink, clock, onError = () => {} } = this.#options;
    const notices: ProxyNotice[] = [
      { type: 'Normal', reason: 'ProxyModeChanged', message: `proxy mode ${mode} -> ${next}` },
    ];
    const { connections, requests } = underWay(netlink);
    this.#leftovers?.close();
    this.#proxier.cleanup({ keepConnections: next === 'iptables' });
    if (mode === 'ipvs' && next === 'iptables') {
      this.#leftovers = new IpvsLeftovers({ netlink, clock, onError });
      if (connections !== '')
        notices.push({
          type: 'Normal',
          reason: 'ConnectionsKept',
          message: `IPVS keeps ${connections} until they end`,
        });
    } else if (next === 'nftables') {
      if (this.#leftovers) netlink.commit([{ op: 'ipvs-flush' }, ...removeDevice(netlink)]);
      this.#leftovers = undefined;
      const lost = [connections, requests].filter((text) => text !== '').join(' and ');
      const message = `IPVS was flushed, as kube-proxy does for nftables, and has forgotten ${lost}: they break, unless the same endpoint is chosen again`;
      if (lost !== '') notices.push({ type: 'Warning', reason: 'ConnectionsLost', message });
    }
    return notices;
  }

  #makeProxier(config: KubeProxyConfig): Proxier {
    const { netlink, clock, nodeName, onError = () => {} } = this.#options;
    return createProxier({ netlink, clock, nodeName, config, onError });
  }

  #makeRunner(config: KubeProxyConfig): BoundedRunner {
    const { minSyncPeriodUs: minPeriodUs, syncPeriodUs: maxPeriodUs } = config[config.mode];
    return new BoundedRunner({ clock: this.#options.clock, minPeriodUs, maxPeriodUs, run: () => this.#sync() });
  }

  /** Stops watching and syncing; the kernel keeps its rules, as when a real kube-proxy stops. Idempotent. */
  close(): void {
    this.#closed = true;
    this.#runner.close();
    this.#proxier.close();
    this.#leftovers?.close();
    this.#own?.close();
    this.#health?.close();
    for (const informer of [this.#services, this.#slices, this.#node]) informer.close();
  }

  /** As the restart would that a new configuration takes: what is there has come just now. */
  #countAnew(): void {
    this.#metrics = new ProxyMetrics();
    this.#startedMs = this.#options.clock.unixMs();
    this.#triggerTimesMs = [];
    for (const _ of this.#services.list()) this.#metrics.serviceChanged();
    for (const _ of this.#slices.list()) this.#metrics.endpointsChanged();
  }

  #serviceChanged(old: Service | undefined, service: Service | undefined): void {
    this.#metrics.serviceChanged();
    const changed = this.#serviceChanges.update(
      keyOf((service ?? old)!),
      old && servicePortsOf(old, FAMILY),
      service && servicePortsOf(service, FAMILY),
    );
    if (changed) this.#request();
  }

  #sliceChanged(slice: EndpointSlice, deleted: boolean): void {
    const name = this.#cache.update(slice, deleted);
    if (name === undefined) return;
    this.#metrics.endpointsChanged();
    const triggered = Date.parse(slice.metadata.annotations?.[TRIGGER_TIME] ?? '');
    if (!deleted && triggered >= this.#startedMs) this.#triggerTimesMs.push(triggered);
    const before = this.#known.get(name) ?? NO_ENDPOINTS;
    const now = this.#cache.endpointsOf(name);
    if (now.size > 0) this.#known.set(name, now);
    else this.#known.delete(name);
    if (this.#endpointChanges.update(name, before, now)) this.#request();
  }

  #request(): void {
    if (!this.#ready) return;
    this.#health?.queued();
    this.#metrics.queued(this.#options.clock.unixMs());
    this.#runner.request();
  }

  #sync(): void {
    const { clock, onError, onSync } = this.#options;
    const health = this.#health;
    const config = this.#config;
    const startUs = clock.nowUs();
    const changed = new Set<string>();
    apply(this.#serviceChanges, this.#ports, changed);
    apply(this.#endpointChanges, this.#endpoints, changed);
    this.#syncs++;
    for (const key of changed) this.#noteHealthCheck(key);
    const triggers = this.#triggerTimesMs;
    this.#triggerTimesMs = [];
    const node = this.#node.list()[0];
    const internal = node?.status?.addresses?.filter((a) => a.type === 'InternalIP') ?? [];
    const internalIP = internal.map(({ address }) => parseIpOf(FAMILY, address)).find((addr) => addr !== undefined);
    const nodeIP = nodeIPOf(config, FAMILY, internalIP);
    const podCIDRs = node?.spec?.podCIDRs ?? [node?.spec?.podCIDR ?? ''];
    try {
      const operations = this.#proxier.sync({
        ports: this.#ports,
        endpoints: this.#endpoints,
        changed,
        zone: node?.metadata.labels?.[ZONE_LABEL] ?? '',
        nodeIP,
        local: localDetectorOf(config, parseIpPrefixes(podCIDRs), FAMILY),
        serviceCIDRs: this.#options.serviceCIDRs ?? [],
      });
      if (health) {
        health.nodeEligible = !isGoing(node);
        health.synced(this.#healthOf(), this.#healthHosts(nodeIP), config[config.mode].syncPeriodUs);
      }
      const latenciesMs = triggers.map((ms) => clock.unixMs() - ms);
      this.#metrics.syncedAt(clock.unixMs(), latenciesMs);
      onSync?.({ operations, durationUs: clock.nowUs() - startUs, latenciesMs });
    } catch (error) {
      this.#metrics.syncFailed(config.mode);
      onError?.(error); // the next sync, in syncPeriod at the latest, starts over
    }
    this.#metrics.syncTook(clock.nowUs() - startUs);
  }

  /** What is told of it beside what is counted. O(service ports), and O(rules) in iptables mode. */
  #state(): ProxyState {
    const noLocalEndpoints = { internal: 0, external: 0 };
    for (const [key, port] of this.#ports) {
      if (!port.internalPolicyLocal && !port.externalPolicyLocal) continue;
      const topology = { nodeName: this.#options.nodeName, zone: '' };
      const { local, hasAny } = categorizeEndpoints(this.#endpoints.get(key) ?? [], port, topology);
      if (!hasAny || local === null || local.length > 0) continue;
      if (port.internalPolicyLocal) noLocalEndpoints.internal++;
      if (port.externalPolicyLocal) noLocalEndpoints.external++;
    }
    return {
      mode: this.mode,
      serviceChangesPending: this.#serviceChanges.size,
      endpointChangesPending: this.#endpointChanges.size,
      noLocalEndpoints,
      iptablesRules: this.mode === 'iptables' ? { nat: this.#rulesIn('nat'), filter: this.#rulesIn('filter') } : null,
    };
  }

  #rulesIn(table: 'nat' | 'filter'): number {
    const own = this.#options.netlink.chains(table).filter(({ name }) => name.startsWith('KUBE-'));
    return own.reduce((sum, { rules }) => sum + rules.length, 0);
  }

  #noteHealthCheck(key: string): void {
    const port = this.#ports.get(key);
    if (port && port.healthCheckNodePort !== 0) this.#healthChecked.set(key, port);
    else this.#healthChecked.delete(key);
  }

  /** Health-check node ports are where NodePorts are. */
  #healthHosts(nodeIP: IpAddress | undefined): readonly string[] {
    const { mode } = this.#config;
    const ranges = nodePortRanges(this.#config, FAMILY, nodeIP);
    if (isEverything(ranges)) return [EVERYWHERE];
    if (ranges.length > 0) return addressesIn(ranges, this.#options.netlink).map(formatIpAddress);
    return mode === 'nftables' && nodeIP !== undefined ? [formatIpAddress(nodeIP)] : [EVERYWHERE];
  }

  /** Ready endpoints on this Node of each Service with a health-check node port: those of any of its ports, once each. */
  #healthOf(): ServiceHealth[] {
    const local = new Map<string, { port: number; addrs: Set<IpAddress> }>();
    for (const [key, { service, healthCheckNodePort: port }] of this.#healthChecked) {
      const entry = local.get(service) ?? { port, addrs: new Set() };
      for (const e of this.#endpoints.get(key) ?? []) if (e.local && e.ready) entry.addrs.add(e.addr);
      local.set(service, entry);
    }
    return Array.from(local, ([service, { port, addrs }]) => ({ service, port, localEndpoints: addrs.size }));
  }
}

/** NodeEligible of proxy_health.go: deleted, or about to be by the autoscaler. */
function isGoing(node: Node | undefined): boolean {
  const taints = (node?.spec?.taints ?? []) as readonly { readonly key: string }[];
  const isMarked = taints.some(({ key }) => key === 'ToBeDeletedByClusterAutoscaler');
  return isMarked || node?.metadata.deletionTimestamp !== undefined;
}

const NO_ENDPOINTS: EndpointsByPort = new Map();

/** Takes accumulated changes over into `into`, and their keys into `changed`. */
function apply<T>(changes: ChangeTracker<ReadonlyMap<string, T>>, into: Map<string, T>, changed: Set<string>): void {
  for (const [, { previous, current }] of changes.drain()) {
    for (const key of previous?.keys() ?? []) {
      changed.add(key);
      if (!current?.has(key)) into.delete(key);
    }
    for (const [key, value] of current ?? []) {
      changed.add(key);
      into.set(key, value);
    }
  }
}

function samePorts<T>(a: ReadonlyMap<string, T> | undefined, b: ReadonlyMap<string, T> | undefined): boolean {
  return jsonOf([...(a ?? [])]) === jsonOf([...(b ?? [])]);
}
