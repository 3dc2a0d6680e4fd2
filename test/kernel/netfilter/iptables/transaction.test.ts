// iptables-restore in the emulated kernel costs what it changes: rules that stay are not looked at again, chains that are not named
// not at all. And however chains come and go, what runs is what a table made at once would run.
import t from 'tap';
import type { Chain, Rule, Target } from '../../../../src/kernel/netfilter/iptables/rule.ts';
import { NetlinkError } from '../../../../src/kernel/netlink.ts';
import { ipv4 } from '../../../../src/tcpip-ts/wire/address.ts';
import { Lab, onNode, POD_A, POD_B } from '../../../support/kernel.ts';
import { ip, udp } from '../../../support/packet.ts';
import { fc } from '../../../support/property.ts';

const DROP: Target = { kind: 'DROP' };

function restore(lab: Lab, chains: readonly Chain[], deleteChains: readonly string[] = []): void {
  lab.netlink.commit([{ op: 'iptables-restore', table: 'filter', chains, deleteChains }]);
}

/** A rule for one UDP port that tells whenever somebody reads its matches. */
function counted(port: number, target: Target, read: () => void): Rule {
  const matches = [
    { kind: 'protocol', proto: 17 },
    { kind: 'dport', first: port, last: port },
  ] as const;
  return {
    get matches() {
      read();
      return matches;
    },
    target,
  };
}

function query(dport: number): Uint8Array {
  return ip({ saddr: POD_A, daddr: POD_B }, udp({ sport: 4000, dport }));
}

onNode(t, 'of a chain written anew, only the rules that are new are compiled', (t, lab) => {
  let reads = 0;
  const rules = Array.from({ length: 1000 }, (_, i) => counted(i + 1, DROP, () => reads++));
  const chains = (list: readonly Rule[]): Chain[] => [{ name: 'ALL', rules: list }];
  restore(lab, [
    ...chains(rules),
    { name: 'FORWARD', rules: [{ matches: [], target: { kind: 'jump', chain: 'ALL' } }] },
  ]);
  t.equal(reads, 1000);
  reads = 0;
  restore(
    lab,
    chains(
      rules.toSpliced(
        500,
        1,
        counted(501, { kind: 'ACCEPT' }, () => reads++),
      ),
    ),
  );
  t.equal(reads, 1);
  reads = 0;
  restore(lab, chains(rules.toSpliced(500, 1)));
  t.equal(reads, 0, 'one less');
  restore(lab, [{ name: 'ANOTHER', rules: rules.slice(0, 1) }]);
  t.equal(reads, 1, 'another chain');
  for (const port of [500, 501, 502, 1000]) lab.from('a', query(port));
  t.same(
    lab.take('b').map((p) => p.udp!.dport),
    [501],
  );
});

onNode(t, 'rules that are taken over keep their extension matches', (t, lab) => {
  const marked = (port: number, value: number): Rule => ({
    matches: [
      { kind: 'protocol', proto: 17 },
      { kind: 'dport', first: port, last: port },
      { kind: 'mark', value, mask: 0xff },
    ],
    target: DROP,
  });
  const rules = [marked(1, 1), marked(2, 0), marked(3, 0), marked(4, 1)];
  restore(lab, [
    { name: 'ALL', rules },
    { name: 'FORWARD', rules: [{ matches: [], target: { kind: 'jump', chain: 'ALL' } }] },
  ]);
  restore(lab, [{ name: 'ALL', rules: rules.toSpliced(1, 1) }]);
  for (const port of [1, 2, 3, 4]) lab.from('a', query(port));
  t.same(
    lab.take('b').map((p) => p.udp!.dport),
    [1, 2, 4],
  );
});

onNode(t, 'a built-in chain keeps the counters of the rules that stay', (t, lab) => {
  const rule: Rule = { matches: [{ kind: 'protocol', proto: 17 }] };
  restore(lab, [{ name: 'FORWARD', rules: [rule] }]);
  lab.from('a', query(1));
  const first: Rule = { matches: [{ kind: 'protocol', proto: 6 }] };
  const insert = { op: 'iptables-restore', table: 'filter', ensureFirst: [{ chain: 'FORWARD', rule: first }] } as const;
  lab.netlink.commit([insert]);
  t.match(lab.netlink.iptablesSave('filter', true), ':FORWARD ACCEPT [1:28]');
  t.match(lab.netlink.iptablesSave('filter', true), '[0:0] -A FORWARD -p tcp\n[1:28] -A FORWARD -p udp\n');
});

onNode(t, 'lists of recent live as long as a rule names them', (t, lab) => {
  const set: Rule = { matches: [{ kind: 'recent', name: 'R', op: 'set' }] };
  const check = (): boolean => lab.kernel.iptables.recent.check('R', ipv4(POD_A), 60);
  restore(lab, [
    { name: 'FORWARD', rules: [set] },
    { name: 'ONE', rules: [set] },
  ]);
  lab.from('a', query(1));
  t.ok(check());
  restore(lab, [{ name: 'ONE', rules: [] }]);
  t.ok(check(), 'the other one is left');
  t.throws(() =>
    restore(lab, [{ name: 'ONE', rules: [set, { matches: [], target: { kind: 'jump', chain: 'NONE' } }] }]),
  );
  t.ok(check());
  lab.netlink.commit([{ op: 'iptables-restore', table: 'filter', deleteRules: [{ chain: 'FORWARD', rule: set }] }]);
  restore(lab, [{ name: 'ONE', rules: [set] }]);
  t.notOk(check(), 'a new list of that name');
});

t.test('random chains come and go: jumps that run are jumps that stand there', (t) => {
  const names = ['A', 'B', 'C', 'D', 'E'] as const;
  const chain = fc.record({
    name: fc.constantFrom('FORWARD', ...names),
    jumps: fc.array(fc.constantFrom(...names), { maxLength: 3 }),
  });
  const batch = fc.record({
    chains: fc.uniqueArray(chain, { maxLength: 3, selector: ({ name }) => name }),
    remove: fc.subarray([...names], { maxLength: 2 }),
  });
  const outcomes: Record<string, number> = {};
  fc.assert(
    fc.property(fc.array(batch, { maxLength: 12 }), (batches) => {
      const lab = withPods();
      for (const { chains, remove } of batches) {
        const before = lab.netlink.iptablesSave('filter', true);
        const present = new Map(lab.netlink.chains('filter').map((c) => [c.name, c]));
        const wanted = chains.map(
          ({ name, jumps }): Chain => ({
            name,
            rules: jumps.map((to) => ({ matches: [], target: { kind: 'jump', chain: to } })),
          }),
        );
        let outcome: Outcome = 'done';
        try {
          restore(lab, wanted, remove);
        } catch (error) {
          if (!(error instanceof NetlinkError)) throw error;
          outcome = error.code === 'ELOOP' ? 'loop' : 'missing';
          if (lab.netlink.iptablesSave('filter', true) !== before) throw new Error('a refused one left a trace');
        }
        outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
        for (const c of wanted) {
          const old = c.name === 'FORWARD' ? (present.get(c.name)?.rules ?? []) : [];
          present.set(c.name, { ...c, rules: [...old, ...c.rules] });
        }
        for (const name of remove) present.delete(name);
        if (outcome !== judge(present)) throw new Error(`${outcome}, not ${judge(present)}`);
        if (outcome === 'done') sameAsNew(lab);
      }
      lab.close();
    }),
    { seed: 7, numRuns: 150 },
  );
  t.same(Object.keys(outcomes).sort(), ['done', 'loop', 'missing'], 'all of them happened');
  t.end();
});

/** `missing`: a chain is jumped to that is not there, be it deleted (EBUSY) or never made (ENOENT). */
type Outcome = 'done' | 'loop' | 'missing';

/** What must come of a table with these chains. */
function judge(chains: ReadonlyMap<string, Chain>): Outcome {
  for (const { rules } of chains.values()) {
    for (const { target } of rules) if (target?.kind === 'jump' && !chains.has(target.chain)) return 'missing';
  }
  const visit = (name: string, path: readonly string[]): boolean =>
    path.includes(name) ||
    chains.get(name)!.rules.some(({ target }) => target?.kind === 'jump' && visit(target.chain, [...path, name]));
  return [...chains.keys()].some((name) => visit(name, [])) ? 'loop' : 'done';
}

/** A packet is counted by the same rules as in a kernel that was given the table at once. */
function sameAsNew(lab: Lab): void {
  const fresh = withPods();
  fresh.netlink.commit([{ op: 'iptables-restore', table: 'filter', chains: lab.netlink.chains('filter') }]);
  const [ours, theirs] = [counts(lab), counts(fresh)];
  if (ours !== theirs) throw new Error(`${ours}\ninstead of\n${theirs}`);
  fresh.close();
}

/** The table's text, each line with how often a packet went by. */
function counts(lab: Lab): string {
  const read = (): string[] => lab.netlink.iptablesSave('filter', true).split('\n').slice(1, -2);
  const packets = (line: string): number => Number(/\[(\d+):/.exec(line)?.[1]);
  const before = read();
  lab.from('a', query(1));
  return read()
    .map((line, i) => `${packets(line) - packets(before[i]!)} ${line.replace(/\[\d+:\d+\]/, '')}`)
    .join('\n');
}

function withPods(): Lab {
  const lab = new Lab();
  lab.pod('a', POD_A);
  lab.pod('b', POD_B);
  return lab;
}
