// Two Links joined in memory: what one transmits the other receives, in order, outside the sender's call. For stacks in one
// process, examples and tests; lossless up to the queue's length.
import type { Link, LinkReceiver } from './link.ts';
import type { Skb } from './skb.ts';

export interface LinkPairOptions {
  /** 'ether' by default. */
  readonly kind?: 'ether' | 'ip';
  /** 1500 by default. */
  readonly mtu?: number;
  /** LINK_F_* that both ends take; none by default. */
  readonly features?: number;
  /** Packets under way in each direction beyond which more are dropped; 256 by default. */
  readonly queue?: number;
  /** Runs a function soon, outside the current call; setImmediate by default. On a virtual clock: `(fn) => clock.after(delayUs, fn)`. */
  readonly defer?: (fn: () => void) => void;
}

export function linkPair(options: LinkPairOptions = {}): [Link, Link] {
  const a = new PairEnd(options);
  const b = new PairEnd(options);
  a.peer = b;
  b.peer = a;
  return [a, b];
}

class PairEnd implements Link {
  readonly kind: 'ether' | 'ip';
  readonly mtu: number;
  readonly features: number;
  peer: PairEnd | null = null;
  readonly #limit: number;
  readonly #defer: (fn: () => void) => void;
  #receiver: LinkReceiver | null = null;
  /** Sent by this end and not yet delivered. */
  #head: Skb | null = null;
  #tail: Skb | null = null;
  #count = 0;
  #scheduled = false;
  #closed = false;

  constructor(options: LinkPairOptions) {
    this.kind = options.kind ?? 'ether';
    this.mtu = options.mtu ?? 1500;
    this.features = options.features ?? 0;
    this.#limit = options.queue ?? 256;
    this.#defer = options.defer ?? setImmediate;
  }

  attach(receiver: LinkReceiver): void {
    this.#receiver = receiver;
  }

  transmit(skb: Skb): void {
    if (this.#closed || this.#count >= this.#limit) {
      skb.free();
      return;
    }
    skb.next = null;
    if (this.#tail) this.#tail.next = skb;
    else this.#head = skb;
    this.#tail = skb;
    this.#count++;
    this.#schedule();
  }

  close(): void {
    this.#closed = true;
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#defer(this.#deliver);
  }

  readonly #deliver = (): void => {
    this.#scheduled = false;
    for (let n = this.#count; n > 0; n--) {
      const skb = this.#head!;
      this.#head = skb.next;
      if (!this.#head) this.#tail = null;
      this.#count--;
      this.peer!.#receive(skb);
    }
    if (this.#count > 0) this.#schedule();
  };

  #receive(skb: Skb): void {
    if (this.#closed || !this.#receiver) {
      skb.free();
      return;
    }
    skb.scrub();
    this.#receiver.receive(skb);
  }
}
