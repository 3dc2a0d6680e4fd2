// An iptables rule as data. From this one tree come the running program (compile.ts, walked by
// table.ts) and the iptables-save text (save.ts).
// Addresses (A) are host-order numbers; rules that are held for ip6tables have bigints (wire/ip-address.ts). `invert` is the `!`
// before the match.

/** SNAT and DNAT: the connection's source or destination is rewritten. */
export type CtState = 'NEW' | 'ESTABLISHED' | 'RELATED' | 'INVALID' | 'UNTRACKED' | 'SNAT' | 'DNAT';

export type Match<A = number> =
  | {
      readonly kind: 'source' | 'destination';
      readonly addr: A;
      readonly prefixLen: number;
      readonly invert?: boolean;
    }
  | { readonly kind: 'protocol'; readonly proto: number; readonly invert?: boolean }
  | { readonly kind: 'sport' | 'dport'; readonly first: number; readonly last: number; readonly invert?: boolean }
  | { readonly kind: 'in-interface' | 'out-interface'; readonly name: string; readonly invert?: boolean }
  | { readonly kind: 'addrtype'; readonly side: 'src' | 'dst'; readonly type: 'LOCAL'; readonly invert?: boolean }
  | {
      readonly kind: 'set';
      readonly name: string;
      readonly dims: readonly ('src' | 'dst')[];
      readonly invert?: boolean;
    }
  | { readonly kind: 'mark'; readonly value: number; readonly mask: number; readonly invert?: boolean }
  | { readonly kind: 'ctstate'; readonly states: readonly CtState[]; readonly invert?: boolean }
  /** `--mode random`: true for this part of all packets. */
  | { readonly kind: 'statistic'; readonly probability: number }
  /** `--rcheck --seconds S --reap`: the source was seen by the list in the last S seconds; `--set`: now it is, always true. */
  | { readonly kind: 'recent'; readonly name: string; readonly op: 'set'; readonly seconds?: undefined }
  | { readonly kind: 'recent'; readonly name: string; readonly op: 'rcheck'; readonly seconds: number }
  /** A request that IPVS sends to a real server of this virtual server. */
  | { readonly kind: 'ipvs'; readonly proto: number; readonly vaddr: A; readonly vport: number }
  /** `-m tcp` alone, without ports: only text. */
  | { readonly kind: 'transport' }
  | { readonly kind: 'comment'; readonly text: string };

export type Target<A = number> =
  | { readonly kind: 'ACCEPT' | 'DROP' | 'RETURN' }
  | { readonly kind: 'jump' | 'goto'; readonly chain: string }
  | { readonly kind: 'REJECT'; readonly rejectWith: RejectWith }
  /** mark = (mark & ~mask) ^ value, as -j MARK --set-xmark value/mask. */
  | { readonly kind: 'MARK'; readonly value: number; readonly mask: number }
  | { readonly kind: 'MASQUERADE'; readonly randomFully: boolean }
  | { readonly kind: 'DNAT'; readonly addr: A; readonly port: number };

/** icmp6- in ip6tables. */
export type RejectWith = 'icmp-port-unreachable' | 'icmp6-port-unreachable' | 'tcp-reset';

export interface Rule<A = number> {
  readonly matches: readonly Match<A>[];
  /** Without a target the rule only counts. */
  readonly target?: Target<A>;
}

export interface Chain<A = number> {
  readonly name: string;
  /** Built-in chains only. */
  readonly policy?: 'ACCEPT' | 'DROP';
  readonly rules: readonly Rule<A>[];
}

export type TableName = 'filter' | 'nat' | 'mangle' | 'raw';
