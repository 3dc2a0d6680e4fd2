// nftables in the kernel: transactions that are all or nothing, references, what packets meet, dynamic sets, and a cost that does
// not grow with the maps. That nft itself reads and prints our text is in test/proxy/kernel-judge.test.ts.
import t from 'tap';
import { TraceRecorder, textOf } from '../../../../src/kernel/core/trace.ts';
import { NF_INET_FORWARD } from '../../../../src/kernel/netfilter/hooks.ts';
import type { Expression, NftCommand, NftVerdict } from '../../../../src/kernel/netfilter/nftables/ruleset.ts';
import { ipv4 } from '../../../../src/tcpip-ts/wire/address.ts';
import { allocated } from '../../../support/allocated.ts';
import { Lab, onNode, POD_A, POD_B } from '../../../support/kernel.ts';
import { base, chain, commit, element, rule, verdict } from '../../../support/nft.ts';
import { icmp, ip, udp } from '../../../support/packet.ts';

const VIP = '10.96.0.10';

function send(lab: Lab, daddr: string, sport: number, dport = 53): void {
  lab.from('a', ip({ saddr: POD_A, daddr }, udp({ sport, dport }, 'hi')));
}

onNode(t, 'a transaction is all or nothing', (t, lab) => {
  commit(
    lab,
    chain('a'),
    chain('b'),
    { command: 'add-map', map: { name: 'm', key: 'addr.proto.port' } },
    { command: 'add-set', set: { name: 's' } },
    { command: 'add-set-element', set: 's', addr: ipv4(VIP) },
    element('m', VIP, 53, { kind: 'goto', chain: 'b' }),
    rule('a', { kind: 'vmap', map: 'm' }),
    rule('a', { kind: 'address-set', field: 'daddr', set: 's' }, verdict('drop')),
  );
  const before = lab.netlink.nftList();
  const changes: NftCommand[] = [
    chain('c'),
    { command: 'flush-chain', name: 'a' },
    { command: 'flush-set', name: 'm' },
    { command: 'delete-set', name: 'm' },
    { command: 'delete-set', name: 's' },
    { command: 'delete-chain', name: 'b' },
    rule('c', verdict('accept')),
  ];
  t.throws(() => commit(lab, ...changes, rule('c', verdict('jump', 'nowhere'))), { code: 'ENOENT' });
  t.equal(lab.netlink.nftList(), before, 'nothing of it stays');
  commit(lab, ...changes);
  t.same(lab.netlink.nftNames('t', 'chains'), ['a', 'c']);
  t.same(lab.netlink.nftNames('t', 'sets'), []);
  lab.netlink.commit([{ op: 'nft', table: 't', commands: [{ command: 'delete-table' }] }]);
  t.equal(lab.netlink.nftList(), '');
});

onNode(t, 'tables are listed one right after the other', (t, lab) => {
  for (const table of ['t', 'u'])
    lab.netlink.commit([{ op: 'nft', table, commands: [{ command: 'add-table' }, chain('x')] }]);
  t.equal(lab.netlink.nftList(), 'table ip t {\n\tchain x {\n\t}\n}\ntable ip u {\n\tchain x {\n\t}\n}\n');
});

onNode(t, 'what is referred to stays, and loops are refused', (t, lab) => {
  commit(
    lab,
    chain('a'),
    chain('b'),
    { command: 'add-map', map: { name: 'm', key: 'proto.port' } },
    rule('a', verdict('jump', 'b')),
    rule('b', { kind: 'vmap', map: 'm' }),
  );
  t.throws(() => commit(lab, { command: 'delete-chain', name: 'b' }), { code: 'EBUSY' });
  t.throws(() => commit(lab, { command: 'delete-set', name: 'm' }), { code: 'EBUSY' });
  t.throws(() => commit(lab, rule('b', verdict('goto', 'a'))), { code: 'ELOOP' });
  t.throws(() => commit(lab, element('m', '0.0.0.0', 53, { kind: 'goto', chain: 'a' })), { code: 'ELOOP' });
  commit(lab, { command: 'add-map', map: { name: 'unused', key: 'proto.port' } });
  commit(lab, element('unused', '0.0.0.0', 53, { kind: 'goto', chain: 'a' }));
  t.throws(() => commit(lab, rule('b', { kind: 'vmap', map: 'unused' })), { code: 'ELOOP' }, 'by a map that was there');
  t.throws(() => commit(lab, { command: 'delete-set-element', set: 'x', addr: 1 }), { code: 'ENOENT' });
  commit(lab, element('m', '0.0.0.0', 53, { kind: 'drop' }));
  t.throws(() => commit(lab, element('m', '0.0.0.0', 53, { kind: 'accept' })), { code: 'EEXIST' });
  t.throws(() => commit(lab, base('a', 'filter', 'forward', 0)), { code: 'EEXIST' });
});

onNode(t, 'a verdict map sends a first packet to its chain, which translates it', (t, lab) => {
  commit(
    lab,
    base('nat', 'nat', 'prerouting', -100),
    chain('svc'),
    { command: 'add-map', map: { name: 'm', key: 'addr.proto.port' } },
    element('m', VIP, 53, { kind: 'goto', chain: 'svc' }),
    rule('nat', { kind: 'vmap', map: 'm' }),
    rule('svc', { kind: 'l4proto', proto: 17 }, { kind: 'dnat', addr: ipv4(POD_B), port: 5353 }),
  );
  const recorder = new TraceRecorder();
  lab.kernel.trace.sink = recorder;
  send(lab, VIP, 1000);
  lab.kernel.trace.sink = null;
  t.match(lab.take('b'), [{ ip: { saddr: POD_A, daddr: POD_B }, udp: { dport: 5353 } }]);
  const texts = recorder.records.flatMap((r) => (r.rule ? [textOf(r.rule)] : []));
  t.ok(texts.includes('add rule ip t nat ip daddr . meta l4proto . th dport vmap @m'), 'the trace names the rules');
  t.ok(texts.includes('add rule ip t svc meta l4proto udp dnat to 10.244.0.6:5353'));
  lab.from('b', ip({ saddr: POD_B, daddr: POD_A }, udp({ sport: 5353, dport: 1000 }, 'ho')));
  t.match(lab.take('a'), [{ ip: { saddr: VIP }, udp: { sport: 53 } }], 'and the answer back');
  send(lab, VIP, 1000, 54);
  t.equal(lab.take('b').length, 0, 'another port is another key');
});

onNode(t, 'a chain that grows is met by all that lead to it', (t, lab) => {
  const pass: Expression[] = Array.from({ length: 20 }, () => ({ kind: 'l4proto', proto: 17 }) as const);
  const to = (port: number): NftCommand => rule('svc', ...pass, { kind: 'dnat', addr: ipv4(POD_B), port });
  commit(
    lab,
    base('nat', 'nat', 'prerouting', -100),
    chain('via'),
    chain('svc'),
    { command: 'add-map', map: { name: 'm', key: 'addr.proto.port' } },
    element('m', VIP, 53, { kind: 'goto', chain: 'svc' }),
    rule('nat', { kind: 'vmap', map: 'm' }),
    rule('nat', verdict('jump', 'via')),
    rule('via', { kind: 'numgen-vmap', verdicts: [{ kind: 'goto', chain: 'svc' }] }),
  );
  const grow = (...commands: NftCommand[]): void => {
    lab.netlink.commit([{ op: 'nft', table: 't', commands: [{ command: 'flush-chain', name: 'svc' }, ...commands] }]);
  };
  for (const rules of [1, 5, 40, 2]) {
    grow(
      ...Array.from({ length: rules - 1 }, () => rule('svc', { kind: 'dport', proto: 6, port: 1 }, verdict('drop'))),
      to(5000 + rules),
    );
    const recorder = new TraceRecorder();
    lab.kernel.trace.sink = recorder;
    send(lab, VIP, 1000 + rules);
    send(lab, POD_B, 2000 + rules, 9);
    lab.kernel.trace.sink = null;
    t.match(lab.take('b'), [{ udp: { dport: 5000 + rules } }, { udp: { dport: 5000 + rules } }], `${rules} rules`);
    const matched = recorder.records.flatMap((r) => (r.rule ? [textOf(r.rule)] : []));
    t.equal(matched.filter((text) => text.endsWith(`:${5000 + rules}`)).length, 2, 'and the trace names it');
  }
  t.throws(() => grow(to(1), rule('svc', verdict('jump', 'nowhere'))), { code: 'ENOENT' });
  send(lab, VIP, 3000);
  t.match(lab.take('b'), [{ udp: { dport: 5002 } }], 'a transaction that fails leaves it as it was');
});

onNode(t, 'chains run by priority; drop ends a packet, accept only its base chain', (t, lab) => {
  commit(
    lab,
    base('late', 'filter', 'forward', 10),
    base('early', 'filter', 'forward', -10),
    rule('early', { kind: 'mark-set', operator: 'or', value: 1 }, verdict('accept')),
    rule('early', verdict('drop')),
    rule('late', { kind: 'mark', mask: 1, value: 0 }, verdict('accept')),
    rule('late', { kind: 'dport', proto: 17, port: 53 }, { kind: 'reject' }),
  );
  send(lab, POD_B, 1000);
  t.match(lab.take('a'), [{ icmp: { type: 3, code: 3 } }]);
  send(lab, POD_B, 1000, 54);
  t.equal(lab.take('b').length, 1);
  lab.from('a', ip({ saddr: POD_A, daddr: POD_B }, icmp({ type: 8, id: 1, seq: 1 })));
  t.equal(lab.take('b').length, 1, 'ICMP has no port');
  lab.netlink.commit([{ op: 'nft', table: 't', commands: [{ command: 'delete-table' }] }]);
  lab.clock.advance(2e6);
  send(lab, POD_B, 1000);
  t.equal(lab.take('b').length, 1, 'and leave the hook with their table');
});

onNode(t, 'an interface is known by its name or how it begins, also one that comes later', (t, lab) => {
  commit(lab, base('f', 'filter', 'forward', 0));
  const passes = (name: string, invert = false, from = 'a'): boolean => {
    commit(lab, { command: 'flush-chain', name: 'f' }, rule('f', { kind: 'iifname', name, invert }, verdict('drop')));
    lab.from(from, ip({ saddr: from === 'a' ? POD_A : '10.244.0.7', daddr: POD_B }, udp({ sport: 1, dport: 2 }, 'hi')));
    return lab.take('b').length === 1;
  };
  for (const name of ['vetha', 'veth*', '*']) t.same([passes(name), passes(name, true)], [false, true], name);
  for (const name of ['veth', 'vethb', 'eth*']) t.same([passes(name), passes(name, true)], [true, false], name);
  commit(lab, { command: 'flush-chain', name: 'f' }, rule('f', { kind: 'iifname', name: 'vethc' }, verdict('drop')));
  lab.pod('c', '10.244.0.7');
  t.notOk(passes('vethc', false, 'c'));
  t.ok(passes('vethc'));
});

onNode(t, 'return goes back to the caller, goto does not', (t, lab) => {
  commit(
    lab,
    base('f', 'filter', 'forward', 0),
    chain('j'),
    chain('g'),
    chain('r'),
    rule('f', verdict('jump', 'j')),
    rule('f', { kind: 'dport', proto: 17, port: 1 }, verdict('drop')),
    rule('j', verdict('goto', 'g')),
    rule('j', verdict('drop')),
    rule('g', verdict('jump', 'r')),
    rule('r', verdict('return')),
    rule('r', verdict('drop')),
  );
  send(lab, POD_B, 1000, 2);
  t.equal(lab.take('b').length, 1);
  send(lab, POD_B, 1000, 1);
  t.equal(lab.take('b').length, 0, 'after all of them the base chain goes on');
});

onNode(t, 'a dynamic set holds a client for its timeout, each packet anew', (t, lab) => {
  commit(
    lab,
    base('f', 'filter', 'forward', 0),
    { command: 'add-set', set: { name: 's', timeoutS: 10 } },
    rule('f', { kind: 'dport', proto: 17, port: 1 }, { kind: 'update', set: 's' }, verdict('accept')),
    rule('f', { kind: 'address-set', field: 'saddr', set: 's' }, verdict('accept')),
    rule('f', verdict('drop')),
  );
  const passes = (): boolean => {
    send(lab, POD_B, 1000, 2);
    return lab.take('b').length === 1;
  };
  t.notOk(passes(), 'unknown');
  send(lab, POD_B, 1000, 1);
  lab.take('b');
  lab.clock.advance(9e6);
  t.ok(passes());
  t.match(lab.netlink.nftList(), 'elements = { 10.244.0.5 expires 1s }');
  send(lab, POD_B, 1000, 1);
  lab.take('b');
  lab.clock.advance(9e6);
  t.ok(passes(), 'refreshed');
  lab.clock.advance(2e6);
  t.notOk(passes(), 'gone');
  t.notMatch(lab.netlink.nftList(), 'elements');
});

t.test(
  'a dispatch allocates nothing but a random number, and looks at few of the elements, be they 10 or 50,000',
  async (t) => {
    for (const n of [10, 50_000]) {
      const lab = new Lab();
      const targets = ['x', 'y'].map((name): NftVerdict => ({ kind: 'goto', chain: name }));
      commit(
        lab,
        base('f', 'filter', 'forward', 0),
        chain('x'),
        chain('y'),
        chain('z'),
        { command: 'add-map', map: { name: 'm', key: 'addr.proto.port' } },
        { command: 'add-set', set: { name: 's', timeoutS: 60 } },
        ...Array.from({ length: n }, (_, i) =>
          element('m', `10.96.${i >> 8}.${i & 255}`, 53, { kind: 'goto', chain: 'z' }),
        ),
        rule('z', { kind: 'numgen-vmap', verdicts: targets }),
        ...['x', 'y'].map((name) =>
          rule(name, { kind: 'update', set: 's' }, { kind: 'mark-set', operator: 'or', value: 64 }),
        ),
        rule(
          'f',
          { kind: 'address-in', field: 'saddr', prefixes: [[ipv4('192.0.2.0'), 24]], invert: true },
          {
            kind: 'vmap',
            map: 'm',
          },
        ),
      );
      const skb = lab.pool.alloc()!;
      const packet = ip({ saddr: POD_A, daddr: '10.96.0.5' }, udp({ sport: 1, dport: 53 }, 'x'));
      skb.bytes.set(packet, skb.nh);
      skb.th = skb.nh + 20;
      skb.tail = skb.nh + packet.length;
      const work = (): void => {
        for (let i = 0; i < 200_000; i++) lab.kernel.hooks.run(NF_INET_FORWARD, skb);
      };
      for (let i = 0; i < 3; i++) work();
      t.equal(skb.mark, 64, 'the packet went through');
      const enough = 200_000 * 16 + 65_536; // sampling counts some of its own
      const bytes = await allocated(enough, work);
      // numgen's: a random number above 2^31 is no small integer, and is boxed (16 bytes) where the generator is not inlined.
      t.ok(bytes <= enough, `${bytes} bytes for 200,000 packets among ${n}`);
      lab.close();
    }
    // Looking at all of them for each of those packets would take hours; bench/proxies has the ratio of the times, 1.2.
  },
);
