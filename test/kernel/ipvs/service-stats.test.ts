// A service's counters are the sums of its dests', kept where the packet path writes one place only.
import t from 'tap';
import { DestTable } from '../../../src/kernel/ipvs/dest.ts';
import { STAT_CONNS, STAT_IN_PKTS, STATS } from '../../../src/kernel/ipvs/rows.ts';
import { schedulers } from '../../../src/kernel/ipvs/scheduler/registry.ts';
import { VirtualService } from '../../../src/kernel/ipvs/service.ts';
import { VirtualClock } from '../../../src/lib/clock.ts';
import { SeededRng } from '../../../src/lib/rng.ts';

const SCHEDULERS = schedulers(new SeededRng(1));

const SERVICE = { proto: 6, addr: 0x0a60000a, port: 80, scheduler: 'rr', flags: 0 };

function bench() {
  const table = new DestTable(new VirtualClock());
  const add = (svc: VirtualService, port: number) => svc.addDest({ addr: 0x0af40006, port, weight: 1 }, table)!;
  const count = (id: number, packets: number): void => {
    table.stats[id * STATS + STAT_CONNS]!++;
    table.stats[id * STATS + STAT_IN_PKTS]! += packets;
  };
  const of = (svc: VirtualService): number[] => [STAT_CONNS, STAT_IN_PKTS].map((column) => svc.stats(table)[column]!);
  return { table, add, count, of };
}

t.test('what a dest counted stays counted when it is deleted, and is not counted twice when it comes back', (t) => {
  const { table, add, count, of } = bench();
  const svc = new VirtualService(SERVICE, SCHEDULERS);
  const [a, b] = [add(svc, 1), add(svc, 2)];
  count(a.id, 3);
  count(b.id, 4);
  t.same(of(svc), [2, 7]);
  svc.removeDest(a, table);
  t.same(of(svc), [2, 7]);
  t.equal(add(svc, 1), a, 'revived from the trash');
  t.same(of(svc), [2, 7]);
  count(a.id, 10);
  t.same(of(svc), [3, 17]);
  table.close();
  t.end();
});

t.test('a service made anew counts from nothing, though its dest comes from the trash', (t) => {
  const { table, add, count, of } = bench();
  const old = new VirtualService(SERVICE, SCHEDULERS);
  const dest = add(old, 1);
  count(dest.id, 5);
  old.clear(table);
  const svc = new VirtualService(SERVICE, SCHEDULERS);
  t.equal(add(svc, 1), dest);
  t.same(of(svc), [0, 0]);
  count(dest.id, 2);
  t.same(of(svc), [1, 2]);
  table.close();
  t.end();
});

t.test('a hundred dests have counters of their own', (t) => {
  const { table, add, count, of } = bench();
  const svc = new VirtualService(SERVICE, SCHEDULERS);
  for (let port = 1; port <= 100; port++) count(add(svc, port).id, port);
  t.same(of(svc), [100, 5050]);
  table.close();
  t.end();
});
