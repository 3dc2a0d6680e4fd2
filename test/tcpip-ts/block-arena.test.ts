import t from 'tap';
import { BlockArena } from '../../src/tcpip-ts/block-arena.ts';
import { SkbPool } from '../../src/tcpip-ts/skb.ts';
import { BufferPool } from '../../src/tcpip-ts/tcp/buffer-pool.ts';
import { fc } from '../support/property.ts';

const ARENA = 32 << 20;
const BASE = 1000;

t.test('blocks never overlap, lie inside, and all room comes back', async () => {
  const op = fc.tuple(fc.nat(2), fc.integer({ min: 12, max: 24 }), fc.nat(1000));
  fc.assert(
    fc.property(fc.array(op, { maxLength: 200 }), (ops) => {
      const arena = new BlockArena(BASE, ARENA);
      const out: { at: number; shift: number }[] = [];
      for (const [kind, shift, pick] of ops) {
        if (kind < 2) {
          const at = arena.take(shift);
          const size = 2 ** shift;
          if (at < 0) continue;
          if (at < BASE || at + size > BASE + ARENA || (at - BASE) % size !== 0) return false;
          if (out.some((o) => at < o.at + 2 ** o.shift && o.at < at + size)) return false;
          out.push({ at, shift });
        } else if (out.length > 0) {
          const [{ at, shift: was }] = out.splice(pick % out.length, 1) as [{ at: number; shift: number }];
          arena.give(at, was);
        }
      }
      for (const { at, shift } of out) arena.give(at, shift);
      return arena.take(24) >= 0 && arena.take(24) >= 0 && arena.take(12) < 0;
    }),
    { numRuns: 200 },
  );
});

t.test('a full arena gives blocks until the last, then none', async (t) => {
  const arena = new BlockArena(0, 16 << 20);
  const seen = new Set<number>();
  for (let at = arena.take(12); at >= 0; at = arena.take(12)) seen.add(at);
  t.equal(seen.size, 4096);
  arena.give(8192, 12);
  t.equal(arena.take(12), 8192);
  for (let shift = 25; shift < 32; shift++) t.equal(new BlockArena(0, 32 << 20).take(shift), -1, `2^${shift} bytes`);
});

t.test('when the arena is full, buffers are arrays of their own', async (t) => {
  const skbs = new SkbPool(1);
  const one = new BufferPool(skbs, 1 << 30);
  const all = one.take(16 << 20);
  t.equal(all.bytes, skbs.bytes);
  const other = new BufferPool(skbs, 1 << 30);
  const alone = other.take(5000);
  t.not(alone.bytes, skbs.bytes);
  t.equal(alone.bytes.length, 8192);
  other.give(alone);
  one.give(all);
  t.equal(other.take(5000).bytes, skbs.bytes, 'until there is room again');
});

t.test('a pool that closes leaves the arena to others, and readers their bytes', async (t) => {
  const skbs = new SkbPool(1);
  const pool = new BufferPool(skbs, 1 << 30);
  const a = pool.take(4096);
  const b = pool.take(16_384);
  a.bytes.fill(1, a.base, a.base + a.size);
  b.bytes.fill(2, b.base, b.base + b.size);
  pool.give(a);
  pool.close();
  t.ok(skbs.blocks.take(24) >= 0, 'all of it');
  t.equal(b.bytes.length, b.size);
  t.ok(b.bytes.every((byte) => byte === 2));
  pool.give(b);
  t.equal(pool.inUse, 0);
});
