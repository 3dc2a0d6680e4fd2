// What the parts of the emulated kernel may ask of the whole: the seam that lets IPVS, NAT and the rest live in files of
// their own without knowing the Kernel class. After Linux's `struct net`.
import type { Clock } from '../../lib/clock.ts';
import type { Rng } from '../../lib/rng.ts';
import type { Skb, SkbPool } from '../../tcpip-ts/skb.ts';
import type { Fib } from '../ip/fib.ts';
import type { Conntrack } from '../netfilter/conntrack/conntrack.ts';
import type { NetfilterHooks } from '../netfilter/hooks.ts';
import type { Devices } from './device.ts';
import type { Drops } from './drops.ts';
import type { TracePoints } from './trace.ts';

/** What netfilter may ask of IPVS; null as long as there is none. */
export interface VirtualServers {
  /** Whether the packet is a request that IPVS has given a real server of this virtual server's. */
  isRequestTo: ((skb: Skb, proto: number, vaddr: number, vport: number) => boolean) | null;
}

export interface Net {
  readonly clock: Clock;
  readonly rng: Rng;
  readonly pool: SkbPool;
  readonly devices: Devices;
  readonly fib: Fib;
  readonly hooks: NetfilterHooks;
  readonly conntrack: Conntrack;
  readonly virtualServers: VirtualServers;
  readonly drops: Drops;
  readonly trace: TracePoints;
  /** Monotonic microseconds, read once a breath: what packet code uses. */
  nowUs: number;
  /**
   * Sends a packet that this host makes or redirects (owns skb; IP header complete): routes by its destination, runs
   * LOCAL_OUT and POST_ROUTING, resolves the neighbour, transmits. A packet to a local address loops back to LOCAL_IN.
   */
  localOut(skb: Skb): void;
  /** As localOut without LOCAL_OUT: for a packet that was forwarded by other means. */
  output(skb: Skb): void;
  /** An ICMP error about `skb` to its source, as icmp_send(): rate limited, never about errors; borrows skb. */
  icmpSend(skb: Skb, type: number, code: number, info: number): void;
}
