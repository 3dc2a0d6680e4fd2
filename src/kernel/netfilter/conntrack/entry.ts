// A connection as it is told to others, and what they may select connections by: the fields of conntrack(8).

/** What `conntrack -D` can select by; all given fields must fit. The names are conntrack(8)'s long options. */
export interface ConntrackFilter {
  readonly proto?: number;
  readonly origSrc?: number;
  readonly origDst?: number;
  readonly origPortSrc?: number;
  readonly origPortDst?: number;
  readonly replySrc?: number;
  readonly replyDst?: number;
  readonly replyPortSrc?: number;
  readonly replyPortDst?: number;
}

export interface ConntrackTuple {
  readonly proto: number;
  readonly saddr: number;
  readonly daddr: number;
  readonly sport: number;
  readonly dport: number;
}

export interface ConntrackEntry {
  readonly ct: number;
  readonly original: ConntrackTuple;
  readonly reply: ConntrackTuple;
  readonly status: number;
  /** TCP only. */
  readonly state: number;
  readonly timeoutS: number;
  readonly mark: number;
  /** As a line of `conntrack -L`. */
  readonly text: string;
}
