// How long it took from a change of Pods to the answer that shows it (CoreDNS plugin/kubernetes/object/metrics.go): the endpoints
// controllers write down when the oldest change was that an update answers. As there, counted for headless Services only.
import type { EndpointSlice } from '../../../api/discovery-v1.ts';
import type { Histogram, HistogramSeries, Registry } from '../../../lib/metrics.ts';
import type { ServiceFacts } from './facts.ts';

const TRIGGER_TIME = 'endpoints.kubernetes.io/last-change-trigger-time';
/** Seconds, from a millisecond, doubling, to some nine minutes. */
const BUCKETS = Array.from({ length: 20 }, (_, i) => 2 ** i / 1000);

export class ProgrammingLatency {
  readonly #histogram: Histogram;
  readonly #unixMs: () => number;
  readonly #warn: (message: string) => void;
  #series: HistogramSeries | undefined;

  constructor(metrics: Registry, unixMs: () => number, warn: (message: string) => void) {
    const help = 'Histogram of the time (in seconds) it took to program a dns instance.';
    const name = 'coredns_kubernetes_dns_programming_duration_seconds';
    this.#histogram = metrics.histogram(name, help, BUCKETS, ['service_kind']);
    this.#unixMs = unixMs;
    this.#warn = warn;
  }

  /** A slice has been taken in that changes what its Service answers. */
  record({ metadata }: EndpointSlice, service: ServiceFacts | undefined): void {
    const written = metadata.annotations?.[TRIGGER_TIME];
    if (written === undefined) return;
    const triggerMs = Date.parse(written);
    if (Number.isNaN(triggerMs)) {
      const what = `invalid "${TRIGGER_TIME}" annotation RFC3339 value of "${written}"`;
      this.#warn(
        `DnsProgrammingLatency cannot be calculated for Endpoints '${metadata.namespace}/${metadata.name}'; ${what}`,
      );
      return;
    }
    if (service?.kind !== 'headless') return;
    this.#series ??= this.#histogram.with('headless_with_selector');
    this.#histogram.observe(this.#series, (this.#unixMs() - triggerMs) / 1000);
  }
}
