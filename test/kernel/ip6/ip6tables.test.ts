// What ip6tables-restore does to the chains that are held: all or nothing, and at the cost of what it names.
import t from 'tap';
import { Ip6tables } from '../../../src/kernel/ip6/ip6tables.ts';
import type { Chain, Rule } from '../../../src/kernel/netfilter/iptables/rule.ts';
import type { IpAddress } from '../../../src/tcpip-ts/wire/ip-address.ts';

type Chain6 = Chain<IpAddress>;

const jump = (chain: string): Rule<IpAddress> => ({ matches: [], target: { kind: 'jump', chain } });
type Op = Parameters<Ip6tables['restore']>[0];
const restore = (tables: Ip6tables, op: Omit<Op, 'op' | 'table'>): void =>
  tables.restore({ op: 'iptables-restore', table: 'filter', ...op });
const names = (tables: Ip6tables): string[] =>
  tables
    .chains('filter')
    .filter((c) => c.policy === undefined)
    .map((c) => c.name);

t.test('chains come, change and go, in order of their names', async (t) => {
  const tables = new Ip6tables();
  restore(tables, {
    chains: [
      { name: 'B', rules: [jump('A')] },
      { name: 'A', rules: [] },
    ],
  });
  t.same(names(tables), ['A', 'B']);
  restore(tables, { ensureFirst: [{ chain: 'INPUT', rule: jump('B') }] });
  restore(tables, { ensureFirst: [{ chain: 'INPUT', rule: jump('B') }] });
  t.equal(tables.chain('filter', 'INPUT')!.rules.length, 1);
  restore(tables, {
    deleteRules: [{ chain: 'INPUT', rule: jump('B') }],
    deleteChains: ['B', 'A'],
  });
  t.same(names(tables), []);
  t.equal(tables.save(), '');
});

t.test('what cannot be is refused and leaves no trace', async (t) => {
  const tables = new Ip6tables();
  restore(tables, {
    chains: [
      { name: 'A', rules: [] },
      { name: 'B', rules: [jump('A')] },
    ],
  });
  const before = tables.save();
  const refused = (op: Omit<Op, 'op' | 'table'>, code: string): void => {
    t.throws(() => restore(tables, { chains: [{ name: 'NEW', rules: [] }], ...op }), { code });
    t.equal(tables.save(), before);
  };
  refused({ deleteChains: ['A'] }, 'EBUSY');
  refused({ deleteChains: ['INPUT'] }, 'EINVAL');
  refused({ chains: [{ name: 'B', rules: [jump('A'), jump('NONE')] }] }, 'ENOENT');
  refused({ ensureFirst: [{ chain: 'NONE', rule: jump('A') }] }, 'ENOENT');
  restore(tables, { chains: [{ name: 'B', rules: [] }], deleteChains: ['A'] });
  t.same(names(tables), ['B'], 'the jump went with it');
});

t.test('chains that are not named are not looked at', async (t) => {
  const tables = new Ip6tables();
  let reads = 0;
  const watched: Chain6 = {
    name: 'WATCHED',
    get rules() {
      reads++;
      return [];
    },
  };
  restore(tables, { chains: [watched] });
  t.not(reads, 0);
  reads = 0;
  restore(tables, { chains: [{ name: 'OTHER', rules: [jump('WATCHED')] }] });
  restore(tables, { deleteChains: ['OTHER'] });
  t.equal(reads, 0);
});
