// The table behind sets and maps against a Map, through growth, deletions and reuse of slots.
import t from 'tap';
import { LookupTable, NOT_FOUND } from '../../../../src/kernel/netfilter/nftables/lookup-table.ts';
import { fc } from '../../../support/property.ts';

t.test('a lookup table holds what a Map would', (t) => {
  const command = fc.record({
    first: fc.integer({ min: -40, max: 40 }),
    second: fc.integer({ min: 0, max: 3 }),
    value: fc.integer({ min: 1, max: 1000 }),
    deletes: fc.integer({ min: 0, max: 2 }).map((n) => n === 0),
  });
  fc.assert(
    fc.property(fc.array(command, { maxLength: 400 }), (commands) => {
      const table = new LookupTable();
      const model = new Map<string, number>();
      for (const { first, second, value, deletes } of commands) {
        const key = `${first} ${second}`;
        if (deletes) {
          if (table.delete(first, second) !== model.delete(key)) return false;
        } else {
          table.set(first, second, value);
          model.set(key, value);
        }
        if (table.get(first, second) !== (model.get(key) ?? NOT_FOUND)) return false;
      }
      const held = new Map<string, number>();
      table.forEach((first, second, value) => void held.set(`${first} ${second}`, value));
      return table.size === model.size && [...model].every(([key, value]) => held.get(key) === value);
    }),
    { seed: 1, numRuns: 200 },
  );
  t.pass('whatever is set and deleted');
  t.end();
});
