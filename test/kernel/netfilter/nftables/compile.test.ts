// What a program can hold, up to its limits and one beyond: words of a rule, prefixes, verdicts of a numgen.
import t from 'tap';
import { NF_ACCEPT, NF_DROP } from '../../../../src/kernel/netfilter/hooks.ts';
import type { Expression, NftCommand } from '../../../../src/kernel/netfilter/nftables/ruleset.ts';
import { formatIPv4, ipv4 } from '../../../../src/tcpip-ts/wire/address.ts';
import { isInPrefix, networkOf } from '../../../../src/tcpip-ts/wire/ip-address.ts';
import { Lab, onNode } from '../../../support/kernel.ts';
import { base, chain, commit, decide, rule, verdict } from '../../../support/nft.ts';

const UDP: Expression = { kind: 'l4proto', proto: 17 };
const TCP: Expression = { kind: 'l4proto', proto: 6 };
const mark = (value: number): Expression => ({ kind: 'mark-set', operator: 'or', value });
const times = (n: number, e: Expression): Expression[] => Array.from({ length: n }, () => e);
const flush = (name: string): NftCommand => ({ command: 'flush-chain', name });

onNode(t, 'a rule of 2047 words is run, and skipped; with one more it is refused, and all is as it was', (t, lab) => {
  commit(lab, base('f', 'filter', 'forward', 0), chain('g'), rule('f', verdict('jump', 'g')));
  commit(lab, rule('f', TCP, ...times(2044, UDP), verdict('drop')), rule('f', ...times(2044, UDP), mark(1)));
  t.match(decide(lab, {}), { verdict: NF_ACCEPT, mark: 1 });
  commit(lab, rule('f', ...times(2045, UDP), verdict('drop')));
  t.match(decide(lab, {}), { verdict: NF_DROP, mark: 1 });
  commit(lab, flush('f'), rule('f', verdict('jump', 'g'), UDP), rule('g', mark(2)));
  const before = [lab.netlink.nftList(), decide(lab, {})];
  const grown = Array.from({ length: 50 }, () => rule('g', mark(4)));
  const tooLong = rule('f', ...times(2046, UDP), verdict('drop'));
  t.throws(() => commit(lab, flush('g'), ...grown, tooLong), { code: 'E2BIG' });
  t.same([lab.netlink.nftList(), decide(lab, {})], before);
});

t.test('prefixes of every length hold what is in them, by themselves and as ranges', (t) => {
  const lab = new Lab();
  commit(lab, base('f', 'filter', 'forward', 0));
  const matches = (saddr: number, e: Expression): boolean => {
    commit(lab, flush('f'), rule('f', e, mark(1)));
    return decide(lab, { saddr: formatIPv4(saddr) }).mark === 1;
  };
  for (const text of ['0.0.0.0', '10.96.170.85', '127.255.255.255', '128.0.0.0', '255.255.255.255']) {
    for (let prefixLen = 0; prefixLen <= 32; prefixLen++) {
      const addr = ipv4(text);
      const first = networkOf(addr, prefixLen);
      const last = first + 2 ** (32 - prefixLen) - 1;
      const wrong = [first - 1, first, addr, last, last + 1]
        .filter((saddr) => saddr >= 0 && saddr <= 0xffffffff)
        .flatMap((saddr) =>
          [false, true].flatMap((invert) => {
            const isIn = isInPrefix([first, prefixLen], saddr) !== invert;
            const alone: Expression = { kind: 'address', field: 'saddr', addr, prefixLen, invert };
            const range: Expression = { kind: 'address-in', field: 'saddr', prefixes: [[addr, prefixLen]], invert };
            return [alone, range].filter((e) => matches(saddr, e) !== isIn).map((e) => [formatIPv4(saddr), e]);
          }),
        );
      t.same(wrong, [], `${text}/${prefixLen}`);
    }
  }
  lab.close();
  t.end();
});

onNode(t, 'a numgen goes to each of its verdicts: one, hundreds, at most 65,535', (t, lab) => {
  commit(lab, base('f', 'filter', 'forward', 0));
  const numgen = (n: number): Expression => ({
    kind: 'numgen-vmap',
    verdicts: Array.from({ length: n }, (_, i) => ({ kind: 'goto', chain: `c${i % 300}` })),
  });
  const chains = Array.from({ length: 300 }, (_, i) => [chain(`c${i}`), rule(`c${i}`, mark(i + 1))]).flat();
  commit(lab, ...chains);
  for (const [n, draws] of [
    [1, 20],
    [2, 60],
    [300, 6000],
    [65_535, 6000],
  ] as const) {
    commit(lab, flush('f'), rule('f', numgen(n)));
    const marks = new Set(Array.from({ length: draws }, () => decide(lab, {}).mark));
    t.same([marks.size, marks.has(0)], [Math.min(n, 300), false], `${n} verdicts`);
  }
  for (const n of [1, 2]) {
    const jumps = Array.from({ length: n }, () => ({ kind: 'jump' as const, chain: 'c7' }));
    commit(lab, flush('f'), rule('f', { kind: 'numgen-vmap', verdicts: jumps }));
    t.match(decide(lab, {}), { verdict: NF_ACCEPT, mark: 8 }, 'a jump comes back, and the chain ends there');
    commit(lab, rule('f', verdict('drop')));
    t.match(decide(lab, {}), { verdict: NF_DROP, mark: 8 });
  }
  t.throws(() => commit(lab, rule('f', numgen(65_536))), { code: 'E2BIG' });
  t.throws(() => commit(lab, rule('f', numgen(0))), { code: 'ERANGE' }, 'and of none Linux makes no dice');
});
