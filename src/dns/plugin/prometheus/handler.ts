// Counts each question and its answer under CoreDNS's names (plugin/metrics/vars). The series of the common label values are
// looked up once and kept in small tables. Sizes in bytes, durations in seconds.
import type { Clock } from '../../../lib/clock.ts';
import {
  DURATIONS,
  type Histogram,
  type HistogramSeries,
  type Registry,
  type Series,
  type Vector,
} from '../../../lib/metrics.ts';
import type { HitCounter } from '../../answer-memo.ts';
import { rcodeText, typeText } from '../../constants.ts';
import {
  afterwards,
  type Handler,
  nextOrFailure,
  type Reply,
  type Request,
  type ResponseWriter,
} from '../../request.ts';

const SIZES = [0, 100, 200, 300, 400, 511, 1023, 2047, 4095, 8291, 16e3, 32e3, 48e3, 64e3];
/** Types with a label of their own; the rest are `other`. */
const COUNTED = new Set([
  ...['A', 'AAAA', 'MX', 'SOA', 'CNAME', 'PTR', 'TXT', 'NS', 'SRV', 'DS', 'DNSKEY', 'RRSIG', 'NSEC', 'NSEC3', 'HTTPS'],
  ...['IXFR', 'AXFR', 'ANY'],
]);

interface RequestSeries {
  readonly total: Series;
  readonly size: HistogramSeries;
  readonly duration: HistogramSeries;
  readonly responseSize: HistogramSeries;
}

export class Monitor {
  readonly #clock: Clock;
  readonly #server: string;
  readonly #zone: string;
  readonly #total: Vector;
  readonly #duration: Histogram;
  readonly #size: Histogram;
  readonly #do: Series;
  readonly #responseSize: Histogram;
  readonly #responses: Vector;
  readonly #requestSeries = new Map<number, RequestSeries>();
  readonly #responseSeries = new Map<string, Series>();

  constructor(metrics: Registry, clock: Clock, server: string, zone: string) {
    this.#clock = clock;
    this.#server = server;
    this.#zone = zone;
    const base = ['server', 'zone', 'view'];
    const help = 'Counter of DNS requests made per zone, protocol and family.';
    this.#total = metrics.counter('coredns_dns_requests_total', help, [...base, 'proto', 'family', 'type']);
    const duration = 'Histogram of the time (in seconds) each request took per zone.';
    this.#duration = metrics.histogram('coredns_dns_request_duration_seconds', duration, DURATIONS, base);
    const size = 'Size of the EDNS0 UDP buffer in bytes (64K for TCP) per zone and protocol.';
    this.#size = metrics.histogram('coredns_dns_request_size_bytes', size, SIZES, [...base, 'proto']);
    const counter = metrics.counter(
      'coredns_dns_do_requests_total',
      'Counter of DNS requests with DO bit set per zone.',
      base,
    );
    this.#do = counter.with(server, zone);
    const sizes = 'Size of the returned response in bytes.';
    this.#responseSize = metrics.histogram('coredns_dns_response_size_bytes', sizes, SIZES, [...base, 'proto']);
    const responses = 'Counter of response status codes.';
    this.#responses = metrics.counter('coredns_dns_responses_total', responses, [...base, 'rcode', 'plugin']);
  }

  handler(next: Handler | undefined): Handler {
    return (request, writer) => {
      const recorder = new Recorder(writer, this, request);
      const startUs = this.#clock.nowUs();
      return afterwards(
        () => nextOrFailure('prometheus', next, request, recorder),
        (rcode, error) => {
          this.#report(request, recorder, rcode, startUs);
          if (error !== undefined) throw error;
          return rcode;
        },
      );
    };
  }

  /** What counts the reply when it is given again without asking. */
  counterFor(request: Request, reply: Reply): HitCounter {
    const series = this.#seriesOf(request);
    const size = this.#size.bucketOf(request.size);
    const responses = this.#responsesOf(reply.rcode, reply.plugin);
    const dnssecOk = request.dnssecOk ? this.#do : undefined;
    const [duration, responseSize] = [this.#duration, this.#responseSize];
    return {
      hit(bytes, seconds) {
        series.total.value++;
        if (dnssecOk !== undefined) dnssecOk.value++;
        series.size.counts[size]!++;
        series.size.sum += request.size;
        duration.observe(series.duration, seconds);
        responseSize.observe(series.responseSize, bytes);
        responses.value++;
      },
    };
  }

  #report(request: Request, recorder: Recorder, rcode: number, startUs: number): void {
    const series = this.#seriesOf(request);
    series.total.value++;
    if (request.dnssecOk) this.#do.value++;
    this.#size.observe(series.size, request.size);
    this.#duration.observe(series.duration, (this.#clock.nowUs() - startUs) / 1e6);
    this.#responseSize.observe(series.responseSize, recorder.bytes);
    const { reply } = recorder;
    this.#responsesOf(reply?.rcode ?? rcode, reply?.plugin ?? '').value++;
  }

  #seriesOf(request: Request): RequestSeries {
    const { origin, question } = request;
    const isTcp = origin.proto === 'tcp';
    const isV6 = origin.address.includes(':');
    const key = (question.type << 2) | (isTcp ? 1 : 0) | (isV6 ? 2 : 0);
    let series = this.#requestSeries.get(key);
    if (series !== undefined) return series;
    const text = typeText(question.type);
    const base = [this.#server, this.#zone, ''] as const;
    series = {
      total: this.#total.with(...base, origin.proto, isV6 ? '2' : '1', COUNTED.has(text) ? text : 'other'),
      size: this.#size.with(...base, origin.proto),
      duration: this.#duration.with(...base),
      responseSize: this.#responseSize.with(...base, origin.proto),
    };
    this.#requestSeries.set(key, series);
    return series;
  }

  #responsesOf(rcode: number, plugin: string): Series {
    const key = `${rcode} ${plugin}`;
    let series = this.#responseSeries.get(key);
    if (series !== undefined) return series;
    series = this.#responses.with(this.#server, this.#zone, '', rcodeText(rcode), plugin);
    this.#responseSeries.set(key, series);
    return series;
  }
}

class Recorder implements ResponseWriter {
  readonly #inner: ResponseWriter;
  readonly #monitor: Monitor;
  readonly #request: Request;
  reply: Reply | undefined;
  bytes = 0;

  constructor(inner: ResponseWriter, monitor: Monitor, request: Request) {
    this.#inner = inner;
    this.#monitor = monitor;
    this.#request = request;
  }

  write(reply: Reply): number {
    this.reply = reply;
    const { lasting } = reply;
    if (lasting === undefined) {
      this.bytes = this.#inner.write(reply);
      return this.bytes;
    }
    const counters = [...lasting.counters, this.#monitor.counterFor(this.#request, reply)];
    this.bytes = this.#inner.write({ ...reply, lasting: { ...lasting, counters } });
    return this.bytes;
  }
}
