// An iptables rule as data. From this one tree come the running program (compile.ts, walked by
// table.ts) and the iptables-save text (save.ts).
// Addresses are host-order numbers. `invert` is the `!` before the match.

/** SNAT and DNAT: the connection's source or destination is rewritten. */
export type CtState = 'NEW' | 'ESTABLISHED' | 'RELATED' | 'INVALID' | 'UNTRACKED' | 'SNAT' | 'DNAT';

export type Match =
  | {
      readonly kind: 'source' | 'destination';
      readonly addr: number;
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
  /** `-m tcp` alone, without ports: only text. */
  | { readonly kind: 'transport' }
  | { readonly kind: 'comment'; readonly text: string };

export type Target =
  | { readonly kind: 'ACCEPT' | 'DROP' | 'RETURN' }
  | { readonly kind: 'jump' | 'goto'; readonly chain: string }
  | { readonly kind: 'REJECT'; readonly rejectWith: 'icmp-port-unreachable' | 'tcp-reset' }
  /** mark = (mark & ~mask) ^ value, as -j MARK --set-xmark value/mask. */
  | { readonly kind: 'MARK'; readonly value: number; readonly mask: number }
  | { readonly kind: 'MASQUERADE'; readonly randomFully: boolean }
  | { readonly kind: 'DNAT'; readonly addr: number; readonly port: number };

export interface Rule {
  readonly matches: readonly Match[];
  /** Without a target the rule only counts. */
  readonly target?: Target;
}

export interface Chain {
  readonly name: string;
  /** Built-in chains only. */
  readonly policy?: 'ACCEPT' | 'DROP';
  readonly rules: readonly Rule[];
}

export type TableName = 'filter' | 'nat' | 'mangle' | 'raw';
