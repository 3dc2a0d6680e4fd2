// Two stacks in one process, joined by links in memory whose deliveries this file runs itself: no event loop between two packets, so that a
// measurement is of the stack and nothing else. The real clock; timers get a turn in `breathe`.
import { RealClock } from '../../src/lib/clock.ts';
import { SeededRng } from '../../src/lib/rng.ts';
import { linkPair } from '../../src/tcpip-ts/link-pair.ts';
import { SkbPool } from '../../src/tcpip-ts/skb.ts';
import { Stack } from '../../src/tcpip-ts/stack.ts';
import type { Connection } from '../../src/tcpip-ts/tcp/connection.ts';
import { ipv4 } from '../../src/tcpip-ts/wire/address.ts';

const SERVER = ipv4('10.0.0.2');

export class TwoStacks {
  readonly client: Stack;
  readonly server: Stack;
  readonly pool = new SkbPool(4096);
  /** At most two at a time, one delivery for each direction; the list is not cut, V8 would allocate it anew. */
  #deliveries: (() => void)[] = [];
  #spare: (() => void)[] = [];
  #count = 0;

  constructor(mtu: number, features: number) {
    const clock = new RealClock();
    const defer = (fn: () => void): void => {
      this.#deliveries[this.#count++] = fn;
    };
    const links = linkPair({ mtu, features, queue: 2048, defer });
    const [client, server] = links.map((link, i) => {
      const stack = new Stack({ clock, rng: new SeededRng(i + 1), pool: this.pool });
      stack.addInterface(link, { addr: ipv4(`10.0.0.${i + 1}`), prefixLen: 24 });
      return stack;
    });
    this.client = client!;
    this.server = server!;
  }

  /** Carries packets until none is under way. */
  settle(): void {
    while (this.#count > 0) {
      const now = this.#deliveries;
      const n = this.#count;
      this.#deliveries = this.#spare;
      this.#spare = now;
      this.#count = 0;
      for (let i = 0; i < n; i++) now[i]!();
    }
  }

  /** Lets timers run. */
  async breathe(ms = 0): Promise<void> {
    await new Promise((done) => (ms > 0 ? setTimeout(done, ms) : setImmediate(done)));
    this.settle();
  }

  /** Listens on `port`; `onConnection` gets each server end. */
  listen(port: number, onConnection: (c: Connection) => void): void {
    const listener = this.server.tcp.listen({ port, backlog: 4096 });
    if (typeof listener === 'number') throw new Error(`listen: errno ${-listener}`);
    listener.onConnection = onConnection;
  }

  connect(port: number): Connection {
    const c = this.client.tcp.connect({ daddr: SERVER, dport: port });
    if (typeof c === 'number') throw new Error(`connect: errno ${-c}`);
    return c;
  }

  close(): void {
    this.client.close();
    this.server.close();
    this.settle();
  }
}
