// SYN cookies (Bernstein; RFC 4987, 3.6), laid out as Linux's syncookies.c: when the SYN queue is full, everything to be remembered
// of a SYN goes into our initial sequence number and timestamp, and comes back with the acknowledgment.
//   sequence   hash(tuple) + irs + minute·2^24 + (hash(tuple, minute) + index of MSS) mod 2^24
//   timestamp  its low six bits: 0-3 the peer's window scale (15: none), 4 SACK, 5 ECN
import { SALT_COOKIE, SALT_COOKIE_DATA, type Secret } from './secret.ts';

const MSS_TABLE = [536, 1300, 1440, 1460, 8960, 65_495] as const;
/** A cookie is good for this many minutes, the current one included. */
const MAX_AGE = 2;
const NO_WSCALE = 15;
const COOKIE_TS_BITS = 6;

/** The sequence number for a SYN-ACK that nobody remembers. */
export function makeCookie(
  secret: Secret,
  laddr: number,
  raddr: number,
  ports: number,
  irs: number,
  mss: number,
  minute: number,
): number {
  let index = MSS_TABLE.length - 1;
  while (index > 0 && MSS_TABLE[index]! > mss) index--;
  const fixed = secret.hash(laddr, raddr, ports, 0, SALT_COOKIE);
  const fresh = secret.hash(laddr, raddr, ports, minute, SALT_COOKIE_DATA);
  return (fixed + irs + (minute << 24) + ((fresh + index) & 0xff_ffff)) | 0;
}

/** The MSS in a cookie that came back, 0 when it is none of ours or too old. */
export function checkCookie(
  secret: Secret,
  laddr: number,
  raddr: number,
  ports: number,
  irs: number,
  cookie: number,
  minute: number,
): number {
  const rest = (cookie - secret.hash(laddr, raddr, ports, 0, SALT_COOKIE) - irs) | 0;
  const age = (minute - (rest >>> 24)) & 0xff;
  if (age >= MAX_AGE) return 0;
  const fresh = secret.hash(laddr, raddr, ports, minute - age, SALT_COOKIE_DATA);
  return MSS_TABLE[(rest - fresh) & 0xff_ffff] ?? 0;
}

/** A timestamp not above `now` with the options in its low bits. */
export function cookieTimestamp(now: number, wscale: number, sackOk: boolean, ecnOk: boolean): number {
  const bits = (wscale < 0 ? NO_WSCALE : wscale) | (sackOk ? 16 : 0) | (ecnOk ? 32 : 0);
  const ts = (now & ~((1 << COOKIE_TS_BITS) - 1)) | bits;
  return ((ts - now) | 0) > 0 ? (ts - (1 << COOKIE_TS_BITS)) | 0 : ts;
}

export function cookieWscale(ts: number): number {
  const wscale = ts & 15;
  return wscale === NO_WSCALE ? -1 : wscale;
}

export function cookieEcn(ts: number): boolean {
  return (ts & 32) !== 0;
}

export function cookieSack(ts: number): boolean {
  return (ts & 16) !== 0;
}
