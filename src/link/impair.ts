// A bad wire around any link, after net/sched/sch_netem.c: what is transmitted may be lost, doubled, corrupted, delayed,
// overtaken or held to a rate; what arrives is untouched (wrap both ends for both directions). The same seed and the same
// packets at the same times give the same fate. Waiting packets stand in a heap by due time; one timer serves the first.
// Left out: correlated and burst loss, delay distributions other than uniform, ECN marking, slots.
// A real clock fires no finer than a millisecond; a virtual one is exact.
import type { Clock, Timer } from '../lib/clock.ts';
import type { Rng } from '../lib/rng.ts';
import type { Link, LinkReceiver } from '../tcpip-ts/link.ts';
import type { Skb } from '../tcpip-ts/skb.ts';
import { type LinkCounters, newLinkCounters, TX_BYTES, TX_DROPPED, TX_PACKETS } from './counters.ts';

/** Shares are of packets, 0 to 1, each decided for itself. All off by default. */
export interface Impairment {
  readonly loss?: number;
  readonly duplicate?: number;
  /** One random bit of the packet flips. The link then offers no offloads: a partial checksum would hide the damage. */
  readonly corrupt?: number;
  readonly delayUs?: number;
  /** The delay varies uniformly by this much either way, which reorders by itself when large beside the packet spacing. */
  readonly jitterUs?: number;
  /** Skip the delay and go out at once. Means nothing without a delay. */
  readonly reorder?: number;
  /** Bits a second, link headers counted. */
  readonly rateBps?: number;
  /** Packets that may wait; more are lost. netem's default, 1000. */
  readonly limit?: number;
}

const NETEM_LIMIT = 1000;

export class ImpairedLink implements Link {
  readonly kind: 'ether' | 'ip';
  readonly mtu: number;
  readonly features: number;
  /** Of the transmitting side: TX_DROPPED counts what the wire lost; a duplicate counts as sent. */
  readonly counters: LinkCounters = newLinkCounters();
  readonly #inner: Link;
  readonly #clock: Clock;
  readonly #rng: Rng;
  readonly #impairment: Required<Impairment>;
  readonly #waiting: DueHeap;
  #timer: Timer | null = null;
  #timerDueUs = 0;
  /** When the last packet held to the rate has left. */
  #lineFreeUs = 0;
  #closed = false;

  /** Owns `inner`: closing this closes it. */
  constructor(inner: Link, env: { clock: Clock; rng: Rng }, impairment: Impairment) {
    this.#inner = inner;
    this.#clock = env.clock;
    this.#rng = env.rng;
    this.#impairment = {
      loss: 0,
      duplicate: 0,
      corrupt: 0,
      delayUs: 0,
      jitterUs: 0,
      reorder: 0,
      rateBps: 0,
      limit: NETEM_LIMIT,
      ...impairment,
    };
    this.#waiting = new DueHeap(this.#impairment.limit);
    this.kind = inner.kind;
    this.mtu = inner.mtu;
    this.features = this.#impairment.corrupt > 0 ? 0 : inner.features;
  }

  attach(receiver: LinkReceiver): void {
    this.#inner.attach(receiver);
  }

  transmit(skb: Skb): void {
    if (this.#closed) {
      this.#drop(skb);
      return;
    }
    const lost = this.#happens(this.#impairment.loss);
    const doubled = this.#happens(this.#impairment.duplicate);
    if (lost && !doubled) {
      this.#drop(skb);
      return;
    }
    const copy = doubled && !lost ? skb.pool.clone(skb) : null; // both: of the two, one is lost
    if (copy) this.#schedule(copy);
    this.#schedule(skb);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#timer?.cancel();
    this.#timer = null;
    for (let skb = this.#waiting.pop(); skb; skb = this.#waiting.pop()) this.#drop(skb);
    this.#inner.close();
  }

  #happens(share: number): boolean {
    return share > 0 && this.#rng.float() < share;
  }

  #drop(skb: Skb): void {
    this.counters[TX_DROPPED]!++;
    skb.free();
  }

  #schedule(skb: Skb): void {
    const { corrupt, reorder, rateBps } = this.#impairment;
    if (this.#happens(corrupt)) this.#flipBit(skb);
    const nowUs = this.#clock.nowUs();
    let dueUs = nowUs;
    if (!this.#happens(reorder)) {
      dueUs += this.#delayUs();
      if (rateBps > 0) {
        dueUs = Math.max(dueUs, this.#lineFreeUs) + (this.#length(skb) * 8e6) / rateBps;
        this.#lineFreeUs = dueUs;
      }
    }
    if (dueUs <= nowUs) this.#send(skb);
    else if (this.#waiting.push(dueUs, skb)) this.#arm();
    else this.#drop(skb);
  }

  #delayUs(): number {
    const { delayUs, jitterUs } = this.#impairment;
    if (jitterUs === 0) return delayUs;
    return Math.max(0, delayUs + (this.#rng.float() * 2 - 1) * jitterUs);
  }

  #length(skb: Skb): number {
    return skb.tail - this.#start(skb);
  }

  #start(skb: Skb): number {
    return this.kind === 'ether' ? skb.mh : skb.nh;
  }

  #flipBit(skb: Skb): void {
    skb.bytes[this.#start(skb) + this.#rng.below(this.#length(skb))]! ^= 1 << this.#rng.below(8);
  }

  #send(skb: Skb): void {
    this.counters[TX_PACKETS]!++;
    this.counters[TX_BYTES]! += this.#length(skb);
    this.#inner.transmit(skb);
  }

  #arm(): void {
    const dueUs = this.#waiting.firstDueUs;
    if (this.#timer && this.#timerDueUs <= dueUs) return;
    this.#timer?.cancel();
    this.#timerDueUs = dueUs;
    this.#timer = this.#clock.after(dueUs - this.#clock.nowUs(), this.#onDue);
  }

  readonly #onDue = (): void => {
    this.#timer = null;
    while (this.#waiting.size > 0 && this.#waiting.firstDueUs <= this.#clock.nowUs()) this.#send(this.#waiting.pop()!);
    if (this.#waiting.size > 0) this.#arm();
  };
}

/** A binary min-heap of packets by due time; equal times leave in the order they came. */
class DueHeap {
  readonly #dueUs: Float64Array;
  readonly #order: Float64Array;
  readonly #skbs: (Skb | null)[];
  #size = 0;
  #pushed = 0;

  constructor(limit: number) {
    this.#dueUs = new Float64Array(limit);
    this.#order = new Float64Array(limit);
    this.#skbs = new Array<Skb | null>(limit).fill(null);
  }

  get size(): number {
    return this.#size;
  }

  /** Of the packet that pop() would return; meaningless when empty. */
  get firstDueUs(): number {
    return this.#dueUs[0]!;
  }

  /** False when full. */
  push(dueUs: number, skb: Skb): boolean {
    if (this.#size === this.#skbs.length) return false;
    const order = this.#pushed++;
    let i = this.#size++;
    while (i > 0) {
      const parent = (i - 1) >>> 1;
      if (this.#dueUs[parent]! <= dueUs) break; // an equal one came before
      this.#move(parent, i);
      i = parent;
    }
    this.#put(i, dueUs, order, skb);
    return true;
  }

  pop(): Skb | null {
    if (this.#size === 0) return null;
    const first = this.#skbs[0]!;
    const last = --this.#size;
    const dueUs = this.#dueUs[last]!;
    const order = this.#order[last]!;
    const skb = this.#skbs[last]!;
    this.#skbs[last] = null;
    if (last === 0) return first;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= last) break;
      if (child + 1 < last && this.#before(child + 1, this.#dueUs[child]!, this.#order[child]!)) child++;
      if (!this.#before(child, dueUs, order)) break;
      this.#move(child, i);
      i = child;
    }
    this.#put(i, dueUs, order, skb);
    return first;
  }

  #before(i: number, dueUs: number, order: number): boolean {
    return this.#dueUs[i]! < dueUs || (this.#dueUs[i]! === dueUs && this.#order[i]! < order);
  }

  #move(from: number, to: number): void {
    this.#dueUs[to] = this.#dueUs[from]!;
    this.#order[to] = this.#order[from]!;
    this.#skbs[to] = this.#skbs[from]!;
  }

  #put(i: number, dueUs: number, order: number, skb: Skb): void {
    this.#dueUs[i] = dueUs;
    this.#order[i] = order;
    this.#skbs[i] = skb;
  }
}
