// The lo device's link, after drivers/net/loopback.c: what is sent comes back, as a packet received, in the next turn of the
// breath. It keeps its connection (skb.ct), as Linux keeps skb->_nfct: the addresses it carries now may be the translated
// ones, which a fresh lookup would not find. Bounded like the backlog it stands for.
import type { Breath, Pollable } from '../../lib/breath.ts';
import { LINK_F_CSUM, LINK_F_TSO4, LINK_F_USO4, type Link, type LinkReceiver } from '../../tcpip-ts/link.ts';
import type { Skb } from '../../tcpip-ts/skb.ts';
import type { Conntrack } from '../netfilter/conntrack/conntrack.ts';
import { DropReason } from './drop-reason.ts';
import type { Drops } from './drops.ts';

/** net.core.netdev_max_backlog. */
const MAX_QUEUED = 1000;

export class LoopbackLink implements Link, Pollable {
  readonly kind = 'ip';
  readonly mtu = 65535;
  readonly features = LINK_F_CSUM | LINK_F_TSO4 | LINK_F_USO4;
  readonly #breath: Breath;
  readonly #conntrack: Conntrack;
  readonly #drops: Drops;
  #receiver: LinkReceiver | null = null;
  #head: Skb | null = null;
  #last: Skb | null = null;
  #queued = 0;

  constructor(breath: Breath, conntrack: Conntrack, drops: Drops) {
    this.#breath = breath;
    this.#conntrack = conntrack;
    this.#drops = drops;
  }

  attach(receiver: LinkReceiver): void {
    this.#receiver = receiver;
  }

  transmit(skb: Skb): void {
    if (this.#queued >= MAX_QUEUED) {
      this.#drops.drop(skb, DropReason.CPU_BACKLOG);
      return;
    }
    if (skb.ct !== 0) this.#conntrack.hold(skb.ct);
    skb.next = null;
    if (this.#last) this.#last.next = skb;
    else this.#head = skb;
    this.#last = skb;
    this.#queued++;
    this.#breath.wake();
  }

  poll(budget: number): number {
    // Not what is sent while this runs: that waits for the next round.
    const n = Math.min(budget, this.#queued);
    for (let i = 0; i < n; i++) {
      const skb = this.#take();
      const { ct } = skb;
      const pass = this.#conntrack.beginPass();
      if (this.#receiver) this.#receiver.receive(skb);
      else skb.free();
      if (ct !== 0) this.#conntrack.release(ct);
      this.#conntrack.endPass(pass);
    }
    return n;
  }

  flush(): void {}

  close(): void {
    while (this.#queued > 0) {
      const skb = this.#take();
      if (skb.ct !== 0) this.#conntrack.release(skb.ct);
      skb.free();
    }
  }

  #take(): Skb {
    const skb = this.#head!;
    this.#head = skb.next;
    if (!this.#head) this.#last = null;
    skb.next = null;
    this.#queued--;
    return skb;
  }
}
