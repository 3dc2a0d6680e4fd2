// The table of virtual services against a Map, through growth, deletions and rows that move: what a packet finds is the service, and
// the service's row is where it says.
import t from 'tap';
import { SVC_CURSOR, SVC_ROW } from '../../../src/kernel/ipvs/rows.ts';
import { schedulers } from '../../../src/kernel/ipvs/scheduler/registry.ts';
import { VirtualService } from '../../../src/kernel/ipvs/service.ts';
import { ServiceTable } from '../../../src/kernel/ipvs/service-table.ts';
import { SeededRng } from '../../../src/lib/rng.ts';
import { fc } from '../../support/property.ts';

const SCHEDULERS = schedulers(new SeededRng(1));

t.test('a table of services holds what a Map would', (t) => {
  const command = fc.record({
    proto: fc.constantFrom(6, 17),
    addr: fc.oneof(fc.integer({ min: -20, max: 20 }), fc.integer()),
    port: fc.constantFrom(0, 21, 80),
    deletes: fc.nat(2).map((n) => n === 0),
  });
  fc.assert(
    fc.property(fc.array(command, { maxLength: 300 }), (commands) => {
      const table = new ServiceTable();
      const model = new Map<string, VirtualService>();
      let stamp = 0;
      for (const { proto, addr, port, deletes } of commands) {
        const key = `${proto} ${addr} ${port}`;
        const there = model.get(key);
        if (table.lookup(proto, addr, port) !== there) return false;
        if (there && deletes) {
          table.delete(there);
          model.delete(key);
        } else if (!there) {
          const svc = new VirtualService({ proto, addr, port, scheduler: 'rr', flags: 0 }, SCHEDULERS);
          svc.cursor = ++stamp;
          table.add(svc);
          model.set(key, svc);
        }
        for (const svc of table) {
          const row = table.find(svc.proto, svc.addr, svc.port);
          if (table.at(row) !== svc || table.words[row * SVC_ROW + SVC_CURSOR] !== svc.cursor) return false;
        }
      }
      return table.size === model.size && [...table].every((svc, i) => svc === [...model.values()][i]);
    }),
    { seed: 1, numRuns: 100 },
  );
  t.pass('whatever is added and deleted');
  t.end();
});
