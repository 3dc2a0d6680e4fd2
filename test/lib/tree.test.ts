import t from 'tap';
import { clone, equal, freeze, stableJson } from '../../src/lib/tree.ts';
import { fc } from '../support/property.ts';

t.test('clone, equal and stableJson agree with JSON', async (t) => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.jsonValue(), (a, b) => {
      const copy = clone(freeze(a));
      return (
        equal(copy, a) &&
        equal(a, b) === (stableJson(a) === stableJson(b)) &&
        equal(JSON.parse(stableJson(a)), JSON.parse(JSON.stringify(a)))
      );
    }),
  );
  t.pass();
});

t.test('members that are undefined do not exist, and order does not matter', async (t) => {
  t.ok(equal({ a: 1, b: undefined }, { a: 1 }));
  t.notOk(equal({ a: 1, b: undefined }, { a: 1, b: null }));
  t.notOk(equal({ a: 1 }, { a: 1, b: 2 }));
  t.notOk(equal([1], { 0: 1 }));
  t.notOk('b' in clone({ a: 1, b: undefined }));
  t.ok(equal({ a: { x: 1, y: 2 } }, { a: { y: 2, x: 1 } }));
  const evil = JSON.parse('{"__proto__": {"x": 1}}');
  t.equal(stableJson(clone(evil)), '{"__proto__":{"x":1}}');
});

t.test('a copy may be written to, the frozen original may not', async (t) => {
  const original = freeze({ a: [{ b: 1 }] });
  clone(original).a[0]!.b = 2;
  t.throws(() => {
    original.a[0]!.b = 2;
  }, TypeError);
});
