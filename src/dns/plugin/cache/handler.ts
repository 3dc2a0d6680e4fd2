// Keeps replies for as long as their shortest TTL, within bounds, and counts the TTL down while it serves them (CoreDNS
// plugin/cache). Two stores, replies that found something and replies that did not; SERVFAIL is kept for a short while.
//
// A reply goes out with the kept time as the TTL of all its records, also the first time; from the cache with what is left.
// So an address that is gone is served for at most that time. Zones can be left out of either store.
// Deviation: a full store drops its oldest entry, CoreDNS a random one. Times: seconds, from the injected clock.
import type { Clock } from '../../../lib/clock.ts';
import type { Epoch, HitCounter } from '../../answer-memo.ts';
import { matchZone } from '../../name.ts';
import {
  type Handler,
  nextOrFailure,
  type Reply,
  type Request,
  type ResponseWriter,
  type Served,
} from '../../request.ts';
import { minimalTtl, type ResponseType, responseType } from '../../response-type.ts';
import type { Registry, Series } from '../prometheus/registry.ts';

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
}

/** What is in the cache does not change. */
const STEADY: Epoch = { version: 0 };

interface Item {
  readonly reply: Reply;
  readonly ttlS: number;
  readonly storedUs: number;
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
      .counter('coredns_cache_misses_total', 'The count of cache misses.', labels)
      .with(server, zones);
    const hits = metrics.counter('coredns_cache_hits_total', 'The count of cache hits.', typed);
    this.#successHits = hits.with(server, 'success', zones);
    this.#denialHits = hits.with(server, 'denial', zones);
    this.#successHit = [counting(this.#requests, this.#successHits)];
    this.#denialHit = [counting(this.#requests, this.#denialHits)];
    this.#miss = [counting(this.#requests, this.#misses)];
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
      this.#misses.value++;
      return nextOrFailure('cache', this.#next, request, new Keeper(this, request, writer, key));
    }
    const { reply } = item;
    const authenticData = reply.authenticData && (request.dnssecOk || request.authenticData);
    const ttl = this.#options.keepTtl ? item.ttlS : leftS(item, nowUs);
    const lasting = {
      ...{ epoch: STEADY, version: 0, keptUs: item.storedUs, ttlS: item.ttlS, countsDown: !this.#options.keepTtl },
      counters: this.#denial.has(key) ? this.#denialHit : this.#successHit,
    };
    writer.write({ ...reply, ttl, authenticData, options: undefined, lasting, plugin: 'cache' });
    return 0;
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
    const item: Item = { reply, ttlS, storedUs: this.#clock.nowUs() };
    if (success) {
      store(this.#success, side.capacity, key, item);
      this.#successEntries.value = this.#success.size;
    } else {
      store(this.#denial, side.capacity, key, item);
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

function store(map: Map<string, Item>, capacity: number, key: string, item: Item): void {
  map.delete(key);
  if (map.size >= capacity) {
    const oldest = map.keys().next().value;
    if (oldest !== undefined) map.delete(oldest);
  }
  map.set(key, item);
}
