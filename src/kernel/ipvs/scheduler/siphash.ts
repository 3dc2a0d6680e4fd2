// hsiphash_1u32() of linux/siphash.h as 64-bit kernels compute it: SipHash-1-3 of four little-endian bytes, both 64-bit
// words of the key equal, the low 32 bits of the result. 64-bit lanes are pairs of 32-bit halves in one scratch array, so
// that a call allocates nothing. After Aumasson and Bernstein, "SipHash: a fast short-input PRF".

/** v0 to v3, low half first. */
const v = new Int32Array(8);

/** `key` is one of the two equal words, below 2^32; `value` a 32-bit word. The result is unsigned. */
export function hsiphash32(key: number, value: number): number {
  v[0] = 0x70736575 ^ key;
  v[1] = 0x736f6d65;
  v[2] = 0x6e646f6d ^ key;
  v[3] = 0x646f7261;
  v[4] = 0x6e657261 ^ key;
  v[5] = 0x6c796765;
  v[6] = 0x79746573 ^ key;
  v[7] = 0x74656462;
  // The only block: four bytes of value, the length in the top byte.
  v[6]! ^= value;
  v[7]! ^= 4 << 24;
  round();
  v[0]! ^= value;
  v[1]! ^= 4 << 24;
  v[4]! ^= 0xff;
  round();
  round();
  round();
  return (v[0]! ^ v[2]! ^ v[4]! ^ v[6]!) >>> 0;
}

function round(): void {
  add(0, 2);
  rotl(2, 13);
  xor(2, 0);
  swap(0);
  add(4, 6);
  rotl(6, 16);
  xor(6, 4);
  add(0, 6);
  rotl(6, 21);
  xor(6, 0);
  add(4, 2);
  rotl(2, 17);
  xor(2, 4);
  swap(4);
}

function add(a: number, b: number): void {
  const low = (v[a]! >>> 0) + (v[b]! >>> 0);
  v[a] = low;
  v[a + 1] = v[a + 1]! + v[b + 1]! + (low > 0xffffffff ? 1 : 0);
}

function xor(a: number, b: number): void {
  v[a]! ^= v[b]!;
  v[a + 1]! ^= v[b + 1]!;
}

/** By less than 32. */
function rotl(a: number, n: number): void {
  const low = v[a]!;
  const high = v[a + 1]!;
  v[a] = (low << n) | (high >>> (32 - n));
  v[a + 1] = (high << n) | (low >>> (32 - n));
}

/** Rotates by 32. */
function swap(a: number): void {
  const low = v[a]!;
  v[a] = v[a + 1]!;
  v[a + 1] = low;
}
