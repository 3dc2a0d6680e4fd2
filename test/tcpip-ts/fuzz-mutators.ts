// What the fuzzer does to Ethernet frames of true conversations: changes that know where the fields are, so that most of them get past
// the first check and reach the state machines. Lengths and checksums are put right afterwards, most of the time.
import type { Rng } from '../../src/lib/rng.ts';
import type { Skb } from '../../src/tcpip-ts/skb.ts';
import { get16, get32, put16, put32 } from '../../src/tcpip-ts/wire/bytes.ts';
import { checksum, finish, pseudoSum, sumBytes } from '../../src/tcpip-ts/wire/checksum.ts';
import { emitIPv4, ipDaddr, ipHlen, ipProto, ipSaddr } from '../../src/tcpip-ts/wire/ipv4.ts';

const ETH = 14;
/** More than any frame of a round: none is made longer than this. */
const LONGEST = 9000;

/** Numbers that are near a limit more often than not. */
function odd(rng: Rng, bits: number): number {
  const top = 2 ** bits;
  const pick = rng.below(6);
  if (pick === 0) return 0;
  if (pick === 1) return top - 1 - rng.below(3);
  if (pick === 2) return 2 ** rng.below(bits);
  if (pick === 3) return rng.below(64);
  return rng.below(top);
}

function nudge(b: Uint8Array, o: number, rng: Rng): void {
  const far = [4, 3000, 70_000, 0x4000_0000][rng.below(4)]!;
  put32(b, o, get32(b, o) + rng.below(2 * far) - far);
}

/** Options that are well formed and unwelcome: blocks around the acknowledgment, times around the true ones, odd scales. */
function writeOptions(b: Uint8Array, o: number, ack: number, rng: Rng): number {
  const from = o;
  for (let n = 1 + rng.below(3); n > 0 && o - from <= 28; n--) {
    const pick = rng.below(8);
    if (pick === 0) {
      b.set([2, 4, 0, 0], o);
      put16(b, o + 2, odd(rng, 16));
      o += 4;
    } else if (pick === 1) {
      b.set([3, 3, rng.below(256), 1], o);
      o += 4;
    } else if (pick === 2) {
      b.set([4, 2, 1, 1], o);
      o += 4;
    } else if (pick <= 4) {
      b.set([8, 10], o);
      put32(b, o + 2, rng.below(3) === 0 ? rng.u32() : rng.below(5000));
      put32(b, o + 6, rng.below(3) === 0 ? rng.u32() : rng.below(5000));
      b.set([1, 1], o + 10);
      o += 12;
    } else if (pick <= 6) {
      const blocks = Math.min(1 + rng.below(4), (38 - (o - from)) >> 3);
      if (blocks < 1) continue;
      b.set([5, 2 + 8 * blocks], o);
      for (let k = 0; k < blocks; k++) {
        const start = ack + rng.below(60_000) - 5000;
        put32(b, o + 2 + 8 * k, start);
        put32(b, o + 6 + 8 * k, start + (rng.below(6) === 0 ? -rng.below(3000) : rng.below(20_000)));
      }
      o += 2 + 8 * blocks;
    } else {
      const len = rng.below(12);
      b.set([rng.below(256), len], o);
      o += Math.max(2, Math.min(len, 8));
    }
  }
  while ((o - from) % 4 !== 0) b[o++] = 1;
  return Math.min(40, o - from);
}

function mutateTcp(skb: Skb, th: number, rng: Rng): void {
  const b = skb.bytes;
  const size = skb.tail - th;
  switch (rng.below(14)) {
    case 0:
      b[th + 13] = rng.below(256);
      return;
    case 1:
      b[th + 13]! ^= 1 << rng.below(8);
      return;
    case 2:
      put32(b, th + (rng.below(2) ? 4 : 8), rng.u32());
      return;
    case 3:
    case 4:
      nudge(b, th + (rng.below(2) ? 4 : 8), rng);
      return;
    case 5:
      b[th + 12] = rng.below(256);
      return;
    case 6:
      put16(b, th + 14, odd(rng, 16));
      return;
    case 7: {
      // Other options, and the payload after them cut off.
      const length = writeOptions(b, th + 20, get32(b, th + 8), rng);
      b[th + 12] = ((20 + length) >> 2) << 4;
      skb.tail = th + 20 + length + rng.below(40);
      return;
    }
    case 8:
      for (let i = th + 20; i < Math.min(skb.tail, th + 60); i++) if (rng.below(3) === 0) b[i] = rng.below(256);
      return;
    case 9:
      skb.tail = th + rng.below(size + 1);
      return;
    case 10:
      b[th + rng.below(size)]! ^= 1 << rng.below(8);
      return;
    case 11:
      skb.tail = Math.min(th + size + rng.below(2000), th + LONGEST); // more data, of what lay there before
      return;
    case 12:
      // A guess at the connection: right ports, any flags, numbers near enough.
      b[th + 13] = [0x02, 0x04, 0x14, 0x12, 0x11, 0x10, 0x18, 0xc2, 0x52, 0xd0][rng.below(10)]!;
      if (rng.below(2)) nudge(b, th + 4, rng);
      return;
    default:
      b[th + 13]! |= 0x20;
      put16(b, th + 18, odd(rng, 16));
  }
}

function mutateIp(skb: Skb, nh: number, rng: Rng): void {
  const b = skb.bytes;
  switch (rng.below(9)) {
    case 0:
      b[nh] = rng.below(256);
      return;
    case 1:
      b[nh + 1] = rng.below(256);
      return;
    case 2:
      put16(b, nh + 2, odd(rng, 16));
      return;
    case 3:
      put16(b, nh + 6, odd(rng, 16)); // fragments of all kinds
      return;
    case 4:
      b[nh + 8] = odd(rng, 8);
      return;
    case 5:
      b[nh + 9] = [1, 6, 17, rng.below(256)][rng.below(4)]!;
      return;
    case 6:
      put32(b, nh + 12, rng.below(2) ? rng.u32() : 0x0a00_0000 + rng.below(4));
      return;
    case 7:
      put32(b, nh + 16, rng.below(2) ? rng.u32() : 0x0a00_0000 + rng.below(4));
      return;
    default:
      b[nh + rng.below(20)]! ^= 1 << rng.below(8);
  }
}

/** Makes an ICMP error about the packet, as a router on the way to its receiver would send it to its sender. */
function makeIcmpError(skb: Skb, nh: number, rng: Rng): void {
  const b = skb.bytes;
  const quoted = Math.min(skb.tail - nh, 28 + rng.below(100));
  const saddr = ipSaddr(b, nh);
  const daddr = ipDaddr(b, nh);
  b.copyWithin(nh + 28, nh, nh + quoted);
  skb.tail = nh + 28 + quoted;
  emitIPv4(b, nh, 0, skb.tail - nh, rng.below(65_536), 0, 64, 1, daddr, saddr);
  b[nh + 20] = [3, 3, 3, 4, 5, 11, 12, rng.below(256)][rng.below(8)]!;
  b[nh + 21] = rng.below(16);
  put32(b, nh + 24, odd(rng, 16));
  if (rng.below(3) === 0) nudge(b, nh + 52, rng); // the quoted sequence number
}

/** Puts lengths and checksums right, so that it is not they that save us. */
function fix(skb: Skb, nh: number): void {
  const b = skb.bytes;
  const hlen = ipHlen(b, nh);
  const th = nh + hlen;
  if (hlen < 20 || th > skb.tail) return;
  put16(b, nh + 2, skb.tail - nh);
  put16(b, nh + 10, 0);
  put16(b, nh + 10, checksum(b, nh, th));
  const proto = ipProto(b, nh);
  const length = skb.tail - th;
  const at = proto === 6 ? 16 : proto === 17 ? 6 : proto === 1 ? 2 : -1;
  if (at < 0 || length < at + 2) return;
  if (proto === 17) put16(b, th + 4, length);
  put16(b, th + at, 0);
  const pseudo = proto === 1 ? 0 : pseudoSum(ipSaddr(b, nh), ipDaddr(b, nh), proto, length);
  put16(b, th + at, finish(sumBytes(b, th, skb.tail, pseudo)));
}

/** Changes the frame in `skb`, a copy of a true one whose `mh` and `tail` are set. True: it is for the sender and not the receiver. */
export function mutate(skb: Skb, rng: Rng): boolean {
  const b = skb.bytes;
  const nh = skb.mh + ETH;
  skb.tail = Math.min(skb.tail, skb.mh + LONGEST);
  const isIp = get16(b, skb.mh + 12) === 0x0800;
  const pick = rng.below(100);
  let toSender = false;
  if (pick < 3) {
    for (let i = skb.mh; i < skb.tail; i++) if (rng.below(8) === 0) b[i] = rng.below(256);
    return rng.below(2) === 0;
  }
  if (!isIp) {
    for (let n = 1 + rng.below(4); n > 0; n--)
      b[nh + rng.below(28)] = rng.below(4) === 0 ? odd(rng, 8) : rng.below(256);
    return rng.below(2) === 0;
  }
  if (pick < 6) {
    put16(b, skb.mh + 12, [0x0800, 0x0806, 0x86dd, rng.below(65_536)][rng.below(4)]!);
    return false;
  }
  if (pick < 15) makeIcmpError(skb, nh, rng);
  else if (pick < 25) mutateIp(skb, nh, rng);
  else if (ipProto(b, nh) === 6 && skb.tail - nh >= 40) {
    for (let n = 1 + rng.below(2); n > 0; n--) if (skb.tail - nh >= 40) mutateTcp(skb, nh + 20, rng);
    // Few resets, or no conversation would last.
    if (rng.below(8) > 0) b[nh + 33]! &= ~4;
  } else {
    const from = nh + 20;
    if (rng.below(3) === 0) skb.tail = from + rng.below(Math.max(1, skb.tail - from));
    else for (let n = 1 + rng.below(6); n > 0; n--) b[from + rng.below(Math.max(1, skb.tail - from))] = odd(rng, 8);
  }
  toSender = pick < 15;
  if (rng.below(20) === 0) {
    // Back to where it came from, as if the other side had sent it.
    const saddr = get32(b, nh + 12);
    put32(b, nh + 12, get32(b, nh + 16));
    put32(b, nh + 16, saddr);
    toSender = !toSender;
  }
  if (rng.below(20) > 0) fix(skb, nh);
  return toSender;
}

/** A frame out of nothing: random bytes, with or without a believable beginning. */
export function noise(skb: Skb, rng: Rng, dst: Uint8Array): void {
  const b = skb.bytes;
  const size = rng.below(4) === 0 ? rng.below(1600) : 14 + rng.below(120);
  skb.tail = skb.mh + size;
  for (let i = skb.mh; i < skb.tail; i++) b[i] = rng.below(256);
  if (size < 60 || rng.below(4) === 0) return;
  b.set(dst, skb.mh);
  const nh = skb.mh + ETH;
  if (rng.below(8) === 0) {
    put16(b, skb.mh + 12, 0x0806);
    b.set([0, 1, 8, 0, 6, 4, 0, 1 + rng.below(3)], nh);
    put32(b, nh + 14, 0x0a00_0000 + rng.below(300));
    put32(b, nh + 24, 0x0a00_0001 + rng.below(2));
    return;
  }
  put16(b, skb.mh + 12, 0x0800);
  const saddr = 0x0a00_0000 + rng.below(6);
  emitIPv4(
    b,
    nh,
    0,
    size - ETH,
    rng.below(8),
    rng.below(4) === 0 ? odd(rng, 16) : 0,
    64,
    [1, 6, 17, 47][rng.below(4)]!,
    saddr,
    0x0a00_0001 + rng.below(2),
  );
  put16(b, nh + 20, rng.below(2) ? 80 : rng.below(65_536));
  put16(b, nh + 22, rng.below(2) ? 80 : rng.below(65_536));
  if (rng.below(2)) b[nh + 32] = 0x50;
  if (rng.below(2)) b[nh + 33] = [2, 4, 16, 1, 18][rng.below(5)]!;
  fix(skb, nh);
}
