// The Internet checksum (RFC 1071) and its incremental update (RFC 1624, equation 3).
import { get16, put16 } from './bytes.ts';

/** Unfolded one's-complement sum of b[from, to), added to `sum`. Exact for up to 128 KiB: partial sums stay below 2^53. */
export function sumBytes(b: Uint8Array, from: number, to: number, sum: number): number {
  let i = from;
  const whole = from + ((to - from) & ~7);
  // Two 16-bit lanes a step in 32-bit integers would overflow after 64 KiB; doubles hold the plain 32-bit words exactly.
  let high = 0;
  let low = 0;
  for (; i < whole; i += 8) {
    high += (b[i]! << 8) + b[i + 1]! + (b[i + 4]! << 8) + b[i + 5]!;
    low += (b[i + 2]! << 8) + b[i + 3]! + (b[i + 6]! << 8) + b[i + 7]!;
  }
  sum += high + low;
  for (; i + 1 < to; i += 2) sum += (b[i]! << 8) + b[i + 1]!;
  if (i < to) sum += b[i]! << 8;
  return sum;
}

const IS_LITTLE_ENDIAN = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1;
/** Below this the bytes are summed one by one. */
const FEW = 8;

/**
 * As sumBytes for b[from, to), of which `words` is the same memory: 1,480 bytes in 190 ns against 480. A sum does not mind in which
 * order the bytes of its words stand, if that is put right at the end (RFC 1071, 2B); an odd `from` would mix them.
 */
export function sumWords(words: Uint32Array, b: Uint8Array, from: number, to: number, sum: number): number {
  if ((from & 1) !== 0 || to - from < FEW) return sumBytes(b, from, to, sum);
  if ((from & 2) !== 0) {
    sum += (b[from]! << 8) + b[from + 1]!;
    from += 2;
  }
  const end = to >> 2;
  let i = from >> 2;
  let low = 0;
  let high = 0;
  for (; i + 3 < end; i += 4) {
    const w0 = words[i]!;
    const w1 = words[i + 1]!;
    const w2 = words[i + 2]!;
    const w3 = words[i + 3]!;
    low += (w0 & 0xffff) + (w1 & 0xffff) + (w2 & 0xffff) + (w3 & 0xffff);
    high += (w0 >>> 16) + (w1 >>> 16) + (w2 >>> 16) + (w3 >>> 16);
  }
  for (; i < end; i++) {
    low += words[i]! & 0xffff;
    high += words[i]! >>> 16;
  }
  // 64 KiB give less than 2^30 in each.
  const folded = fold32(fold32(low) + fold32(high));
  sum += IS_LITTLE_ENDIAN ? ((folded & 0xff) << 8) | (folded >>> 8) : folded;
  return sumBytes(b, i * 4, to, sum);
}

/** Folds to 16 bits without complementing. */
export function fold(sum: number): number {
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
  return sum;
}

/** The value for a checksum field: complement of the folded sum. */
export function finish(sum: number): number {
  return ~fold(sum) & 0xffff;
}

/** Checksum of b[from, to). Zero when the field inside holds the right value. */
export function checksum(b: Uint8Array, from: number, to: number): number {
  return finish(sumBytes(b, from, to, 0));
}

/** Unfolded sum of the IPv4 pseudo-header: addresses in host order, `length` of header and payload. */
export function pseudoSum(saddr: number, daddr: number, proto: number, length: number): number {
  return (saddr >>> 16) + (saddr & 0xffff) + (daddr >>> 16) + (daddr & 0xffff) + proto + length;
}

/** As fold, for a sum below 2^31 - 2^16: integers all the way, where fold's division makes floating-point numbers of them. */
function fold32(sum: number): number {
  sum = (sum & 0xffff) + (sum >>> 16);
  return (sum & 0xffff) + (sum >>> 16);
}

/** Whether the 20 bytes of a header without options sum up to what they should. */
export function isHeaderSumRight(b: Uint8Array, o: number): boolean {
  const high = b[o]! + b[o + 2]! + b[o + 4]! + b[o + 6]! + b[o + 8]! + b[o + 10]! + b[o + 12]! + b[o + 14]!;
  const low = b[o + 1]! + b[o + 3]! + b[o + 5]! + b[o + 7]! + b[o + 9]! + b[o + 11]! + b[o + 13]! + b[o + 15]!;
  return fold32(((high + b[o + 16]! + b[o + 18]!) << 8) + low + b[o + 17]! + b[o + 19]!) === 0xffff;
}

/** The field at `o` after a covered 16-bit word changed from `was` to `is`. */
export function update16(b: Uint8Array, o: number, was: number, is: number): void {
  put16(b, o, ~fold32((~get16(b, o) & 0xffff) + (~was & 0xffff) + is));
}

/** The field at `o` after a covered 32-bit word changed. */
export function update32(b: Uint8Array, o: number, was: number, is: number): void {
  put16(
    b,
    o,
    ~fold32((~get16(b, o) & 0xffff) + (~(was >>> 16) & 0xffff) + (~was & 0xffff) + (is >>> 16) + (is & 0xffff)),
  );
}

/**
 * As update32 for a field that holds an uncomplemented pseudo-header sum (CHECKSUM_PARTIAL): the sum itself moves.
 */
export function updatePartial32(b: Uint8Array, o: number, was: number, is: number): void {
  put16(b, o, fold32(get16(b, o) + (~(was >>> 16) & 0xffff) + (~was & 0xffff) + (is >>> 16) + (is & 0xffff)));
}
