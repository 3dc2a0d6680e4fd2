// Two whole stacks, 10.0.0.1 and 10.0.0.2, on one Ethernet wire and one virtual clock.
import { VirtualClock } from '../../src/lib/clock.ts';
import { SeededRng } from '../../src/lib/rng.ts';
import { SkbPool } from '../../src/tcpip-ts/skb.ts';
import { Stack } from '../../src/tcpip-ts/stack.ts';
import { ipv4 } from '../../src/tcpip-ts/wire/address.ts';
import { Wire, type WireOptions } from './wire.ts';

export class TwoStacks {
  readonly clock = new VirtualClock();
  readonly pool = new SkbPool(512);
  readonly wire: Wire;
  readonly a: Stack;
  readonly b: Stack;

  constructor(options: WireOptions & { readonly seed?: number } = {}) {
    this.wire = new Wire(this.clock, { delayUs: 500, ...options, pool: this.pool });
    this.wire.record = false;
    const { clock, pool } = this;
    const rng = new SeededRng(options.seed ?? 1);
    this.a = new Stack({ clock, rng, pool });
    this.b = new Stack({ clock, rng, pool });
    this.a.addInterface(this.wire.a, { addr: ipv4('10.0.0.1'), prefixLen: 24 });
    this.b.addInterface(this.wire.b, { addr: ipv4('10.0.0.2'), prefixLen: 24 });
  }

  close(): void {
    this.a.close();
    this.b.close();
  }
}
