import t from 'tap';
import { VirtualClock } from '../../src/lib/clock.ts';
import { TimerWheel } from '../../src/lib/timer-wheel.ts';

t.test('timers fire at the first tick at or after their time, however far', (t) => {
  const clock = new VirtualClock();
  const fired: [number, number][] = [];
  const wheel = new TimerWheel(clock, 10_000, (id) => fired.push([id, clock.nowUs()]), 4);
  wheel.arm(1, 25_000);
  wheel.arm(2, 900_000_000);
  wheel.arm(3, 10_000);
  wheel.disarm(3);
  clock.advance(1_000_000_000);
  t.same(fired, [
    [1, 30_000],
    [2, 900_000_000],
  ]);
  t.equal(wheel.armed, 0);
  t.end();
});

t.test('a callback that arms a late timer does not hold up an earlier one', (t) => {
  const clock = new VirtualClock();
  const fired: [number, number][] = [];
  const wheel = new TimerWheel(clock, 10_000, (id) => {
    fired.push([id, clock.nowUs()]);
    if (id === 1) wheel.arm(1, 60_000_000);
  });
  wheel.arm(2, 5_000_000);
  wheel.arm(1, 2_000_000);
  clock.advance(10_000_000);
  t.same(fired, [
    [1, 2_000_000],
    [2, 5_000_000],
  ]);
  t.end();
});
