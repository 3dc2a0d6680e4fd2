// Sequence numbers (RFC 9293, 3.4) and timestamps (RFC 7323, 5.2): modulo 2^32, compared by signed difference. They are
// kept as int32 (`| 0`), which V8 holds unboxed in object fields; uint32 above 2^31 would be allocated at every store.

export type Seq = number;

/** a - b, as a signed distance. */
export function seqDiff(a: Seq, b: Seq): number {
  return (a - b) | 0;
}

export function seqLt(a: Seq, b: Seq): boolean {
  return ((a - b) | 0) < 0;
}

export function seqLeq(a: Seq, b: Seq): boolean {
  return ((a - b) | 0) <= 0;
}

export function seqGt(a: Seq, b: Seq): boolean {
  return ((a - b) | 0) > 0;
}

export function seqGeq(a: Seq, b: Seq): boolean {
  return ((a - b) | 0) >= 0;
}

export function seqMax(a: Seq, b: Seq): Seq {
  return ((a - b) | 0) >= 0 ? a : b;
}

export function seqMin(a: Seq, b: Seq): Seq {
  return ((a - b) | 0) <= 0 ? a : b;
}

/** A sequence number or timestamp in network order. As int32: get32's unsigned result would be boxed where it is not inlined. */
export function getSeq(b: Uint8Array, o: number): Seq {
  return (b[o]! << 24) | (b[o + 1]! << 16) | (b[o + 2]! << 8) | b[o + 3]!;
}
