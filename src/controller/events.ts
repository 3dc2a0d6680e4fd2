// Events: what the controllers did to an object and why, as `kubectl describe` shows it. After client-go
// tools/record/{event.go,events_cache.go} (1.32): a repeated event counts up (dedup), the eleventh different message of one
// kind within ten minutes becomes one combined event (aggregation), and an object has a budget of 25 events, refilled with
// one every five minutes (spam filter). Recording never fails and never waits.
// Deviation: the scheduler of Kubernetes records through events.k8s.io; ours uses these too.
import type { Event, ObjectReference } from '../api/core-v1.ts';
import type { KubeObject } from '../api/meta.ts';
import { EVENTS } from '../api/resources.ts';
import { isStatus } from '../api/status-error.ts';
import { formatTime } from '../api/time.ts';
import type { ControllerOptions } from './options.ts';

const AGGREGATE_AFTER = 10; // different messages
const AGGREGATE_WINDOW_US = 600e6;
const SPAM_BURST = 25;
const SPAM_REFILL_US = 300e6;
const MAX_KEYS = 4096; // client-go's LRU size; the oldest go first

interface Similar {
  readonly messages: Set<string>;
  lastUs: number;
}

interface Budget {
  tokens: number;
  lastUs: number;
}

interface Recorded {
  readonly namespace: string;
  readonly name: string;
  count: number;
  /** Writes to one Event follow each other. */
  pending: Promise<void>;
}

export class EventRecorder {
  readonly #options: ControllerOptions;
  readonly #component: string;
  readonly #host: string | undefined;
  readonly #recorded = new Map<string, Recorded>();
  readonly #similar = new Map<string, Similar>();
  readonly #budgets = new Map<string, Budget>();
  #lastNs = 0n;

  /** `host` is the node's name for a kubelet, nothing for the control plane. */
  constructor(options: ControllerOptions, component: string, host?: string) {
    this.#options = options;
    this.#component = component;
    this.#host = host;
  }

  normal(object: KubeObject, reason: string, message: string): void {
    this.event(object, 'Normal', reason, message);
  }

  warning(object: KubeObject, reason: string, message: string): void {
    this.event(object, 'Warning', reason, message);
  }

  /** `fieldPath`: the part of the object it is about, `spec.containers{web}`. */
  event(object: KubeObject, type: 'Normal' | 'Warning', reason: string, message: string, fieldPath?: string): void {
    const involved: ObjectReference = {
      kind: object.kind,
      ...(object.metadata.namespace ? { namespace: object.metadata.namespace } : {}),
      name: object.metadata.name!,
      ...(object.metadata.uid ? { uid: object.metadata.uid } : {}),
      apiVersion: object.apiVersion,
      ...(object.metadata.resourceVersion ? { resourceVersion: object.metadata.resourceVersion } : {}),
      ...(fieldPath ? { fieldPath } : {}),
    };
    const subject = `${involved.kind}/${involved.namespace ?? ''}/${involved.name}/${involved.uid ?? ''}/${fieldPath ?? ''}`;
    if (!this.#withinBudget(subject)) return;
    const kind = `${subject}/${type}/${reason}`;
    const combined = this.#isOneTooMany(kind, message);
    const key = combined ? kind : `${kind}/${message}`;
    const text = combined ? `(combined from similar events): ${message}` : message;

    const before = this.#recorded.get(key);
    if (before) {
      before.count++;
      before.pending = before.pending.then(() => this.#countUp(before, text));
      return;
    }
    const namespace = involved.namespace ?? 'default';
    const name = `${involved.name}.${this.#stamp()}`;
    const now = formatTime(this.#options.clock.unixMs());
    const event: Event = {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name, namespace },
      involvedObject: involved,
      reason,
      message: text,
      source: { component: this.#component, ...(this.#host ? { host: this.#host } : {}) },
      firstTimestamp: now,
      lastTimestamp: now,
      count: 1,
      type,
      eventTime: null,
      reportingComponent: this.#component,
      reportingInstance: this.#host ?? '',
    };
    const recorded: Recorded = { namespace, name, count: 1, pending: Promise.resolve() };
    recorded.pending = this.#write(this.#options.client.create(EVENTS, event));
    remember(this.#recorded, key, recorded);
  }

  async #countUp(recorded: Recorded, message: string): Promise<void> {
    const lastTimestamp = formatTime(this.#options.clock.unixMs());
    await this.#write(
      this.#options.client.patch(EVENTS, recorded.namespace, recorded.name, 'merge', {
        count: recorded.count,
        lastTimestamp,
        message,
      }),
    );
  }

  /** A namespace that goes away takes its events with it. */
  async #write(work: Promise<unknown>): Promise<void> {
    try {
      await work;
    } catch (error) {
      if (isStatus(error, 'NotFound') || isStatus(error, 'Forbidden')) return;
      this.#options.onError?.(error, 'record event');
    }
  }

  #isOneTooMany(kind: string, message: string): boolean {
    const nowUs = this.#options.clock.nowUs();
    let similar = this.#similar.get(kind);
    if (!similar || nowUs - similar.lastUs > AGGREGATE_WINDOW_US) similar = { messages: new Set(), lastUs: nowUs };
    similar.lastUs = nowUs;
    similar.messages.add(message);
    remember(this.#similar, kind, similar);
    return similar.messages.size > AGGREGATE_AFTER;
  }

  #withinBudget(subject: string): boolean {
    const nowUs = this.#options.clock.nowUs();
    const budget = this.#budgets.get(subject) ?? { tokens: SPAM_BURST, lastUs: nowUs };
    budget.tokens = Math.min(SPAM_BURST, budget.tokens + (nowUs - budget.lastUs) / SPAM_REFILL_US);
    budget.lastUs = nowUs;
    remember(this.#budgets, subject, budget);
    if (budget.tokens < 1) return false;
    budget.tokens--;
    return true;
  }

  /** Hexadecimal nanoseconds, never the same twice. */
  #stamp(): string {
    // The clock counts milliseconds; below them chance keeps two recorders (the scheduler's, a kubelet's) apart.
    const nowNs =
      BigInt(Math.floor(this.#options.clock.unixMs())) * 1_000_000n + BigInt(this.#options.rng.below(1_000_000));
    this.#lastNs = nowNs > this.#lastNs ? nowNs : this.#lastNs + 1n;
    return this.#lastNs.toString(16);
  }
}

function remember<V>(map: Map<string, V>, key: string, value: V): void {
  map.delete(key);
  map.set(key, value);
  if (map.size > MAX_KEYS) map.delete(map.keys().next().value!);
}
