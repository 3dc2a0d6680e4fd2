import assert from 'node:assert/strict';
import dnsPacket from 'dns-packet';
import t from 'tap';
import { CLASS_IN, TYPE } from '../../src/dns/constants.ts';
import { decodeMessage, decodeQuery, rdataText, recordData, recordFrom } from '../../src/dns/message.ts';
import { encodeMessage, FLAG_QR, FLAG_RD, FLAG_TC, type MessageParts } from '../../src/dns/message-writer.ts';
import {
  addressRecord,
  nameRecord,
  type ResourceRecord,
  soaRecord,
  srvRecord,
  txtRecord,
} from '../../src/dns/record.ts';
import { fc } from '../support/property.ts';

/** Objects with the usual prototype, so that they compare equal. */
const PLAIN = { noNullPrototype: true } as const;

const label = fc.string({ unit: fc.constantFrom(...'abcXYZ019-_'), minLength: 1, maxLength: 12 });
const name = fc
  .array(label, { minLength: 0, maxLength: 5 })
  .map((labels) => (labels.length === 0 ? '.' : `${labels.join('.')}.`));
const ttl = fc.nat(0x7fffffff);
const u16 = fc.nat(0xffff);
const u32 = fc.nat(0xffffffff);
const bytes = (n: number) => fc.uint8Array({ minLength: n, maxLength: n });

const record: fc.Arbitrary<ResourceRecord> = fc.oneof(
  fc.tuple(name, ttl, bytes(4)).map(([n, s, a]) => addressRecord(n, s, a)),
  fc.tuple(name, ttl, bytes(16)).map(([n, s, a]) => addressRecord(n, s, a)),
  fc.tuple(name, fc.constantFrom(TYPE.CNAME, TYPE.NS, TYPE.PTR), ttl, name).map((a) => nameRecord(...a)),
  fc.tuple(name, ttl, u16, u16, name).map((a) => srvRecord(...a)),
  fc.tuple(name, ttl, fc.string({ unit: 'grapheme-ascii', maxLength: 50 })).map((a) => txtRecord(...a)),
  fc
    .tuple(name, ttl, name, name, u32, u32)
    .map(([n, s, m, r, serial, x]) =>
      soaRecord(n, s, m, r, { serial, refreshS: x, retryS: 1, expireS: 2, minimumS: x }),
    ),
);
const section = fc.array(record, { maxLength: 6 });
const message: fc.Arbitrary<MessageParts> = fc.record(
  {
    id: u16,
    flags: fc.constant(FLAG_QR | FLAG_RD),
    rcode: fc.constantFrom(0, 2, 3, 5),
    question: fc.record({ name, type: u16, class: fc.constant(CLASS_IN) }, PLAIN),
    answer: section,
    authority: section,
    additional: section,
    edns: fc.option(
      fc.record(
        {
          udpSize: u16,
          version: fc.constant(0),
          dnssecOk: fc.boolean(),
          options: fc.array(
            fc.record({ code: fc.constantFrom(3, 10, 12, 20, 65001), data: fc.uint8Array({ maxLength: 9 }) }, PLAIN),
            {
              maxLength: 3,
            },
          ),
        },
        PLAIN,
      ),
      { nil: undefined },
    ),
  },
  PLAIN,
);

t.test('what is written with compression is read back the same', async () => {
  fc.assert(
    fc.property(message, (parts) => {
      const encoded = encodeMessage(parts, 65535)!;
      const decoded = decodeMessage(encoded)!;
      assert.deepEqual(
        [
          decoded.id,
          decoded.rcode,
          decoded.question,
          decoded.answer,
          decoded.authority,
          decoded.additional,
          decoded.edns,
        ],
        [parts.id, parts.rcode, parts.question, parts.answer, parts.authority, parts.additional, parts.edns],
      );
    }),
    { numRuns: 300 },
  );
});

t.test('dns-packet reads the same names and addresses', async () => {
  fc.assert(
    fc.property(message, (parts) => {
      // dns-packet throws on options whose content it knows and finds wrong.
      const decoded = dnsPacket.decode(Buffer.from(encodeMessage({ ...parts, edns: undefined }, 65535)!));
      assert.equal(decoded.id, parts.id);
      const names = (decoded.answers ?? []).map((a) => (a.name === '.' ? '.' : `${a.name}.`));
      assert.deepEqual(
        names,
        parts.answer.map((r) => r.name),
      );
      for (const [i, answer] of (decoded.answers ?? []).entries()) {
        const given = parts.answer[i]!;
        if (given.type === TYPE.A && 'data' in answer) assert.equal(answer.data, rdataText(given));
      }
    }),
    { numRuns: 200 },
  );
});

t.test('a message of dns-packet, which does not compress, is read', async (t) => {
  const encoded = dnsPacket.encode({
    type: 'response',
    id: 7,
    questions: [{ type: 'MX', name: 'example.org' }],
    answers: [
      { type: 'MX', name: 'example.org', ttl: 60, data: { preference: 10, exchange: 'mx.example.org' } },
      { type: 'CAA', name: 'example.org', ttl: 60, data: { tag: 'issue', value: 'ca.test' } },
    ],
  });
  const decoded = decodeMessage(encoded)!;
  t.equal(rdataText(decoded.answer[0]!), '10 mx.example.org.');
  t.match(recordData(decoded.answer[1]!), { tag: 'issue', value: 'ca.test' });
  const again = encodeMessage({ ...decoded, flags: FLAG_QR }, 65535)!;
  t.ok(again.length < encoded.length, 'ours is shorter');
  t.strictSame(decodeMessage(again)!.answer, decoded.answer);
});

t.test('compression keeps the case of the query and points into it', async (t) => {
  const question = { name: 'Web.Default.SVC.cluster.local.', type: TYPE.A, class: CLASS_IN };
  const nothing = { id: 1, flags: FLAG_QR, rcode: 0, authority: [], additional: [], edns: undefined };
  const answer = [0, 1, 2, 3].map((i) => addressRecord(question.name, 5, Uint8Array.of(10, 0, 0, i)));
  const encoded = encodeMessage({ ...nothing, question, answer }, 512)!;
  t.equal(encoded.length, 12 + 31 + 4 + 4 * 16, 'two bytes an owner');
  const lower = question.name.toLowerCase();
  const other = encodeMessage(
    { ...nothing, question, answer: [addressRecord(lower, 5, Uint8Array.of(1, 2, 3, 4))] },
    512,
  )!;
  t.equal(decodeMessage(other)!.answer[0]!.name, lower, 'a name in another case is written out');
});

t.test('a reply over the limit is cut between records and marked', async (t) => {
  const question = { name: 'many.default.svc.cluster.local.', type: TYPE.A, class: CLASS_IN };
  const answer = Array.from({ length: 100 }, (_, i) => addressRecord(question.name, 5, Uint8Array.of(10, 0, 0, i)));
  const edns = { udpSize: 1232, version: 0, dnssecOk: false, options: [] };
  const parts = { id: 1, flags: FLAG_QR, rcode: 0, question, authority: [], additional: [], answer };
  for (const [limit, opt] of [
    [512, undefined],
    [1232, edns],
    [513, edns],
    [600, undefined],
  ] as const) {
    const encoded = encodeMessage({ ...parts, edns: opt }, limit)!;
    const decoded = decodeMessage(encoded)!;
    t.ok(encoded.length <= limit && encoded.length > limit - 16, `${encoded.length} of ${limit} bytes used`);
    t.ok((decoded.flags & FLAG_TC) !== 0, 'TC');
    t.strictSame(decoded.answer, answer.slice(0, decoded.answer.length), 'the first records, whole');
    t.strictSame(decoded.edns, opt, 'the OPT record stays');
  }
  const fits = encodeMessage({ ...parts, edns: undefined }, 65535)!;
  t.equal(decodeMessage(fits)!.answer.length, 100);
  t.equal(decodeMessage(fits)!.flags & FLAG_TC, 0);
});

t.test('the additional section is cut first, and that sets TC too', async (t) => {
  const question = { name: '_http._tcp.h.default.svc.cluster.local.', type: TYPE.SRV, class: CLASS_IN };
  const names = Array.from({ length: 12 }, (_, i) => `pod-${i}.h.default.svc.cluster.local.`);
  const answer = names.map((target) => srvRecord(question.name, 5, 8, 80, target));
  const additional = names.map((target, i) => addressRecord(target, 5, Uint8Array.of(10, 0, 0, i)));
  const parts = { id: 1, flags: FLAG_QR, rcode: 0, question, authority: [], edns: undefined };
  const whole = encodeMessage({ ...parts, answer, additional }, 65535)!.length;
  const decoded = decodeMessage(encodeMessage({ ...parts, answer, additional }, whole - 1)!)!;
  t.equal(decoded.answer.length, 12);
  t.equal(decoded.additional.length, 11);
  t.ok((decoded.flags & FLAG_TC) !== 0);
});

t.test('names that cannot be written are refused, not garbled', async (t) => {
  const parts = { id: 1, flags: 0, rcode: 0, question: undefined, authority: [], additional: [], edns: undefined };
  for (const bad of [`${'a'.repeat(64)}.`, 'a..b.', `${'a.'.repeat(128)}`, 'höhe.', '', 'no-dot', '.a.']) {
    t.equal(
      encodeMessage({ ...parts, answer: [addressRecord(bad, 1, new Uint8Array(4))] }, 512),
      undefined,
      JSON.stringify(bad),
    );
  }
  t.throws(() => recordFrom({ type: 'A', name: 'a..b', ttl: 1, data: '1.2.3.4' }));
  const longest = `${'a'.repeat(63)}.${'b'.repeat(63)}.${'c'.repeat(63)}.${'d'.repeat(61)}.`;
  t.ok(
    encodeMessage({ ...parts, answer: [addressRecord(longest, 1, new Uint8Array(4))] }, 512),
    '255 bytes are a name',
  );
});

t.test('labels with any byte survive', async (t) => {
  const raw = Uint8Array.from([
    0, 9, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 4, 0x2e, 0xc3, 0x28, 0x5c, 2, 0x61, 0x20, 0, 0, 1, 0, 1,
  ]);
  const decoded = decodeQuery(raw);
  if (decoded.kind !== 'query') return t.fail('not read');
  const { question } = decoded.query;
  t.equal(question.name, '\\.\\195\\(\\\\.a\\ .');
  const nothing = { rcode: 0, answer: [], authority: [], additional: [], edns: undefined };
  const again = encodeMessage({ id: 9, flags: 0x100, question, ...nothing }, 512)!;
  t.strictSame(Uint8Array.from(again), raw, 'written as it was');
  return undefined;
});

t.test('what a client sends is taken, refused or ignored as by miekg/dns', async (t) => {
  const good = Buffer.from(dnsPacket.encode({ type: 'query', id: 5, questions: [{ type: 'A', name: 'a.b' }] }));
  const changed = (at: number, value: number): Buffer => {
    const copy = Buffer.from(good);
    copy.writeUInt16BE(value, at);
    return copy;
  };
  t.match(decodeQuery(good), { kind: 'query', query: { id: 5, question: { name: 'a.b.', type: 1, class: 1 } } });
  t.match(decodeQuery(changed(2, 0x8000)), { kind: 'ignore' }, 'a response');
  t.match(decodeQuery(good.subarray(0, 11)), { kind: 'ignore' }, 'no header');
  t.match(decodeQuery(changed(2, 5 << 11)), { kind: 'reject', rcode: 4 }, 'an update');
  t.match(decodeQuery(changed(4, 0)), { kind: 'reject', rcode: 1 }, 'no question');
  t.match(decodeQuery(changed(4, 2)), { kind: 'reject', rcode: 1 }, 'two questions');
  t.match(decodeQuery(changed(6, 1)), { kind: 'query' }, 'an answer that is not there is overlooked');
  t.match(decodeQuery(changed(6, 2)), { kind: 'reject', rcode: 1 }, 'two answers');
  t.match(decodeQuery(good.subarray(0, 12)), { kind: 'reject', rcode: 2 }, 'nothing but a header');
  t.match(decodeQuery(good.subarray(0, 15)), { kind: 'reject', rcode: 1, id: 5 }, 'cut in the name');
  t.match(
    decodeQuery(Buffer.concat([good, Buffer.from('xx')])),
    { kind: 'query' },
    'bytes after the end are overlooked',
  );
  const looping = Buffer.concat([good.subarray(0, 12), Buffer.from([0xc0, 12, 0, 1, 0, 1])]);
  t.match(decodeQuery(looping), { kind: 'reject', rcode: 1 }, 'a name that points at itself');
});

t.test('foreign bytes never throw', async () => {
  const mutated = fc
    .tuple(message, fc.array(fc.tuple(u16, fc.nat(255)), { maxLength: 8 }), fc.nat(200))
    .map(([parts, edits, cut]) => {
      const encoded = encodeMessage(parts, 65535)!;
      for (const [at, value] of edits) encoded[at % encoded.length] = value;
      return encoded.subarray(0, Math.max(0, encoded.length - (cut > 100 ? 0 : cut)));
    });
  fc.assert(
    fc.property(fc.oneof(mutated, fc.uint8Array({ maxLength: 80 })), (raw) => {
      decodeQuery(raw);
      const decoded = decodeMessage(raw);
      // What was read can be written again, unless it is too long.
      if (decoded !== undefined) encodeMessage({ ...decoded, flags: 0 }, 65535);
    }),
    { numRuns: 3000 },
  );
});
