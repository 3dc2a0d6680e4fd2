// What one asks of the what-if engine and what it answers: the JSON of `podwire trace -o json`. Addresses are dotted text
// here, this being an edge.

export interface TraceQuestion {
  /** The sender's address: a Pod's, a Node's own, or any other for someone outside. */
  readonly from: string;
  /** Any port when absent. */
  readonly fromPort?: number;
  /** Name of the device that the packet comes in by; found by the route back to `from` when absent. */
  readonly inDevice?: string;
  readonly to: string;
  /** Needed for all but icmp. */
  readonly toPort?: number;
  readonly protocol: 'tcp' | 'udp' | 'sctp' | 'icmp';
}

/**
 * DNAT: a proxy sends it to one of `endpoints`. NONE: no proxy touches it; it is routed on, or for this host's own sockets.
 * REJECT: answered with an ICMP error. DROP: lost silently. ACCEPT: let through to this host's sockets by a rule. LOCAL: for
 * this host's sockets because a proxy gave it that address (kube-ipvs0).
 */
export type TraceVerdict = (typeof VERDICTS)[number];
export const VERDICTS = ['DNAT', 'NONE', 'REJECT', 'DROP', 'ACCEPT', 'LOCAL'] as const;

export interface TraceEndpoint {
  readonly address: string;
  readonly port: number;
  /** Over many new connections from this source; 1 when only one is possible. */
  readonly probability: number;
}

export interface TraceHop {
  readonly node: string;
  /** `PREROUTING`, `ROUTING`, `INPUT`, `IPVS`, `FORWARD`, `OUTPUT`, `POSTROUTING`, `TRANSMIT`, `LOCAL`. */
  readonly stage: string;
  /** What decided, in the real tool's own syntax (iptables-save, ipvsadm-save, ip route); '' when nothing matched. */
  readonly rule: string;
  readonly action: string;
  /** The flow as `10.244.0.5:40000 > 10.96.0.10:53 udp`; `*` for a port that is not known or may be one of several. */
  readonly before: string;
  readonly after: string;
}

export interface TraceAnswer {
  readonly verdict: TraceVerdict;
  readonly endpoints: readonly TraceEndpoint[];
  /**
   * Whether the source is rewritten to an address of the Node's. An endpoint that is the sender itself always has it rewritten;
   * that counts only when there is no other endpoint.
   */
  readonly masquerade: boolean;
  readonly hops: readonly TraceHop[];
  /** The way back of the answer, from the first endpoint. */
  readonly reply: readonly TraceHop[];
  /** One sentence. */
  readonly reason: string;
}
