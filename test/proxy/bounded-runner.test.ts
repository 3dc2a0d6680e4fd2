import t from 'tap';
import { VirtualClock } from '../../src/lib/clock.ts';
import { BoundedRunner } from '../../src/proxy/bounded-runner.ts';

function runnerOn(clock: VirtualClock, minPeriodUs: number, maxPeriodUs = 30e6, costUs = 0) {
  const runs: number[] = [];
  const runner = new BoundedRunner({
    clock,
    minPeriodUs,
    maxPeriodUs,
    run: () => {
      runs.push(clock.nowUs() / 1e3);
      if (costUs > 0) clock.advance(costUs);
    },
  });
  return { runner, runs };
}

t.test('the first request after a quiet time runs at once, a burst once', (t) => {
  const clock = new VirtualClock();
  const { runner, runs } = runnerOn(clock, 1e6);
  clock.advance(5e6);
  for (let i = 0; i < 10; i++) runner.request();
  clock.advance(0);
  t.same(runs, [5000]);
  runner.close();
  t.end();
});

t.test('requests within the least period wait for its end and become one run', (t) => {
  const clock = new VirtualClock();
  const { runner, runs } = runnerOn(clock, 1e6);
  runner.request();
  clock.advance(100e3);
  runner.request();
  clock.advance(100e3);
  runner.request();
  clock.advance(5e6);
  t.same(runs, [0, 1000]);
  runner.close();
  t.end();
});

t.test('without requests it runs every greatest period', (t) => {
  const clock = new VirtualClock();
  const { runner, runs } = runnerOn(clock, 1e6, 30e6);
  runner.runNow();
  clock.advance(61e6);
  t.same(runs, [0, 30_000, 60_000]);
  runner.close();
  clock.advance(100e6);
  t.equal(runs.length, 3, 'and no more once closed');
  t.end();
});

t.test('without a least period a changing cluster is synced as fast as it changes, in steps of 10 ms', (t) => {
  const clock = new VirtualClock();
  const { runner, runs } = runnerOn(clock, 0);
  for (let i = 0; i < 20; i++) {
    runner.request();
    clock.advance(1e3);
  }
  t.same(runs, [0, 10, 20]);
  runner.close();
  t.end();
});
