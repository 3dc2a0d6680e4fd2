// Passes questions to upstream servers (CoreDNS plugin/forward/forward.go): picks one by policy, tries another when it fails,
// leaves out those that health checks found down, and limits how many questions are on their way.
// Deviation: an upstream that fails is tried at most twice for a question; CoreDNS goes on for five seconds.
import type { Clock } from '../../../lib/clock.ts';
import { DURATIONS, type Histogram, type Registry, type Series, type Vector } from '../../../lib/metrics.ts';
import type { Rng } from '../../../lib/rng.ts';
import { RCODE, rcodeText } from '../../constants.ts';
import type { DecodedReply } from '../../message.ts';
import { FLAG_AA, FLAG_AD, FLAG_RA, FLAG_TC } from '../../message-writer.ts';
import { isSubdomain, matchZone } from '../../name.ts';
import {
  errorReply,
  type Handler,
  makeReply,
  nextOrFailure,
  type Request,
  type ResponseWriter,
  type Served,
  ServeError,
} from '../../request.ts';
import type { Upstream } from './upstream.ts';

export interface ForwardOptions {
  readonly from: string;
  readonly except: readonly string[];
  readonly policy: 'random' | 'round_robin' | 'sequential';
  /** Failed health checks after which an upstream counts as down; 0: never. */
  readonly maxFails: number;
  /** 0: no limit. */
  readonly maxConcurrent: number;
  readonly transport: 'as client' | 'udp' | 'tcp';
}

const NAME = 'forward';
const DEADLINE_US = 5_000_000;
const TRIES_PER_UPSTREAM = 2;

export class Forward {
  readonly #options: ForwardOptions;
  readonly #upstreams: readonly Upstream[];
  readonly #clock: Clock;
  readonly #rng: Rng;
  readonly #next: Handler | undefined;
  readonly #requests: Vector;
  readonly #responses: Vector;
  readonly #durations: Histogram;
  readonly #misses: Vector;
  readonly #rejects: Series;
  readonly #broken: Series;
  #concurrent = 0;
  #turn = 0;

  constructor(
    options: ForwardOptions,
    upstreams: readonly Upstream[],
    clock: Clock,
    rng: Rng,
    metrics: Registry,
    next: Handler | undefined,
  ) {
    this.#options = options;
    this.#upstreams = upstreams;
    this.#clock = clock;
    this.#rng = rng;
    this.#next = next;
    this.#requests = metrics.counter('coredns_forward_requests_total', 'Counter of requests made per upstream.', [
      'to',
    ]);
    const durations = 'Histogram of the time each request took.';
    const names = ['proxy_name', 'to', 'rcode'];
    this.#durations = metrics.histogram('coredns_proxy_request_duration_seconds', durations, DURATIONS, names);
    const misses = 'Counter of connection cache misses per upstream and protocol.';
    this.#misses = metrics.counter('coredns_proxy_conn_cache_misses_total', misses, ['proxy_name', 'to', 'proto']);
    const rejects = 'Counter of the number of queries rejected because the concurrent queries were at maximum.';
    this.#rejects = metrics.counter('coredns_forward_max_concurrent_rejects_total', rejects).with();
    const broken = 'Counter of the number of complete failures of the healthchecks.';
    this.#broken = metrics.counter('coredns_forward_healthcheck_broken_total', broken).with();
    this.#responses = metrics.counter(
      'coredns_forward_responses_total',
      'Counter of responses received per upstream.',
      ['to', 'rcode'],
    );
  }

  serve(request: Request, writer: ResponseWriter): Served {
    if (!this.#matches(request.name)) return nextOrFailure('forward', this.#next, request, writer);
    if (this.#upstreams.length === 0)
      throw new ServeError(RCODE.SERVFAIL, 'no nameserver in /etc/resolv.conf to forward to');
    const { maxConcurrent } = this.#options;
    if (maxConcurrent > 0 && this.#concurrent >= maxConcurrent) {
      this.#rejects.value++;
      throw new ServeError(RCODE.REFUSED, `concurrent queries exceeded maximum ${maxConcurrent}`);
    }
    this.#concurrent++;
    return this.#exchange(request, writer).finally(() => {
      this.#concurrent--;
    });
  }

  #matches(name: string): boolean {
    const { from, except } = this.#options;
    return isSubdomain(from, name) && (name === from || matchZone(except, name) === undefined);
  }

  async #exchange(request: Request, writer: ResponseWriter): Promise<number> {
    const order = this.#order();
    const deadlineUs = this.#clock.nowUs() + DEADLINE_US;
    const up = order.filter((upstream) => !upstream.isDown(this.#options.maxFails));
    // With all of them down the checks may be what is broken: one is asked anyway.
    if (up.length === 0) this.#broken.value++;
    const candidates = up.length > 0 ? up : [order[this.#rng.below(order.length)]!];
    let failure: unknown;
    for (let tries = 0; tries < candidates.length * TRIES_PER_UPSTREAM && this.#clock.nowUs() < deadlineUs; tries++) {
      const upstream = candidates[tries % candidates.length]!;
      this.#requests.with(upstream.text).value++;
      let reply: DecodedReply;
      try {
        reply = await this.#ask(upstream, request, deadlineUs);
      } catch (error) {
        failure = error;
        if (this.#options.maxFails > 0) upstream.check();
        if (up.length === 0) break;
        continue;
      }
      this.#responses.with(upstream.text, rcodeText(reply.rcode)).value++;
      if (!answers(reply, request)) {
        writer.write(errorReply(RCODE.FORMERR));
        return 0;
      }
      writer.write(
        makeReply('forward', reply.rcode, {
          authoritative: (reply.flags & FLAG_AA) !== 0,
          truncated: (reply.flags & FLAG_TC) !== 0,
          recursionAvailable: (reply.flags & FLAG_RA) !== 0,
          authenticData: (reply.flags & FLAG_AD) !== 0,
          answer: reply.answer,
          authority: reply.authority,
          additional: reply.additional,
          ...(reply.edns === undefined ? {} : { options: reply.edns.options }),
        }),
      );
      return 0;
    }
    const message = failure instanceof Error ? failure.message : 'no healthy proxies';
    throw new ServeError(RCODE.SERVFAIL, message, { cause: failure });
  }

  async #ask(upstream: Upstream, request: Request, deadlineUs: number): Promise<DecodedReply> {
    const { transport } = this.#options;
    const proto = transport === 'as client' ? request.origin.proto : transport;
    const startUs = this.#clock.nowUs();
    let reply = await this.#exchanged(upstream, request, proto, deadlineUs);
    if (transport === 'udp' && (reply.flags & FLAG_TC) !== 0)
      reply = await this.#exchanged(upstream, request, 'tcp', deadlineUs);
    const series = this.#durations.with(NAME, upstream.text, rcodeText(reply.rcode));
    this.#durations.observe(series, (this.#clock.nowUs() - startUs) / 1e6);
    return reply;
  }

  /** Each exchange has a connection of its own. */
  #exchanged(upstream: Upstream, request: Request, proto: 'udp' | 'tcp', deadlineUs: number): Promise<DecodedReply> {
    this.#misses.with(NAME, upstream.text, proto).value++;
    return upstream.ask(request, proto, deadlineUs);
  }

  #order(): readonly Upstream[] {
    const list = this.#upstreams;
    if (list.length < 2 || this.#options.policy === 'sequential') return list;
    if (this.#options.policy === 'round_robin') {
      const first = this.#turn++ % list.length;
      return [...list.slice(first), ...list.slice(0, first)];
    }
    const order = [...list];
    for (let i = order.length - 1; i > 0; i--) {
      const j = this.#rng.below(i + 1);
      [order[i], order[j]] = [order[j]!, order[i]!];
    }
    return order;
  }
}

function answers(reply: DecodedReply, request: Request): boolean {
  return reply.question?.name.toLowerCase() === request.name && reply.question.type === request.question.type;
}
