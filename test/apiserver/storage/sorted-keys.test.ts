import t from 'tap';
import { SortedKeys } from '../../../src/apiserver/storage/sorted-keys.ts';
import { fc } from '../../support/property.ts';

t.test('behaves as a sorted set under any sequence of insertions and removals', async (t) => {
  const key = fc.string({ minLength: 1, maxLength: 4, unit: fc.constantFrom('a', 'b', '/', 'c') });
  const steps = fc.array(fc.tuple(fc.boolean(), key), { maxLength: 300 });
  fc.assert(
    fc.property(steps, key, key, (sequence, prefix, after) => {
      const keys = new SortedKeys();
      const model = new Set<string>();
      for (const [add, k] of sequence) {
        if (add) {
          if (keys.add(k) === model.has(k)) return false;
          model.add(k);
        } else if (keys.delete(k) !== model.delete(k)) return false;
      }
      const expected = [...model].filter((k) => k.startsWith(prefix) && k > after).sort();
      const whole = [...model].filter((k) => k.startsWith(prefix)).sort();
      return (
        keys.size === model.size &&
        [...keys.range(prefix, after)].join(' ') === expected.join(' ') &&
        [...keys.range(prefix)].join(' ') === whole.join(' ')
      );
    }),
  );
  t.pass();
});

t.test('splits its blocks and keeps the order over many keys', async (t) => {
  const keys = new SortedKeys();
  const all: string[] = [];
  for (let i = 0; i < 5000; i++) {
    const key = `/pods/${String((i * 7919) % 5000).padStart(5, '0')}`;
    all.push(key);
    keys.add(key);
  }
  t.same([...keys.range('/pods/')], all.sort());
  for (const key of all) keys.delete(key);
  t.equal(keys.size, 0);
  t.same([...keys.range('')], []);
});
