// The parts of TCP by themselves: hash, demux table, buffers, records, options, timeout, cookies, congestion control.
import t from 'tap';
import { SkbPool } from '../../../src/tcpip-ts/skb.ts';
import { BufferPool } from '../../../src/tcpip-ts/tcp/buffer-pool.ts';
import { initialWindow } from '../../../src/tcpip-ts/tcp/congestion.ts';
import { Cubic } from '../../../src/tcpip-ts/tcp/cubic.ts';
import { Demux } from '../../../src/tcpip-ts/tcp/demux.ts';
import { NewReno } from '../../../src/tcpip-ts/tcp/newreno.ts';
import { parseOptions, putSack, putSynOptions, putTimestamp, SegmentInfo } from '../../../src/tcpip-ts/tcp/options.ts';
import { ReceiveBuffer } from '../../../src/tcpip-ts/tcp/receive-buffer.ts';
import { Rto, retriesMs } from '../../../src/tcpip-ts/tcp/rto.ts';
import { Secret } from '../../../src/tcpip-ts/tcp/secret.ts';
import { NO_SEGMENT, SegmentTable } from '../../../src/tcpip-ts/tcp/segment-table.ts';
import { SendBuffer } from '../../../src/tcpip-ts/tcp/send-buffer.ts';
import { seqGt, seqLt, seqMax } from '../../../src/tcpip-ts/tcp/seq.ts';
import {
  checkCookie,
  cookieEcn,
  cookieSack,
  cookieTimestamp,
  cookieWscale,
  makeCookie,
} from '../../../src/tcpip-ts/tcp/syn-cookies.ts';
import { fc } from '../../support/property.ts';

t.test('Secret is HalfSipHash-2-4: the reference vectors (veorq/SipHash, vectors.h)', async (t) => {
  const secret = new Secret(0x03020100, 0x07060504);
  const words = [0x03020100, 0x07060504, 0x0b0a0908, 0x0f0e0d0c];
  const wanted = [0x5b9f35a9, 0x89466e2a, 0x8f84b8d0, 0x2f87f057, 0x84acb5d9];
  for (const [n, hash] of wanted.entries()) t.equal(secret.words(words.slice(0, n)) >>> 0, hash, `${n * 4} bytes`);
});

t.test('sequence numbers compare across the wrap', async (t) => {
  t.ok(seqLt(-1, 0));
  t.ok(seqLt(0x7fffffff, -0x80000000));
  t.ok(seqGt(5, -5));
  t.equal(seqMax(0x7ffffff0, -0x7ffffff0), -0x7ffffff0);
});

t.test('the demux table holds what a Map would', async (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.boolean(), fc.nat(3), fc.nat(40), fc.nat(5), fc.nat(3)), { maxLength: 400 }),
      fc.integer(),
      (ops, seed) => {
        const demux = new Demux(seed, 16);
        const model = new Map<string, number>();
        let value = 1;
        for (const [isSet, la, lp, ra, rp] of ops) {
          const key = `${la} ${lp} ${ra} ${rp}`;
          if (isSet) {
            demux.set(la, lp, ra, rp, ++value);
            model.set(key, value);
          } else {
            demux.delete(la, lp, ra, rp);
            model.delete(key);
          }
        }
        if (demux.size !== model.size) return false;
        for (const [key, owner] of model) {
          const [la, lp, ra, rp] = key.split(' ').map(Number);
          if (demux.lookup(la!, lp!, ra!, rp!) !== owner) return false;
        }
        return demux.lookup(9, 9, 9, 9) === 0;
      },
    ),
  );
  const demux = new Demux(1);
  demux.set(0xc0a80101, 65_535, 0xffffff00, 80, 5);
  t.equal(demux.lookup(0xc0a80101, 65_535, 0xffffff00, 80), 5, 'addresses above 2^31');
});

t.test('the send buffer is a queue of bytes', async () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(2), fc.nat(30_000)), { maxLength: 40 }), (ops) => {
      const pool = new BufferPool(new SkbPool(1), 1 << 30);
      const buffer = new SendBuffer(pool);
      let model: number[] = [];
      let next = 0;
      for (const [op, n] of ops) {
        if (op === 0) {
          const bytes = Uint8Array.from({ length: n }, () => next++ & 255);
          buffer.append(bytes, 0, n);
          model = model.concat(Array.from(bytes));
        } else if (op === 1) {
          const k = Math.min(n, model.length);
          buffer.consume(k);
          model = model.slice(k);
        } else if (model.length > 0) {
          const from = n % model.length;
          const k = Math.min(1500, model.length - from);
          const out = new Uint8Array(k);
          buffer.copyTo(out, 0, from, k);
          for (let i = 0; i < k; i++) if (out[i] !== model[from + i]) return false;
        }
        if (buffer.length !== model.length) return false;
      }
      buffer.clear();
      return pool.inUse === 0;
    }),
    { numRuns: 50 },
  );
});

t.test('the receive buffer gives each byte once and in order, however segments come', async () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(5000), fc.integer({ min: 1, max: 1500 }), fc.nat(3000)), {
        minLength: 1,
        maxLength: 120,
      }),
      fc.integer(),
      (segments, start) => {
        const pool = new BufferPool(new SkbPool(1), 1 << 30);
        const buffer = new ReceiveBuffer(pool);
        buffer.nxt = start | 0;
        const have = new Set<number>();
        const payload = new Uint8Array(1500);
        const out = new Uint8Array(4000);
        let read = 0;
        const sack = new Int32Array(8);
        for (const [ahead, size, toRead] of segments) {
          // Anywhere from a little before the next byte; the caller cuts what is old.
          const nxt = (buffer.nxt - start) | 0;
          const from = Math.max(nxt, nxt + ahead - 1500);
          for (let i = 0; i < size; i++) payload[i] = ((from + i) * 31) & 255;
          if (buffer.write((start + from) | 0, payload, 0, size) >= 0)
            for (let i = 0; i < size; i++) have.add(from + i);
          let wanted = nxt;
          while (have.has(wanted)) wanted++;
          if (((buffer.nxt - start) | 0) !== wanted) return false;
          const blocks = buffer.sackBlocks(sack, 4);
          for (let k = 0; k < blocks; k++) {
            for (let s = (sack[2 * k]! - start) | 0; s < ((sack[2 * k + 1]! - start) | 0); s++)
              if (!have.has(s)) return false;
          }
          const n = buffer.read(out, 0, toRead);
          for (let i = 0; i < n; i++) if (out[i] !== ((read + i) * 31) % 256) return false;
          read += n;
        }
        buffer.clear();
        return pool.inUse === 0;
      },
    ),
    { numRuns: 200 },
  );
});

t.test('segment records split, and are used again', async (t) => {
  const table = new SegmentTable(4);
  const a = table.alloc(0, 3000, 7, 16);
  const b = table.split(a, 1000);
  t.equal(table.next[a], b);
  t.equal(table.prev[b], a);
  t.same([table.seq[b], table.end[b], table.end[a]], [1000, 3000, 1000]);
  t.same([table.flags[a], table.flags[b]], [0, 16], 'FIN goes with the end');
  for (let i = 0; i < 100; i++) table.alloc(i, i + 1, 0, 0);
  t.equal(table.used, 102);
  table.freeList(a);
  t.equal(table.used, 100);
  t.not(table.alloc(1, 2, 0, 0), NO_SEGMENT);
});

t.test('options', async (t) => {
  t.test('what is put is parsed', async () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 65_535 }),
        fc.integer({ min: -1, max: 14 }),
        fc.boolean(),
        fc.boolean(),
        fc.integer(),
        fc.integer(),
        (mss, wscale, sackOk, hasTs, tsVal, tsEcr) => {
          const b = new Uint8Array(60);
          const length = putSynOptions(b, 0, mss, wscale, sackOk, hasTs, tsVal, tsEcr);
          const seg = new SegmentInfo();
          parseOptions(b, 0, length, seg);
          const ts = !hasTs || (seg.tsVal === (tsVal | 0) && seg.tsEcr === (tsEcr | 0));
          return (
            length % 4 === 0 &&
            length <= 40 &&
            seg.mss === mss &&
            seg.wscale === wscale &&
            seg.sackOk === sackOk &&
            seg.hasTs === hasTs &&
            ts
          );
        },
      ),
    );
  });
  t.test('timestamps and SACK blocks in a data segment', async (t) => {
    const b = new Uint8Array(60);
    putTimestamp(b, 0, -5, 77);
    const length = 12 + putSack(b, 12, Int32Array.from([1, 2, -9, -4, 100, 200]), 3);
    const seg = new SegmentInfo();
    parseOptions(b, 0, length, seg);
    t.match(seg, { hasTs: true, tsVal: -5, tsEcr: 77, sackBlocks: 3 });
    t.same([...seg.sack.subarray(0, 6)], [1, 2, -9, -4, 100, 200]);
    t.equal(length, 40);
  });
  t.test('parsing never reads past the end or throws', async () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        const seg = new SegmentInfo();
        parseOptions(bytes, 0, bytes.length, seg);
        return seg.sackBlocks <= 4 && seg.wscale <= 14 && seg.mss > 0;
      }),
    );
  });
});

t.test('SYN cookies', async (t) => {
  const secret = new Secret(1, 2);
  const tuple = [0x0a000001, 0x0a000002, (80 << 16) | 4000] as const;
  for (const [mss, kept] of [
    [1460, 1460],
    [1400, 1300],
    [9000, 8960],
    [100, 536],
  ] as const) {
    const cookie = makeCookie(secret, ...tuple, 12_345, mss, 7);
    t.equal(checkCookie(secret, ...tuple, 12_345, cookie, 7), kept);
    t.equal(checkCookie(secret, ...tuple, 12_345, cookie, 8), kept, 'a minute later');
    t.equal(checkCookie(secret, ...tuple, 12_345, cookie, 9), 0, 'two minutes later');
    t.equal(checkCookie(secret, ...tuple, 22_345, cookie, 7), 0, 'another sequence number');
    t.equal(checkCookie(new Secret(1, 3), ...tuple, 12_345, cookie, 7), 0, 'another secret');
  }
  for (const wscale of [-1, 0, 7, 14]) {
    for (const sack of [false, true]) {
      for (const ecn of [false, true]) {
        const ts = cookieTimestamp(1_000_003, wscale, sack, ecn);
        t.ok(ts <= 1_000_003 && ts > 1_000_003 - 128);
        t.equal(cookieWscale(ts), wscale);
        t.equal(cookieSack(ts), sack);
        t.equal(cookieEcn(ts), ecn);
      }
    }
  }
});

t.test('the retransmission timeout (RFC 6298)', async (t) => {
  const rto = new Rto();
  t.equal(rto.ms, 1000);
  rto.sample(100_000);
  t.equal(rto.srttUs, 100_000);
  t.equal(rto.ms, 300);
  rto.backoff++;
  t.equal(rto.ms, 600);
  rto.sample(1_000_000);
  t.equal(rto.srttUs, 212_500);
  t.equal(rto.backoff, 0);
  t.equal(rto.ms, 1263); // 212.5 + 4 * (3/4 * 50 + 1/4 * 900)
  rto.backoff = 12;
  t.equal(rto.ms, 120_000);
  t.equal(retriesMs(15), 924_600);
});

t.test('congestion control', async (t) => {
  t.same([initialWindow(1460), initialWindow(536), initialWindow(9000)], [14_600, 5360, 18_000], 'RFC 6928');
  t.test('NewReno: one segment a window in avoidance, half after loss', async (t) => {
    const cc = new NewReno();
    let cwnd = 10_000;
    for (let i = 0; i < 10; i++) cwnd = cc.onAck(cwnd, 10_000, 1000, 1000, 0, 0);
    t.equal(cwnd, 11_000);
    t.equal(cc.ssthresh(10_000, 1000, 0), 5000);
    t.equal(cc.ssthresh(1000, 1000, 0), 2000);
  });
  t.test('CUBIC: 0.7 after loss, back at the old window after K seconds, flat there', async (t) => {
    const cc = new Cubic();
    const mss = 1000;
    const ssthresh = cc.ssthresh(1_000_000, mss, 0);
    t.equal(ssthresh, 700_000);
    let cwnd = ssthresh;
    const k = Math.cbrt((1000 * 0.3) / 0.4);
    const at: number[] = [];
    for (let ms = 0; ms < 2 * k * 1000; ms += 100) {
      // a window acknowledged each round trip of 100 ms
      for (let acked = 0, window = cwnd; acked < window; acked += 2000)
        cwnd = cc.onAck(cwnd, ssthresh, 2000, mss, 100_000, ms * 1000);
      at.push(cwnd);
    }
    const near = at[Math.round(k * 10)]!;
    t.ok(near > 950_000 && near < 1_050_000, `${near} after K`);
    t.ok(at.at(-1)! > 1_200_000, 'probing beyond');
    t.ok(at[5]! - at[0]! > at[Math.round(k * 10)]! - at[Math.round(k * 10) - 5]!, 'concave before K');
  });
});
