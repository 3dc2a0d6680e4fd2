// IPv4 options (RFC 791 3.1): walked to see that they are well formed, and otherwise skipped. Source routes are refused, as
// Linux does with accept_source_route=0. Nothing of a received option is ever sent back.
const IPOPT_END = 0;
const IPOPT_NOOP = 1;
const IPOPT_LSRR = 131;
const IPOPT_SSRR = 137;

/** Whether the options in b[from, to) can be skipped: each has a length that fits, and none is a source route. */
export function areOptionsSkippable(b: Uint8Array, from: number, to: number): boolean {
  let o = from;
  while (o < to) {
    const kind = b[o]!;
    if (kind === IPOPT_END) return true;
    if (kind === IPOPT_NOOP) {
      o++;
      continue;
    }
    if (kind === IPOPT_LSRR || kind === IPOPT_SSRR || o + 1 >= to) return false;
    const len = b[o + 1]!;
    if (len < 2 || o + len > to) return false;
    o += len;
  }
  return true;
}
