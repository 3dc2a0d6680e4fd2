// A table that transactions changed again and again, some of them in vain, decides as one that is made at once: whatever chains have
// grown, moved, shrunk, gone and come again, and whoever led to them meanwhile.
import t from 'tap';
import type { Expression, NftCommand, NftVerdict } from '../../../../src/kernel/netfilter/nftables/ruleset.ts';
import { Lab } from '../../../support/kernel.ts';
import { base, chain, commit, decide, element, rule, rulesMet, verdict } from '../../../support/nft.ts';
import { fc } from '../../../support/property.ts';

const CHAINS = 6;
const PORTS = [1, 2, 3];
/** More words than a rule may have. */
const TOO_LONG: readonly Expression[] = new Array(2100).fill({ kind: 'l4proto', proto: 17 });

/** What table `t` is to hold: rules by chain, `f`'s being the same always, and verdicts by port. */
interface Wanted {
  readonly chains: Map<string, readonly Expression[][]>;
  readonly ports: Map<number, NftVerdict>;
}

const plain = fc
  .tuple(fc.constantFrom(...PORTS), fc.integer({ min: 1, max: 0xffff }))
  .map(([port, value]): Expression[] => [
    { kind: 'dport', proto: 17, port },
    { kind: 'mark-set', operator: 'xor', value },
  ]);
const target = fc.nat(CHAINS - 1);
const leadsTo = fc.oneof(
  target.map((to) => ({ to, kind: 'jump' as const, times: 0 })),
  target.map((to) => ({ to, kind: 'goto' as const, times: 0 })),
  fc.record({
    to: target,
    kind: fc.constantFrom('jump' as const, 'goto' as const),
    times: fc.integer({ min: 1, max: 40 }),
  }),
);
const change = fc.oneof(
  fc.record({
    kind: fc.constant('fill' as const),
    chain: target,
    plain: fc.array(plain, { maxLength: 30 }),
    leads: fc.array(leadsTo, { maxLength: 2 }),
    end: fc.constantFrom('accept' as const, 'drop' as const, 'return' as const, undefined),
  }),
  fc.record({ kind: fc.constant('element' as const), port: fc.constantFrom(...PORTS), to: target }),
  fc.record({ kind: fc.constant('delete' as const), chain: target }),
);
const failure = fc.constantFrom('none' as const, 'none' as const, 'apply' as const, 'compile' as const);

t.test('a table decides by what it holds, not by how it came to hold it', (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.array(change, { minLength: 1, maxLength: 6 }), failure), { minLength: 1, maxLength: 20 }),
      (transactions) => {
        const lab = new Lab();
        let held: Wanted = { chains: new Map(), ports: new Map() };
        commit(lab, ...frame(held));
        for (const [changes, failure] of transactions) {
          const wanted: Wanted = { chains: new Map(held.chains), ports: new Map(held.ports) };
          const commands = changes.flatMap((c) => apply(wanted, c));
          if (failure === 'apply') commands.push(rule('f', verdict('jump', 'nowhere')));
          if (failure === 'compile') commands.push(chain('z'), rule('z', ...TOO_LONG));
          if (isCommitted(lab, commands)) held = wanted;
          const fresh = new Lab();
          commit(fresh, ...frame(held));
          const [is, should] = [decisions(lab), decisions(fresh)];
          fresh.close();
          if (is !== should) throw new Error(`${is}\n, and made at once\n${should}`);
        }
        lab.close();
      },
    ),
    { numRuns: 40 },
  );
  t.pass('after whatever was committed and refused');
  t.end();
});

function decisions(lab: Lab): string {
  return JSON.stringify([...PORTS, 4].map((dport) => [decide(lab, { dport }), rulesMet(lab, { dport })]));
}

/** False: refused. */
function isCommitted(lab: Lab, commands: readonly NftCommand[]): boolean {
  try {
    commit(lab, ...commands);
    return true;
  } catch (error) {
    if (!['ENOENT', 'E2BIG', 'EBUSY'].includes((error as { code?: string }).code ?? '')) throw error;
    return false;
  }
}

/** Everything in one transaction. */
function frame({ chains, ports }: Wanted): NftCommand[] {
  return [
    base('f', 'filter', 'forward', 0),
    { command: 'add-map', map: { name: 'm', key: 'proto.port' } },
    ...Array.from(chains.keys(), chain),
    rule('f', { kind: 'vmap', map: 'm' }),
    ...[...chains].flatMap(([name, rules]) => rules.map((expressions) => rule(name, ...expressions))),
    ...Array.from(ports, ([port, v]) => element('m', '0.0.0.0', port, v)),
  ];
}

/** Changes what is wanted; returns what does the same to the kernel. */
function apply({ chains, ports }: Wanted, c: typeof change extends fc.Arbitrary<infer C> ? C : never): NftCommand[] {
  const make = (name: string): NftCommand => {
    if (!chains.has(name)) chains.set(name, []);
    return chain(name);
  };
  switch (c.kind) {
    case 'fill': {
      const name = `c${c.chain}`;
      // To a later one alone, so that there are no loops.
      const leads = c.leads.filter(({ to }) => to > c.chain);
      const rules: Expression[][] = [
        ...c.plain,
        ...leads.map(({ kind, to, times }) => {
          const v: NftVerdict = { kind, chain: `c${to}` };
          return times === 0
            ? [verdict(kind, v.chain)]
            : [{ kind: 'numgen-vmap' as const, verdicts: Array.from({ length: times }, () => v) }];
        }),
        ...(c.end ? [[verdict(c.end)]] : []),
      ];
      const made = [name, ...leads.map(({ to }) => `c${to}`)].map(make);
      chains.set(name, rules);
      return [...made, { command: 'flush-chain', name }, ...rules.map((expressions) => rule(name, ...expressions))];
    }
    case 'element': {
      const key = { addr: 0, proto: 17, port: c.port };
      const gone: NftCommand[] = ports.has(c.port) ? [{ command: 'delete-map-element', map: 'm', key }] : [];
      const v: NftVerdict = { kind: 'goto', chain: `c${c.to}` };
      ports.set(c.port, v);
      return [make(v.chain), ...gone, element('m', '0.0.0.0', c.port, v)];
    }
    case 'delete': {
      const name = `c${c.chain}`;
      if (!chains.delete(name)) return [];
      return [{ command: 'delete-chain', name }];
    }
  }
}
