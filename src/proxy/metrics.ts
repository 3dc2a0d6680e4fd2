// What kube-proxy counts, in Prometheus' text format under the real names. After pkg/proxy/metrics/metrics.go, v1.34, and the places
// in pkg/proxy that write to it. What can be looked up is looked up when somebody asks, and costs a sync nothing.
// All of it is of ip_family IPv4, the one that the packet path has; a dual-stack kube-proxy would have each series twice.
// Leaves out: full and partial syncs apart, rules written in the last sync, the conntrack reconciler, nfacct's packets, Go's runtime.
import { Registry } from '../lib/metrics.ts';
import type { ProxyMode } from './config.ts';

const FAMILY = 'IPv4';

/** 1 ms, doubling, to 16 s. */
const SYNC_BUCKETS = Array.from({ length: 15 }, (_, i) => 0.001 * 2 ** i);
const LATENCY_BUCKETS = [0, 0.25, 0.5, ...steps(1, 1, 59), ...steps(60, 5, 12), ...steps(120, 30, 7)];

/** What is looked up. */
export interface ProxyState {
  readonly mode: ProxyMode;
  readonly serviceChangesPending: number;
  readonly endpointChangesPending: number;
  /** Service ports that nobody gets through to here, as a Local policy has no endpoint on this Node. */
  readonly noLocalEndpoints: { readonly internal: number; readonly external: number };
  /** Rules in kube-proxy's chains; null when the mode is not iptables. */
  readonly iptablesRules: { readonly nat: number; readonly filter: number } | null;
}

export class ProxyMetrics {
  readonly #registry = new Registry();
  readonly #durations = this.#registry.histogram(
    name('sync_proxy_rules_duration_seconds'),
    'SyncProxyRules latency in seconds',
    SYNC_BUCKETS,
    ['ip_family'],
  );
  readonly #latencies = this.#registry.histogram(
    name('network_programming_duration_seconds'),
    'In Cluster Network Programming Latency in seconds',
    LATENCY_BUCKETS,
    ['ip_family'],
  );
  readonly #serviceChanges = this.#counter(
    'sync_proxy_rules_service_changes_total',
    'Cumulative proxy rules Service changes',
  );
  readonly #endpointChanges = this.#counter(
    'sync_proxy_rules_endpoint_changes_total',
    'Cumulative proxy rules Endpoint changes',
  );
  readonly #queued = this.#family(
    'sync_proxy_rules_last_queued_timestamp_seconds',
    'The last time a sync of proxy rules was queued',
  );
  readonly #synced = this.#family(
    'sync_proxy_rules_last_timestamp_seconds',
    'The last time proxy rules were successfully synced',
  );
  readonly #answers = {
    healthz: this.#registry.counter(name('proxy_healthz_total'), 'Cumulative proxy healthz HTTP status', ['code']),
    livez: this.#registry.counter(name('proxy_livez_total'), 'Cumulative proxy livez HTTP status', ['code']),
  };

  serviceChanged(): void {
    this.#serviceChanges.value++;
  }

  endpointsChanged(): void {
    this.#endpointChanges.value++;
  }

  queued(unixMs: number): void {
    this.#queued.value = unixMs / 1000;
  }

  /** A sync went through. */
  syncedAt(unixMs: number, latenciesMs: readonly number[]): void {
    this.#synced.value = unixMs / 1000;
    for (const ms of latenciesMs) this.#latencies.observe(this.#latencies.with(FAMILY), ms / 1000);
  }

  /** A sync ended, well or not. */
  syncTook(us: number): void {
    this.#durations.observe(this.#durations.with(FAMILY), us / 1e6);
  }

  syncFailed(mode: ProxyMode): void {
    this.#failures(mode).value++;
  }

  answered(path: 'healthz' | 'livez', code: number): void {
    this.#answers[path].with(String(code)).value++;
  }

  text({ mode, serviceChangesPending, endpointChangesPending, noLocalEndpoints, iptablesRules }: ProxyState): string {
    this.#failures(mode); // is told before there are any
    this.#gauge('sync_proxy_rules_service_changes_pending', 'Pending proxy rules Service changes').with().value =
      serviceChangesPending;
    this.#gauge('sync_proxy_rules_endpoint_changes_pending', 'Pending proxy rules Endpoint changes').with().value =
      endpointChangesPending;
    const noLocal = this.#gauge(
      'sync_proxy_rules_no_local_endpoints_total',
      'Number of services with a Local traffic policy and no endpoints',
      'traffic_policy',
    );
    for (const policy of ['internal', 'external'] as const)
      noLocal.with(FAMILY, policy).value = noLocalEndpoints[policy];
    const rules = this.#gauge(
      'sync_proxy_rules_iptables_total',
      'Total number of iptables rules owned by kube-proxy',
      'table',
    );
    for (const table of ['nat', 'filter'] as const) {
      if (iptablesRules) rules.with(FAMILY, table).value = iptablesRules[table];
      else rules.without(FAMILY, table);
    }
    return this.#registry.text();
  }

  #failures(mode: ProxyMode): { value: number } {
    return mode === 'nftables'
      ? this.#registry
          .counter(name('sync_proxy_rules_nftables_sync_failures_total'), 'Cumulative proxy nftables sync failures', [
            'ip_family',
          ])
          .with(FAMILY)
      : this.#registry
          .counter(
            name('sync_proxy_rules_iptables_restore_failures_total'),
            'Cumulative proxy iptables restore failures',
            ['ip_family'],
          )
          .with(FAMILY);
  }

  #counter(short: string, help: string): { value: number } {
    return this.#registry.counter(name(short), help).with();
  }

  #family(short: string, help: string): { value: number } {
    return this.#registry.gauge(name(short), help, ['ip_family']).with(FAMILY);
  }

  #gauge(short: string, help: string, label?: string) {
    return this.#registry.gauge(name(short), help, label === undefined ? [] : ['ip_family', label]);
  }
}

function name(short: string): string {
  return `kubeproxy_${short}`;
}

function steps(first: number, width: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => first + i * width);
}
