// What this host sends to itself: a bounded queue that is delivered outside the sender's call, as Linux's loopback device does
// through the backlog, so that no transport is entered while it is sending.
import type { Skb } from '../skb.ts';

export class Loopback {
  readonly #limit: number;
  readonly #deliver: (skb: Skb) => void;
  readonly #defer: (fn: () => void) => void;
  #head: Skb | null = null;
  #tail: Skb | null = null;
  #count = 0;
  #scheduled = false;
  #closed = false;

  /** At most `limit` packets wait: a share of the pool, since each holds a slot. */
  constructor(limit: number, deliver: (skb: Skb) => void, defer: (fn: () => void) => void) {
    this.#limit = limit;
    this.#deliver = deliver;
    this.#defer = defer;
  }

  /** Owns `skb`; false when the queue was full and it was dropped. */
  push(skb: Skb): boolean {
    if (this.#closed || this.#count >= this.#limit) {
      skb.free();
      return false;
    }
    skb.next = null;
    if (this.#tail) this.#tail.next = skb;
    else this.#head = skb;
    this.#tail = skb;
    this.#count++;
    if (!this.#scheduled) {
      this.#scheduled = true;
      this.#defer(this.#drain);
    }
    return true;
  }

  close(): void {
    this.#closed = true;
    for (let skb = this.#shift(); skb; skb = this.#shift()) skb.free();
  }

  readonly #drain = (): void => {
    this.#scheduled = false;
    // What is sent by the receivers meanwhile waits for the next turn, so that the event loop gets its share.
    for (let n = this.#count; n > 0; n--) {
      const skb = this.#shift();
      if (skb) this.#deliver(skb);
    }
    if (this.#count > 0 && !this.#scheduled) {
      this.#scheduled = true;
      this.#defer(this.#drain);
    }
  };

  #shift(): Skb | null {
    const skb = this.#head;
    if (!skb) return null;
    this.#head = skb.next;
    if (!this.#head) this.#tail = null;
    this.#count--;
    skb.next = null;
    return skb;
  }
}
