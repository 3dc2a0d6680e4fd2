// What the what-if engine asks of a balancer of virtual servers: who a packet would get, and why. The emulated kernel's IPVS answers for
// IPv4 (ipvs.ts), the rules held for IPv6 for the other family (ip6/ipvs.ts).
import type { IpAddress } from '../../tcpip-ts/wire/ip-address.ts';
import type { Flow } from './flow.ts';

/** A real server with the share of such packets that it gets. */
export interface BalancedShare {
  readonly addr: IpAddress;
  readonly port: number;
  /** As ipvsadm-save has it. */
  readonly text: string;
  readonly probability: number;
}

export interface Balancing {
  /** As ipvsadm-save has it. */
  readonly service: string;
  /** `10.96.0.10:53/udp`. */
  readonly name: string;
  readonly shares: readonly BalancedShare[];
  /** The clause for it. */
  readonly why: string;
}

/** Who a packet would get; undefined when it is for no virtual server. */
export interface Balancer {
  balance(flow: Flow): Balancing | undefined;
}

/** `rr picks one of 3 real servers`. */
export function reasonOf(scheduler: string, n: number): string {
  return `${scheduler} picks ${n === 1 ? 'the one real server it can' : `one of ${n} real servers`}`;
}
