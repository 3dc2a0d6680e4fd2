// What is in flight: one record per segment (or super-segment) sent and not yet acknowledged, in lists ordered by sequence
// number, one list a connection. All records of a layer live in one set of typed arrays with a free list, so that sending
// allocates nothing and an idle connection costs nothing. This is Linux's retransmit queue and SACK scoreboard in one.
// `sentUs` is the microsecond clock as int32: differences hold for 35 minutes.
//
// Flags, with the sums kept by the connection (recovery.ts):
//   SACKED   the peer holds it (RFC 2018)             LOST     deemed lost; RETRANS set again once it was resent
//   RETRANS  a retransmission of it is under way      EVER     was retransmitted: no RTT sample from it (Karn)
//   FIN      its last sequence number is our FIN
import { SEGMENTS_MAX } from './tunables.ts';

export const SEG_SACKED = 1;
export const SEG_LOST = 2;
export const SEG_RETRANS = 4;
export const SEG_EVER = 8;
export const SEG_FIN = 16;

export const NO_SEGMENT = -1;

export class SegmentTable {
  seq: Int32Array;
  end: Int32Array;
  sentUs: Int32Array;
  flags: Uint8Array;
  next: Int32Array;
  prev: Int32Array;
  #free = NO_SEGMENT;
  #used = 0;
  /** Records never used yet start here. */
  #fresh = 0;

  constructor(capacity = 256) {
    this.seq = new Int32Array(capacity);
    this.end = new Int32Array(capacity);
    this.sentUs = new Int32Array(capacity);
    this.flags = new Uint8Array(capacity);
    this.next = new Int32Array(capacity);
    this.prev = new Int32Array(capacity);
  }

  get used(): number {
    return this.#used;
  }

  /** An unlinked record, or NO_SEGMENT when SEGMENTS_MAX are in use: the caller does not send. */
  alloc(seq: number, end: number, sentUs: number, flags: number): number {
    let i = this.#free;
    if (i !== NO_SEGMENT) {
      this.#free = this.next[i]!;
    } else {
      if (this.#fresh === this.seq.length) {
        if (this.#fresh >= SEGMENTS_MAX) return NO_SEGMENT;
        this.#grow();
      }
      i = this.#fresh++;
    }
    this.#used++;
    this.seq[i] = seq;
    this.end[i] = end;
    this.sentUs[i] = sentUs;
    this.flags[i] = flags;
    this.next[i] = NO_SEGMENT;
    this.prev[i] = NO_SEGMENT;
    return i;
  }

  free(i: number): void {
    this.#used--;
    this.next[i] = this.#free;
    this.#free = i;
  }

  /** Frees a whole list. */
  freeList(head: number): void {
    while (head !== NO_SEGMENT) {
      const next = this.next[head]!;
      this.free(head);
      head = next;
    }
  }

  /**
   * Cuts record `i` at `at`, strictly inside it; the new record after it gets the rest, with the same flags (FIN moves) and
   * time. Returns it, or NO_SEGMENT. The caller fixes its tail when `i` was it.
   */
  split(i: number, at: number): number {
    const rest = this.alloc(at, this.end[i]!, this.sentUs[i]!, this.flags[i]!);
    if (rest === NO_SEGMENT) return NO_SEGMENT;
    this.flags[i]! &= ~SEG_FIN;
    this.end[i] = at;
    const after = this.next[i]!;
    this.next[rest] = after;
    this.prev[rest] = i;
    this.next[i] = rest;
    if (after !== NO_SEGMENT) this.prev[after] = rest;
    return rest;
  }

  #grow(): void {
    this.seq = doubled(this.seq);
    this.end = doubled(this.end);
    this.sentUs = doubled(this.sentUs);
    this.next = doubled(this.next);
    this.prev = doubled(this.prev);
    const flags = new Uint8Array(this.flags.length * 2);
    flags.set(this.flags);
    this.flags = flags;
  }
}

function doubled(a: Int32Array): Int32Array {
  const b = new Int32Array(a.length * 2);
  b.set(a);
  return b;
}
