// What the API server counts of its requests, under the real server's names and labels: k8s.io/apiserver/pkg/endpoints/metrics/metrics.go
// (1.35). Left out: sizes, admission, authentication and storage latencies, the SLI variants.
import type { Clock } from '../../lib/clock.ts';
import type { Histogram, Registry, Series, Vector } from '../../lib/metrics.ts';
import type { RequestInfo } from '../http/request-info.ts';

const BUCKETS_S = [
  ...[0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.25, 1.5, 2, 3],
  ...[4, 5, 6, 8, 10, 15, 20, 30, 45, 60],
];
const PLACE = ['component', 'group', 'resource', 'scope', 'subresource', 'verb', 'version'];
/** In the order of the metric's own labels, by name. */
const DURATION_LABELS = ['component', 'dry_run', 'group', 'resource', 'scope', 'subresource', 'verb', 'version'];
const TOTAL_LABELS = ['code', ...DURATION_LABELS];

const VERBS: Readonly<Record<RequestInfo['verb'], string>> = {
  get: 'GET',
  list: 'LIST',
  watch: 'WATCH',
  create: 'POST',
  update: 'PUT',
  patch: 'PATCH',
  delete: 'DELETE',
  deletecollection: 'DELETECOLLECTION',
};
const CONNECTED: ReadonlySet<string> = new Set(['attach', 'exec', 'portforward', 'proxy']);
const SUBRESOURCES: ReadonlySet<string> = new Set([
  ...CONNECTED,
  ...['approval', 'binding', 'ephemeralcontainers', 'eviction', 'finalize', 'log', 'scale', 'status', 'token'],
]);
const READS: ReadonlySet<string> = new Set(['GET', 'LIST']);
/** Paths that are not about objects and may be labels: no client can make up more. */
const KNOWN_PATHS = /^\/($|metrics$|version$|healthz|livez|readyz|api$|apis$|openapi\/v[23]$)/;

/** What a request is, for its labels. */
export interface RequestLabels {
  readonly method: string;
  readonly path: string;
  /** Of a resource that is served; what a client made up is no label. */
  readonly info: RequestInfo | undefined;
  readonly apply: boolean;
  readonly dryRun: boolean;
  /** It lasts for as long as the client likes: counted, not timed. */
  readonly follows: boolean;
}

export class RequestMetrics {
  readonly #clock: Clock;
  readonly #total: Vector;
  readonly #durations: Histogram;
  readonly #longRunning: Vector;
  readonly #inflight: { readonly mutating: Series; readonly readOnly: Series };

  constructor(registry: Registry, clock: Clock) {
    this.#clock = clock;
    this.#total = registry.counter(
      'apiserver_request_total',
      'Counter of apiserver requests broken out for each verb, dry run value, group, version, resource, scope, component, and HTTP response code.',
      TOTAL_LABELS,
    );
    this.#durations = registry.histogram(
      'apiserver_request_duration_seconds',
      'Response latency distribution in seconds for each verb, dry run value, group, version, resource, subresource, scope and component.',
      BUCKETS_S,
      DURATION_LABELS,
    );
    this.#longRunning = registry.gauge(
      'apiserver_longrunning_requests',
      'Gauge of all active long-running apiserver requests broken out by verb, group, version, resource, scope and component. Not all requests are tracked this way.',
      PLACE,
    );
    const inflight = registry.gauge(
      'apiserver_current_inflight_requests',
      'Number of requests that are being served now, by kind.',
      ['request_kind'],
    );
    this.#inflight = { mutating: inflight.with('mutating'), readOnly: inflight.with('readOnly') };
  }

  /** A request has been let in; the result is called with the code once it is over. */
  begin(request: RequestLabels): (code: number) => void {
    const { info, method, path, apply, dryRun } = request;
    const verb = verbOf(request);
    const place = {
      group: info?.group ?? '',
      resource: info?.resource ?? '',
      scope: scopeOf(info),
      subresource: info ? known(info.subresource) : KNOWN_PATHS.test(path) ? path : '',
      version: info?.version ?? '',
    };
    const { group, resource, scope, subresource, version } = place;
    const dry = dryRun ? 'All' : '';
    const shown = apply ? 'APPLY' : verb;
    const labels = ['apiserver', dry, group, resource, scope, subresource, shown, version];
    const count = (code: number): void => void this.#total.with(String(code), ...labels).value++;
    if (verb === 'WATCH' || verb === 'CONNECT' || request.follows) {
      const running = this.#longRunning.with('apiserver', group, resource, scope, subresource, verb, version);
      running.value++;
      return (code) => {
        running.value--;
        count(code);
      };
    }
    const reads = info ? READS.has(verb) : method === 'GET' || method === 'HEAD';
    const inflight = reads ? this.#inflight.readOnly : this.#inflight.mutating;
    inflight.value++;
    const startUs = this.#clock.nowUs();
    return (code) => {
      inflight.value--;
      count(code);
      this.#durations.observe(this.#durations.with(...labels), (this.#clock.nowUs() - startUs) / 1e6);
    };
  }
}

function known(subresource: string | undefined): string {
  return subresource !== undefined && SUBRESOURCES.has(subresource) ? subresource : '';
}

function verbOf({ method, info }: RequestLabels): string {
  if (!info) return method;
  return CONNECTED.has(info.subresource ?? '') ? 'CONNECT' : VERBS[info.verb];
}

function scopeOf(info: RequestInfo | undefined): string {
  if (!info) return '';
  if (info.name !== undefined || info.verb === 'create') return 'resource';
  return info.namespace !== undefined ? 'namespace' : 'cluster';
}
