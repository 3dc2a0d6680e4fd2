// Keeps replies for as long as their shortest TTL, within bounds, and counts the TTL down while it serves them (CoreDNS
// plugin/cache). Two stores, replies that found something and replies that did not; SERVFAIL is kept for a short while.
//
// A reply goes out with the kept time as the TTL of all its records, also the first time; from the cache with what is left.
// So an address that is gone is served for at most that time. Zones can be left out of either store.
// Deviation: a full store drops its oldest entry, CoreDNS a random one. Times: seconds, from the injected clock.
import type { Clock } from '../../../lib/clock.ts';
import type { Registry, Series } from '../../../lib/metrics.ts';
import type { Epoch, HitCounter } from '../../answer-memo.ts';
import { RCODE } from '../../constants.ts';
import { matchZone } from '../../name.ts';
import {
  afterwards,
  type Handler,
  mustWrite,
  nextOrFailure,
  type Reply,
  ReplyKeeper,
  type Request,
  type ResponseWriter,
  type Served,
} from '../../request.ts';
import { minimalTtl, type ResponseType, responseType } from '../../response-type.ts';

export interface CacheSide {
  capacity: number;
  maxTtlS: number;
  minTtlS: number;
  /** Zones whose replies are not kept. */
  disabled: readonly string[];
}

export interface CacheOptions {
  zones: readonly string[];
  success: CacheSide;
  denial: CacheSide;
  servfailS: number;
  /** Serve the records' own TTLs from the cache instead of counting down. */
  keepTtl: boolean;
  /** Refresh an item that was asked for so often, not `withinUs` apart, when so much of its time is left; undefined: never. */
  prefetch: { readonly amount: number; readonly withinUs: number; readonly percentage: number } | undefined;
  /** Give what has run out for so long, at once and asking anew behind, or only when asking fails; undefined: never. */
  serveStale: { readonly forUs: number; readonly verify: boolean } | undefined;
}

/** What is in the cache does not change. */
const STEADY: Epoch = { version: 0 };

interface Item {
  readonly reply: Reply;
  readonly ttlS: number;
  readonly storedUs: number;
  /** For prefetch: hits in a row, when the last one was, and whether the reply is being asked for anew. */
  hits: number;
  hitUs: number;
  refreshing: boolean;
}

export class Cache {
  readonly #options: CacheOptions;
  readonly #clock: Clock;
  readonly #next: Handler | undefined;
  readonly #success = new Map<string, Item>();
  readonly #denial = new Map<string, Item>();
  readonly #requests: Series;
  readonly #misses: Series;
  readonly #successHits: Series;
  readonly #denialHits: Series;
  readonly #successHit: readonly HitCounter[];
  readonly #denialHit: readonly HitCounter[];
  readonly #miss: readonly HitCounter[];
  readonly #servedStale: Series;
  readonly #prefetches: Series;
  readonly #evictions: { readonly success: Series; readonly denial: Series };
  readonly #successEntries: Series;
  readonly #denialEntries: Series;

  constructor(options: CacheOptions, clock: Clock, metrics: Registry, server: string, next: Handler | undefined) {
    this.#options = options;
    this.#clock = clock;
    this.#next = next;
    const zones = options.zones.join(',');
    const labels = ['server', 'zones', 'view'];
    const typed = ['server', 'type', 'zones', 'view'];
    this.#requests = metrics
      .counter('coredns_cache_requests_total', 'The count of cache requests.', labels)
      .with(server, zones);
    this.#misses = metrics
      .counter(
        'coredns_cache_misses_total',
        'The count of cache misses. Deprecated, derive misses from cache hits/requests counters.',
        labels,
      )
      .with(server, zones);
    const hits = metrics.counter('coredns_cache_hits_total', 'The count of cache hits.', typed);
    this.#successHits = hits.with(server, 'success', zones);
    this.#denialHits = hits.with(server, 'denial', zones);
    this.#successHit = [counting(this.#requests, this.#successHits)];
    this.#denialHit = [counting(this.#requests, this.#denialHits)];
    this.#miss = [counting(this.#requests, this.#misses)];
    this.#servedStale = metrics
      .counter('coredns_cache_served_stale_total', 'The number of requests served from stale cache entries.', labels)
      .with(server, zones);
    this.#prefetches = metrics
      .counter('coredns_cache_prefetch_total', 'The number of times the cache has prefetched a cached item.', labels)
      .with(server, zones);
    const evictions = metrics.counter('coredns_cache_evictions_total', 'The count of cache evictions.', typed);
    this.#evictions = {
      success: evictions.with(server, 'success', zones),
      denial: evictions.with(server, 'denial', zones),
    };
    const entries = metrics.gauge('coredns_cache_entries', 'The number of elements in the cache.', typed);
    this.#successEntries = entries.with(server, 'success', zones);
    this.#denialEntries = entries.with(server, 'denial', zones);
    this.#successEntries.value = this.#denialEntries.value = 0;
  }

  serve(request: Request, writer: ResponseWriter): Served {
    if (matchZone(this.#options.zones, request.name) === undefined)
      return nextOrFailure('cache', this.#next, request, writer);
    this.#requests.value++;
    const key = keyOf(request);
    const nowUs = this.#clock.nowUs();
    let item = fresh(this.#denial.get(key), nowUs);
    if (item !== undefined) {
      this.#denialHits.value++;
    } else {
      item = fresh(this.#success.get(key), nowUs);
      if (item !== undefined) this.#successHits.value++;
    }
    if (item === undefined) {
      const stale = this.#stale(key, nowUs);
      if (stale === undefined) {
        this.#misses.value++;
        return nextOrFailure('cache', this.#next, request, new Keeper(this, request, writer, key));
      }
      this.#servedStale.value++;
      if (this.#options.serveStale!.verify) return this.#verify(request, writer, key, stale);
      this.#refresh(request, key, stale);
      writer.write({ ...stale.reply, ttl: 0, options: undefined, lasting: undefined, plugin: 'cache' });
      return 0;
    }
    const { reply } = item;
    const isCounted = this.#options.prefetch !== undefined;
    if (isCounted) this.#maybePrefetch(request, key, item, nowUs);
    const authenticData = reply.authenticData && (request.dnssecOk || request.authenticData);
    const ttl = this.#options.keepTtl ? item.ttlS : leftS(item, nowUs);
    const lasting = {
      ...{ epoch: STEADY, version: 0, keptUs: item.storedUs, ttlS: item.ttlS, countsDown: !this.#options.keepTtl },
      counters: this.#denial.has(key) ? this.#denialHit : this.#successHit,
    };
    writer.write({
      ...reply,
      ttl,
      authenticData,
      options: undefined,
      lasting: isCounted ? undefined : lasting,
      plugin: 'cache',
    });
    return 0;
  }

  #stale(key: string, nowUs: number): Item | undefined {
    const { serveStale } = this.#options;
    const item = serveStale === undefined ? undefined : (this.#success.get(key) ?? this.#denial.get(key));
    if (item === undefined || responseIsFailure(item.reply)) return undefined;
    return nowUs < item.storedUs + item.ttlS * 1e6 + serveStale!.forUs ? item : undefined;
  }

  /** Asks anew first; what has run out is given when that fails. */
  #verify(request: Request, writer: ResponseWriter, key: string, stale: Item): Served {
    const keeper = new ReplyKeeper();
    const done = (rcode: number, failed: boolean): number => {
      const { reply } = keeper;
      if (!failed && !mustWrite(rcode) && reply !== undefined && !responseIsFailure(reply)) {
        writer.write(this.keep(request, key, reply));
      } else {
        writer.write({ ...stale.reply, ttl: 0, options: undefined, lasting: undefined, plugin: 'cache' });
      }
      return 0;
    };
    return afterwards(
      () => nextOrFailure('cache', this.#next, request, keeper),
      (rcode, error) => done(rcode, error !== undefined),
    );
  }

  #maybePrefetch(request: Request, key: string, item: Item, nowUs: number): void {
    const { amount, withinUs, percentage } = this.#options.prefetch!;
    item.hits = nowUs - item.hitUs < withinUs ? item.hits + 1 : 1;
    item.hitUs = nowUs;
    const threshold = Math.ceil((percentage / 100) * item.ttlS);
    if (item.hits < amount || leftS(item, nowUs) > threshold) return;
    if (!item.refreshing) this.#prefetches.value++;
    this.#refresh(request, key, item);
  }

  /** Asks anew, for the cache only; one question at a time for an item. */
  #refresh(request: Request, key: string, item: Item): void {
    if (item.refreshing) return;
    item.refreshing = true;
    const keeper = new ReplyKeeper();
    const done = (): void => {
      item.refreshing = false;
      if (keeper.reply !== undefined && !responseIsFailure(keeper.reply)) this.keep(request, key, keeper.reply);
    };
    const served = afterwards(
      () => nextOrFailure('cache', this.#next, request, keeper),
      () => 0,
    );
    if (served instanceof Promise) void served.then(done, done);
    else done();
  }

  /** Keeps the reply where it may be kept, and gives it as it goes out. */
  keep(request: Request, key: string, reply: Reply): Reply {
    const type = responseType(request, reply);
    const ttlS = this.#ttlOf(type, reply);
    const authenticData = reply.authenticData && (request.dnssecOk || request.authenticData);
    const none = reply.truncated || ttlS <= 0 || type === 'otherError' || type === 'meta' || type === 'update';
    const success = type === 'noError' || type === 'delegation';
    const side = success ? this.#options.success : this.#options.denial;
    if (none || (side.disabled.length > 0 && matchZone(side.disabled, request.name) !== undefined)) {
      const { lasting } = reply;
      const counted = lasting && { ...lasting, counters: [...lasting.counters, ...this.#miss] };
      return { ...reply, ttl: ttlS, authenticData, lasting: counted };
    }
    const nowUs = this.#clock.nowUs();
    const item: Item = { reply, ttlS, storedUs: nowUs, hits: 0, hitUs: nowUs, refreshing: false };
    if (success) {
      if (store(this.#success, side.capacity, key, item)) this.#evictions.success.value++;
      this.#successEntries.value = this.#success.size;
    } else {
      if (store(this.#denial, side.capacity, key, item)) this.#evictions.denial.value++;
      this.#denialEntries.value = this.#denial.size;
    }
    // The next time it comes from the cache.
    return { ...reply, ttl: ttlS, authenticData, lasting: undefined };
  }

  #ttlOf(type: ResponseType, reply: Reply): number {
    if (type === 'serverError') return this.#options.servfailS;
    const side = type === 'nameError' || type === 'noData' ? this.#options.denial : this.#options.success;
    return Math.min(Math.max(minimalTtl(type, reply), side.minTtlS), side.maxTtlS);
  }
}

class Keeper implements ResponseWriter {
  readonly #cache: Cache;
  readonly #request: Request;
  readonly #inner: ResponseWriter;
  readonly #key: string;

  constructor(cache: Cache, request: Request, inner: ResponseWriter, key: string) {
    this.#cache = cache;
    this.#request = request;
    this.#inner = inner;
    this.#key = key;
  }

  write(reply: Reply): number {
    return this.#inner.write(this.#cache.keep(this.#request, this.#key, reply));
  }
}

function responseIsFailure({ rcode }: Reply): boolean {
  return rcode === RCODE.SERVFAIL || rcode === RCODE.NOTIMP;
}

function keyOf(request: Request): string {
  const { type, class: cls } = request.question;
  return `${request.dnssecOk ? 1 : 0}${request.flags & 0x10} ${cls} ${type} ${request.name}`;
}

function leftS(item: Item, nowUs: number): number {
  return item.ttlS - Math.floor((nowUs - item.storedUs) / 1e6);
}

function fresh(item: Item | undefined, nowUs: number): Item | undefined {
  return item !== undefined && leftS(item, nowUs) > 0 ? item : undefined;
}

function counting(...series: readonly Series[]): HitCounter {
  return {
    hit: () => {
      for (const one of series) one.value++;
    },
  };
}

/** True when another item had to make room. */
function store(map: Map<string, Item>, capacity: number, key: string, item: Item): boolean {
  map.delete(key);
  const oldest = map.size >= capacity ? map.keys().next().value : undefined;
  if (oldest !== undefined) map.delete(oldest);
  map.set(key, item);
  return oldest !== undefined;
}
