// Lists, then watches, and keeps doing so: the connection between an Informer and the API. After
// k8s.io/client-go/tools/cache/reflector.go: a broken watch resumes from the last revision seen, 410 Gone leads to a new
// list, failures are retried with backoff (800 ms doubling to 30 s; no jitter, the clock may be virtual).
import type { KubeObject, List, ResourceType, Stored } from '../api/meta.ts';
import { StatusError } from '../api/status-error.ts';
import type { Clock, Timer } from '../lib/clock.ts';
import type { ApiClient, ListOptions, Watch, WatchEvent } from './client.ts';

const MIN_BACKOFF_US = 800_000;
const MAX_BACKOFF_US = 30_000_000;

export interface ReflectorSink<T extends KubeObject> {
  /** The complete state: what is not in it no longer exists. */
  replace(list: List<T>): void;
  event(type: 'ADDED' | 'MODIFIED' | 'DELETED', object: Stored<T>): void;
  /** A list or watch failed and will be tried again. */
  failed?(error: unknown): void;
}

export interface ReflectorOptions<T extends KubeObject> extends ListOptions {
  client: ApiClient;
  type: ResourceType<T>;
  clock: Clock;
  sink: ReflectorSink<T>;
}

export class Reflector<T extends KubeObject> {
  readonly #client: ApiClient;
  readonly #type: ResourceType<T>;
  readonly #clock: Clock;
  readonly #sink: ReflectorSink<T>;
  readonly #options: ListOptions;
  #revision = '';
  #backoffUs = MIN_BACKOFF_US;
  #watch: Watch | undefined;
  #timer: Timer | undefined;
  #started = false;
  #closed = false;

  constructor(options: ReflectorOptions<T>) {
    const { client, type, clock, sink, ...rest } = options;
    this.#client = client;
    this.#type = type;
    this.#clock = clock;
    this.#sink = sink;
    this.#options = rest;
  }

  start(): void {
    if (this.#started) return;
    this.#started = true;
    void this.#list();
  }

  close(): void {
    this.#closed = true;
    this.#watch?.close();
    this.#timer?.cancel();
  }

  async #list(): Promise<void> {
    let list: List<T>;
    try {
      list = await this.#client.list(this.#type, this.#options);
    } catch (error) {
      this.#retry(error, () => void this.#list());
      return;
    }
    if (this.#closed) return;
    this.#revision = list.metadata.resourceVersion;
    this.#sink.replace(list);
    this.#follow();
  }

  #follow(): void {
    if (this.#closed) return;
    let ended = false;
    const watch = this.#client.watch(
      this.#type,
      { ...this.#options, resourceVersion: this.#revision, allowWatchBookmarks: true },
      (event: WatchEvent<T>) => {
        if (this.#closed) return;
        this.#backoffUs = MIN_BACKOFF_US;
        this.#revision = event.object.metadata.resourceVersion ?? this.#revision;
        if (event.type !== 'BOOKMARK') this.#sink.event(event.type, event.object);
      },
      (error) => {
        ended = true;
        if (this.#closed) return;
        this.#watch = undefined;
        if (error instanceof StatusError && error.code === 410) {
          // The first relist is immediate; should its watch expire too, the backoff has grown meanwhile.
          this.#retry(error, () => void this.#list(), this.#backoffUs === MIN_BACKOFF_US);
        } else this.#retry(error, () => this.#follow());
      },
    );
    if (!ended) this.#watch = watch;
  }

  #retry(error: unknown, again: () => void, now: boolean = false): void {
    if (this.#closed) return;
    this.#sink.failed?.(error);
    const delayUs = now ? 0 : this.#backoffUs;
    this.#backoffUs = Math.min(this.#backoffUs * 2, MAX_BACKOFF_US);
    this.#timer = this.#clock.after(delayUs, again);
  }
}
