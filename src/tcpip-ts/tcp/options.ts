// TCP options: parsing into the reused SegmentInfo, and emitting (RFC 9293 3.2; window scale and timestamps RFC 7323; SACK
// RFC 2018). Unknown options are skipped by their length; a bad length ends parsing and keeps what came before, as Linux.
// Leaves out: authentication (2385, 5925), multipath, fast open, the user timeout option (5482; the timeout itself is there).
import { get16, put16, put32 } from '../wire/bytes.ts';
import { getSeq } from './seq.ts';
import { MSS_DEFAULT, WSCALE_MAX } from './tunables.ts';

const OPT_EOL = 0;
const OPT_NOP = 1;
const OPT_MSS = 2;
const OPT_WSCALE = 3;
const OPT_SACK_PERMITTED = 4;
const OPT_SACK = 5;
const OPT_TIMESTAMP = 8;

/** The aligned timestamp option: two no-ops and ten bytes. */
export const TIMESTAMP_LEN = 12;
const TIMESTAMP_HEAD = 0x0101080a;

/** One arrived segment, parsed. A layer has one, filled anew for each. */
export class SegmentInfo {
  seq = 0;
  ack = 0;
  flags = 0;
  /** Not scaled. */
  window = 0;
  /** The ECN field of the IP header. */
  ecn = 0;
  /** Payload: offset in `bytes` and length. */
  bytes: Uint8Array = new Uint8Array(0);
  data = 0;
  len = 0;
  /** Sequence number after payload, SYN and FIN. */
  end = 0;
  /** Payload of each segment that the link put together in this one; `len` for a plain segment. */
  gsoSize = 0;
  // Options.
  mss = MSS_DEFAULT;
  /** -1: not offered. */
  wscale = -1;
  sackOk = false;
  hasTs = false;
  tsVal = 0;
  tsEcr = 0;
  sackBlocks = 0;
  /** start, end of each block. */
  readonly sack = new Int32Array(8);
}

/** Reads the options in b[from, to) into `out`, whose option fields are reset first. */
export function parseOptions(b: Uint8Array, from: number, to: number, out: SegmentInfo): void {
  out.mss = MSS_DEFAULT;
  out.wscale = -1;
  out.sackOk = false;
  out.hasTs = false;
  out.sackBlocks = 0;
  let o = from;
  // What nearly every segment carries: just the timestamp, aligned.
  if (to - from === TIMESTAMP_LEN && getSeq(b, o) === TIMESTAMP_HEAD) {
    out.hasTs = true;
    out.tsVal = getSeq(b, o + 4);
    out.tsEcr = getSeq(b, o + 8);
    return;
  }
  while (o < to) {
    const kind = b[o]!;
    if (kind === OPT_EOL) return;
    if (kind === OPT_NOP) {
      o++;
      continue;
    }
    if (o + 1 >= to) return;
    const length = b[o + 1]!;
    if (length < 2 || o + length > to) return;
    if (kind === OPT_MSS && length === 4) {
      const mss = get16(b, o + 2);
      if (mss > 0) out.mss = mss;
    } else if (kind === OPT_WSCALE && length === 3) {
      out.wscale = Math.min(b[o + 2]!, WSCALE_MAX);
    } else if (kind === OPT_SACK_PERMITTED && length === 2) {
      out.sackOk = true;
    } else if (kind === OPT_TIMESTAMP && length === 10) {
      out.hasTs = true;
      out.tsVal = getSeq(b, o + 2);
      out.tsEcr = getSeq(b, o + 6);
    } else if (kind === OPT_SACK && length >= 10 && (length - 2) % 8 === 0) {
      const n = Math.min(4, (length - 2) / 8);
      for (let i = 0; i < n * 2; i++) out.sack[i] = getSeq(b, o + 2 + i * 4);
      out.sackBlocks = n;
    }
    o += length;
  }
}

/** The options of a SYN or SYN-ACK; those not wanted are -1 or false. Returns their length, a multiple of four. */
export function putSynOptions(
  b: Uint8Array,
  o: number,
  mss: number,
  wscale: number,
  sackOk: boolean,
  hasTs: boolean,
  tsVal: number,
  tsEcr: number,
): number {
  const from = o;
  put32(b, o, (OPT_MSS << 24) | (4 << 16) | mss);
  o += 4;
  if (hasTs) {
    // SACK-permitted takes the place of the two no-ops, as Linux lays it out.
    put32(b, o, sackOk ? (OPT_SACK_PERMITTED << 24) | (2 << 16) | 0x080a : TIMESTAMP_HEAD);
    put32(b, o + 4, tsVal);
    put32(b, o + 8, tsEcr);
    o += TIMESTAMP_LEN;
  } else if (sackOk) {
    put32(b, o, 0x0101_0000 | (OPT_SACK_PERMITTED << 8) | 2);
    o += 4;
  }
  if (wscale >= 0) {
    put32(b, o, 0x0100_0000 | (OPT_WSCALE << 16) | (3 << 8) | wscale);
    o += 4;
  }
  return o - from;
}

export function putTimestamp(b: Uint8Array, o: number, tsVal: number, tsEcr: number): void {
  put32(b, o, TIMESTAMP_HEAD);
  put32(b, o + 4, tsVal);
  put32(b, o + 8, tsEcr);
}

/** Bytes that `n` SACK blocks take, padding included. */
export function sackLen(n: number): number {
  return n === 0 ? 0 : 4 + 8 * n;
}

/** The first `n` blocks (start, end words); returns the length. */
export function putSack(b: Uint8Array, o: number, blocks: Int32Array, n: number): number {
  if (n === 0) return 0;
  put16(b, o, 0x0101);
  b[o + 2] = OPT_SACK;
  b[o + 3] = 2 + 8 * n;
  for (let i = 0; i < n * 2; i++) put32(b, o + 4 + i * 4, blocks[i]!);
  return sackLen(n);
}
