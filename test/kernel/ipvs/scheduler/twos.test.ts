import t from 'tap';
import type { Dest } from '../../../../src/kernel/ipvs/dest.ts';
import { DestTable } from '../../../../src/kernel/ipvs/dest.ts';
import { DEST_ACTIVE_CONNS, DEST_INACT_CONNS, DEST_ROW } from '../../../../src/kernel/ipvs/rows.ts';
import { schedulers } from '../../../../src/kernel/ipvs/scheduler/registry.ts';
import { VirtualService } from '../../../../src/kernel/ipvs/service.ts';
import { VirtualClock } from '../../../../src/lib/clock.ts';
import { SeededRng } from '../../../../src/lib/rng.ts';

const SEED = 5;
const PICKS = 20_000;

/** Dests with these weights, the last of which is the head of the list. */
function service(...weights: readonly number[]): {
  svc: VirtualService;
  dests: Dest[];
  count: (dest: Dest, column: number, conns: number) => void;
  close: () => void;
} {
  const svc = new VirtualService(
    { proto: 6, addr: 1, port: 80, scheduler: 'twos', flags: 0 },
    schedulers(new SeededRng(SEED)),
  );
  const table = new DestTable(new VirtualClock());
  const dests = weights.map((weight, i) => svc.addDest({ addr: i + 1, port: 80, weight }, table)!);
  const count = (dest: Dest, column: number, conns: number): void => {
    table.words[dest.id * DEST_ROW + column] = conns;
  };
  return { svc, dests, count, close: () => table.close() };
}

t.test('of two that are drawn the less loaded one is taken, for its weight', async (t) => {
  const { svc, dests, count, close } = service(1, 1);
  count(dests[0]!, DEST_ACTIVE_CONNS, 5);
  const shares = new Map(svc.scheduler.shares(1, 1, 1).map(({ dest, probability }) => [dest, probability]));
  // The loaded one needs to be drawn twice, by a number of 2 in 0..2; the head has 0 and 1.
  t.ok(Math.abs(shares.get(dests[0]!)! - 1 / 9) < 1e-9);
  t.ok(Math.abs(shares.get(dests[1]!)! - 8 / 9) < 1e-9);
  close();
});

t.test(`picks come out as the shares say (seed ${SEED})`, async (t) => {
  const { svc, dests, count, close } = service(3, 0, 1, 4);
  count(dests[0]!, DEST_INACT_CONNS, 2);
  count(dests[3]!, DEST_ACTIVE_CONNS, 1);
  const counts = new Map<Dest, number>();
  for (let i = 0; i < PICKS; i++) {
    const dest = svc.scheduler.schedule(i, 1, 1)!;
    counts.set(dest, (counts.get(dest) ?? 0) + 1);
  }
  const shares = svc.scheduler.shares(1, 1, 1);
  t.ok(Math.abs(shares.reduce((sum, s) => sum + s.probability, 0) - 1) < 1e-9);
  t.equal(counts.get(dests[1]!), undefined, 'never a weight of 0');
  for (const { dest, probability } of shares) {
    const spread = 5 * Math.sqrt(PICKS * probability * (1 - probability));
    t.ok(Math.abs((counts.get(dest) ?? 0) - PICKS * probability) < spread, `${dest.weight}: ${probability}`);
  }
  close();
});

t.test('without a usable dest a connection is refused', async (t) => {
  const { svc, close } = service(0, 0);
  t.equal(svc.scheduler.schedule(1, 1, 1), null);
  t.same(svc.scheduler.shares(1, 1, 1), []);
  close();
});
