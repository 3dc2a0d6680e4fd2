import t from 'tap';
import { get16, put16, put32 } from '../../../src/tcpip-ts/wire/bytes.ts';
import {
  checksum,
  finish,
  fold,
  pseudoSum,
  sumBytes,
  sumWords,
  update16,
  update32,
  updatePartial32,
} from '../../../src/tcpip-ts/wire/checksum.ts';
import { fc } from '../../support/property.ts';

/** RFC 1071's definition, word by word with an end-around carry at each. */
function slowChecksum(bytes: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) {
    sum += (bytes[i]! << 8) | (bytes[i + 1] ?? 0);
    if (sum > 0xffff) sum -= 0xffff;
  }
  return ~sum & 0xffff;
}

t.test('RFC 1071 section 3: 00 01 f2 03 f4 f5 f6 f7 sums to ddf2', async (t) => {
  const bytes = Uint8Array.of(0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7);
  t.equal(fold(sumBytes(bytes, 0, 8, 0)), 0xddf2);
  t.equal(checksum(bytes, 0, 8), 0x220d);
});

t.test('RFC 1624 section 4: a field of 5555 becoming 3285 turns checksum dd2f into 0000, not ffff', async (t) => {
  const field = Uint8Array.of(0xdd, 0x2f);
  update16(field, 0, 0x5555, 0x3285);
  t.equal(get16(field, 0), 0x0000);
});

t.test('by words it is the same sum', async () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 4, maxLength: 3000 }), fc.nat(70), fc.nat(3000), (bytes, from, size) => {
      const memory = new Uint8Array((bytes.length + 3) & ~3);
      memory.set(bytes);
      const to = Math.min(memory.length, from + size);
      if (to < from) return true;
      const words = new Uint32Array(memory.buffer);
      return finish(sumWords(words, memory, from, to, 1)) === finish(sumBytes(memory, from, to, 1));
    }),
    { numRuns: 2000 },
  );
});

t.test('any bytes at any offset and length sum as by the definition', async () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(9), (bytes, from) => {
      const padded = new Uint8Array(from + bytes.length);
      padded.set(bytes, from);
      return checksum(padded, from, padded.length) % 0xffff === slowChecksum(bytes) % 0xffff;
    }),
  );
});

t.test('128 KiB of ones do not lose a carry', async (t) => {
  const bytes = new Uint8Array(131072).fill(0xff);
  t.equal(fold(sumBytes(bytes, 0, bytes.length, 0)), 0xffff);
});

t.test('the incremental updates agree with summing again', async () => {
  // Word 0 is never zero, as no packet with a header sums to zero altogether.
  const body = fc
    .uint8Array({ minLength: 12, maxLength: 60 })
    .map((b) => b.subarray(0, b.length & ~1).fill(0x45, 0, 1));
  fc.assert(
    fc.property(body, fc.nat(0xffff), fc.nat(0xffffffff), (packet, half, word) => {
      const b = Uint8Array.from(packet);
      put16(b, 2, 0);
      put16(b, 2, checksum(b, 0, b.length));
      const was16 = get16(b, 4);
      put16(b, 4, half);
      update16(b, 2, was16, half);
      const after16 = checksum(b, 0, b.length) === 0;
      const was32 = get16(b, 6) * 0x10000 + get16(b, 8);
      put32(b, 6, word);
      update32(b, 2, was32, word);
      return after16 && checksum(b, 0, b.length) === 0;
    }),
  );
});

t.test('a partial checksum follows its pseudo-header', async () => {
  const address = fc.nat(0xffffffff);
  fc.assert(
    fc.property(address, address, address, fc.nat(65515), (saddr, daddr, other, length) => {
      const b = new Uint8Array(2);
      put16(b, 0, fold(pseudoSum(saddr, daddr, 6, length)));
      updatePartial32(b, 0, daddr, other);
      return get16(b, 0) % 0xffff === fold(pseudoSum(saddr, other, 6, length)) % 0xffff;
    }),
  );
});

t.test('finish(0) is ffff and finish(ffff) is 0', async (t) => {
  t.equal(finish(0), 0xffff);
  t.equal(finish(0xffff), 0);
  t.equal(finish(0x1fffe), 0);
});
