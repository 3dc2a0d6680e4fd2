import t from 'tap';
import { Expectations } from '../../../src/controller/replicaset/expectations.ts';
import { VirtualClock } from '../../../src/lib/clock.ts';

t.test('an owner is satisfied when all creations have been seen', async (t) => {
  const e = new Expectations(new VirtualClock());
  t.ok(e.satisfied('ns/rs'), 'of nothing');
  e.expectCreations('ns/rs', 2);
  t.notOk(e.satisfied('ns/rs'));
  e.creationObserved('ns/rs');
  t.notOk(e.satisfied('ns/rs'));
  e.creationObserved('ns/rs');
  t.ok(e.satisfied('ns/rs'));
});

t.test('a deletion counts once although it is seen twice', async (t) => {
  const e = new Expectations(new VirtualClock());
  e.expectDeletions('ns/rs', ['ns/a', 'ns/b']);
  e.deletionObserved('ns/rs', 'ns/a');
  e.deletionObserved('ns/rs', 'ns/a');
  t.notOk(e.satisfied('ns/rs'));
  e.deletionObserved('ns/rs', 'ns/b');
  t.ok(e.satisfied('ns/rs'));
});

t.test('expectations end after five minutes', async (t) => {
  const clock = new VirtualClock();
  const e = new Expectations(clock);
  e.expectCreations('ns/rs', 1);
  clock.advance(299e6);
  t.notOk(e.satisfied('ns/rs'));
  clock.advance(2e6);
  t.ok(e.satisfied('ns/rs'));
});
