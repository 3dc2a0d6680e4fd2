// A dynamic set that is full: clients that are new are turned away without a search for each, until somebody's time is over.
import t from 'tap';
import { LookupTable } from '../../../../src/kernel/netfilter/nftables/lookup-table.ts';
import { DYNAMIC_SET_SIZE, SetTable } from '../../../../src/kernel/netfilter/nftables/set-table.ts';

t.test('a full set is searched once for what has expired, and again when something has', (t) => {
  const { forEach } = LookupTable.prototype;
  let searches = 0;
  LookupTable.prototype.forEach = function (visit) {
    searches++;
    forEach.call(this, visit);
  };
  t.teardown(() => {
    LookupTable.prototype.forEach = forEach;
  });
  const net = { nowUs: 0 };
  const set = new SetTable(60);
  for (let addr = 0; addr < DYNAMIC_SET_SIZE; addr++) {
    net.nowUs += 10;
    if (!set.update(addr, net)) t.fail(`${addr} found no room`);
  }
  searches = 0;
  for (let addr = DYNAMIC_SET_SIZE; addr < DYNAMIC_SET_SIZE + 100; addr++)
    t.equal(set.update(addr, net), false, 'a new one is turned away');
  t.equal(set.update(7, net), true, 'one that is in it is refreshed');
  t.ok(searches <= 1, `${searches} searches for 100 of them`);
  net.nowUs = 60e6 + 10 + 500_000; // the first fifty thousand are over, but not the one refreshed
  t.equal(set.update(DYNAMIC_SET_SIZE, net), true);
  t.equal(set.has(7, net), true);
  t.equal(set.has(8, net), false);
  t.equal(set.entries(net.nowUs).length, DYNAMIC_SET_SIZE - 50_001 + 2);
  t.end();
});
