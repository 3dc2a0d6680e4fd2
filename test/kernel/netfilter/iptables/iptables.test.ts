import { spawnSync } from 'node:child_process';
import t from 'tap';
import type { Chain, Match, Rule, Target } from '../../../../src/kernel/netfilter/iptables/rule.ts';
import { formatRule } from '../../../../src/kernel/netfilter/iptables/save.ts';
import { ipv4 } from '../../../../src/tcpip-ts/wire/address.ts';
import { GATEWAY, type Lab, NODE_IP, onNode, POD_A, POD_B } from '../../../support/kernel.ts';
import { canUseNetns } from '../../../support/netns.ts';
import { icmp, ip, parse, tcp, udp } from '../../../support/packet.ts';

const ACCEPT: Target = { kind: 'ACCEPT' };
const DROP: Target = { kind: 'DROP' };

function rule(target: Target | undefined, ...matches: Match[]): Rule {
  return target ? { matches, target } : { matches };
}

function filter(lab: Lab, ...chains: Chain[]): void {
  lab.netlink.commit([{ op: 'iptables-restore', table: 'filter', chains }]);
}

const udp53 = ip({ saddr: POD_A, daddr: POD_B }, udp({ sport: 4000, dport: 53 }));
const to = (addr: string, prefixLen: number, invert = false): Match => ({
  kind: 'destination',
  addr: ipv4(addr),
  prefixLen,
  invert,
});
const from = (addr: string, prefixLen: number, invert = false): Match => ({
  kind: 'source',
  addr: ipv4(addr),
  prefixLen,
  invert,
});
const proto = (p: number, invert = false): Match => ({ kind: 'protocol', proto: p, invert });
const dport = (first: number, last = first, invert = false): Match => ({ kind: 'dport', first, last, invert });

t.test('matches', async (t) => {
  const cases: [string, boolean, Match[]][] = [
    ['nothing to match', true, []],
    ['destination', true, [to(POD_B, 32)]],
    ['another destination', false, [to(POD_A, 32)]],
    ['not another destination', true, [to(POD_A, 32, true)]],
    ['source network', true, [from('10.244.0.0', 16)]],
    ['not the source network', false, [from('10.244.0.0', 16, true)]],
    ['protocol', true, [proto(17)]],
    ['another protocol', false, [proto(6)]],
    ['not another protocol', true, [proto(6, true)]],
    ['port', true, [proto(17), dport(53)]],
    ['port range', true, [proto(17), dport(50, 60)]],
    ['not in a port range', false, [proto(17), dport(50, 60, true)]],
    ['source port', true, [proto(17), { kind: 'sport', first: 4000, last: 4000 }]],
    ['both ports', false, [proto(17), { kind: 'sport', first: 4000, last: 4000 }, dport(54)]],
    ['interface in', true, [{ kind: 'in-interface', name: 'vetha' }]],
    ['another interface in', false, [{ kind: 'in-interface', name: 'vethb' }]],
    ['interface by prefix', true, [{ kind: 'in-interface', name: 'veth+' }]],
    ['not the interface', false, [{ kind: 'in-interface', name: 'veth+', invert: true }]],
    ['interface out', true, [{ kind: 'out-interface', name: 'vethb' }]],
    ['an interface that is not there', false, [{ kind: 'out-interface', name: 'eth9' }]],
    ['local destination', false, [{ kind: 'addrtype', side: 'dst', type: 'LOCAL' }]],
    ['no local source', true, [{ kind: 'addrtype', side: 'src', type: 'LOCAL', invert: true }]],
    ['new', true, [{ kind: 'ctstate', states: ['NEW'] }]],
    ['established', false, [{ kind: 'ctstate', states: ['RELATED', 'ESTABLISHED'] }]],
    ['mark', true, [{ kind: 'mark', value: 0, mask: 0x4000 }]],
    ['not that mark', false, [{ kind: 'mark', value: 0x4000, mask: 0x4000 }]],
    ['set ip,port', true, [{ kind: 'set', name: 'S', dims: ['dst', 'dst'] }]],
    ['set by the other side', false, [{ kind: 'set', name: 'S', dims: ['src', 'src'] }]],
    ['not in the set', false, [{ kind: 'set', name: 'S', dims: ['dst', 'dst'], invert: true }]],
    ['a comment', true, [{ kind: 'comment', text: 'says nothing' }]],
  ];
  for (const [name, expected, matches] of cases) {
    onNode(t, name, (t, lab) => {
      lab.netlink.commit([
        { op: 'ipset-create', name: 'S', type: 'hash:ip,port' },
        { op: 'ipset-add', name: 'S', entry: { ip: ipv4(POD_B), proto: 17, port: 53 } },
      ]);
      filter(lab, { name: 'FORWARD', rules: [rule(DROP, ...matches)] });
      lab.from('a', udp53);
      t.equal(lab.take('b').length === 0, expected);
    });
  }
});

t.test('walking', async (t) => {
  const chains = (policy: 'ACCEPT' | 'DROP'): Chain[] => [
    {
      name: 'FORWARD',
      policy,
      rules: [
        rule({ kind: 'jump', chain: 'ONE' }),
        rule({ kind: 'jump', chain: 'TWO' }),
        rule(ACCEPT, dport(53), proto(17)),
      ],
    },
    { name: 'ONE', rules: [rule({ kind: 'RETURN' }, proto(17)), rule(DROP)] },
    { name: 'TWO', rules: [rule({ kind: 'goto', chain: 'THREE' }), rule(DROP)] },
    { name: 'THREE', rules: [rule({ kind: 'MARK', value: 0x4000, mask: 0x4000 }, dport(54), proto(17))] },
  ];

  onNode(t, 'jumps return, gotos do not come back to their chain, and counters count', (t, lab) => {
    filter(lab, ...chains('DROP'));
    lab.from('a', udp53);
    lab.from('a', ip({ saddr: POD_A, daddr: POD_B }, udp({ sport: 4000, dport: 54 }, 'ab')));
    t.equal(lab.take('b').length, 1);
    t.equal(
      lab.netlink.iptablesSave('filter', true).replace(/^#.*\n/gm, ''),
      `*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [1:30]
:OUTPUT ACCEPT [0:0]
:ONE - [0:0]
:THREE - [0:0]
:TWO - [0:0]
[2:58] -A FORWARD -j ONE
[2:58] -A FORWARD -j TWO
[1:28] -A FORWARD -p udp -m udp --dport 53 -j ACCEPT
[2:58] -A ONE -p udp -j RETURN
[0:0] -A ONE -j DROP
[1:30] -A THREE -p udp -m udp --dport 54 -j MARK --set-xmark 0x4000/0x4000
[2:58] -A TWO -g THREE
[0:0] -A TWO -j DROP
COMMIT
`,
    );
  });

  onNode(t, 'a chain that a commit leaves alone keeps its counters', (t, lab) => {
    filter(lab, ...chains('ACCEPT'));
    lab.from('a', udp53);
    filter(lab, { name: 'TWO', rules: [] });
    t.match(lab.netlink.iptablesSave('filter', true), '[1:28] -A ONE -p udp -j RETURN');
    t.match(lab.netlink.iptablesSave('filter', true), '[1:28] -A FORWARD -j TWO');
  });

  onNode(t, 'RETURN in a built-in chain is its policy', (t, lab) => {
    filter(lab, { name: 'FORWARD', policy: 'DROP', rules: [rule({ kind: 'RETURN' }), rule(ACCEPT)] });
    lab.from('a', udp53);
    t.same(lab.take('b'), []);
  });

  onNode(t, 'INPUT and OUTPUT see what is for and from the Node', (t, lab) => {
    filter(
      lab,
      { name: 'INPUT', rules: [rule(DROP, dport(1), proto(17))] },
      { name: 'OUTPUT', rules: [rule(DROP, dport(2), proto(17))] },
    );
    for (const port of [1, 3]) lab.from('a', ip({ saddr: POD_A, daddr: NODE_IP }, udp({ sport: 9, dport: port })));
    t.same(
      lab.local.map((b) => parse(b, 'ip').udp!.dport),
      [3],
    );
    for (const port of [2, 3]) lab.send(ip({ saddr: NODE_IP, daddr: POD_A }, udp({ sport: 9, dport: port })));
    t.same(
      lab.take('a').map((p) => p.udp!.dport),
      [3],
    );
  });

  onNode(t, 'mark travels from nat to POSTROUTING, as kube-proxy masquerades', (t, lab) => {
    lab.netlink.commit([
      {
        op: 'iptables-restore',
        table: 'nat',
        chains: [
          { name: 'KUBE-MARK-MASQ', rules: [rule({ kind: 'MARK', value: 0x4000, mask: 0x4000 })] },
          {
            name: 'KUBE-POSTROUTING',
            rules: [
              rule({ kind: 'RETURN' }, { kind: 'mark', value: 0x4000, mask: 0x4000, invert: true }),
              rule({ kind: 'MARK', value: 0x4000, mask: 0 }),
              rule({ kind: 'MASQUERADE', randomFully: false }),
            ],
          },
          { name: 'PREROUTING', rules: [rule({ kind: 'jump', chain: 'KUBE-MARK-MASQ' }, dport(53), proto(17))] },
          { name: 'POSTROUTING', rules: [rule({ kind: 'jump', chain: 'KUBE-POSTROUTING' })] },
        ],
      },
    ]);
    lab.from('a', udp53);
    lab.from('a', ip({ saddr: POD_A, daddr: POD_B }, udp({ sport: 4000, dport: 54 })));
    t.same(
      lab.take('b').map((p) => p.ip!.saddr),
      [GATEWAY, POD_A],
    );
  });
});

t.test('REJECT', async (t) => {
  const reject = (rejectWith: 'icmp-port-unreachable' | 'tcp-reset') =>
    rule({ kind: 'REJECT', rejectWith }, proto(rejectWith === 'tcp-reset' ? 6 : 17));

  onNode(t, 'icmp-port-unreachable from the gateway', (t, lab) => {
    filter(lab, { name: 'FORWARD', rules: [reject('icmp-port-unreachable')] });
    lab.from('a', udp53);
    const [error] = lab.take('a');
    t.match(error, { ip: { saddr: GATEWAY, daddr: POD_A }, icmp: { type: 3, code: 3 } });
    t.match(parse(error!.payload, 'ip'), { udp: { sport: 4000, dport: 53 } });
    t.match(lab.kernel.drops.snapshot(), { NF_REJECT: 1 });
  });

  onNode(t, 'about a packet for the Node: from the address it was sent to', (t, lab) => {
    filter(lab, { name: 'INPUT', rules: [reject('icmp-port-unreachable')] });
    lab.from('a', ip({ saddr: POD_A, daddr: NODE_IP }, udp({ sport: 1, dport: 2 })));
    t.match(lab.take('a'), [{ ip: { saddr: NODE_IP }, icmp: { type: 3, code: 3 } }]);
  });

  onNode(t, 'tcp-reset answers a SYN, data, and never a RST', (t, lab) => {
    filter(lab, { name: 'FORWARD', rules: [reject('tcp-reset')] });
    const send = (fields: { flags: string; seq: number; ack?: number }, data = '') =>
      lab.from('a', ip({ saddr: POD_A, daddr: POD_B }, tcp({ sport: 4000, dport: 80, ...fields }, data)));
    send({ flags: 'S', seq: 100 });
    t.match(lab.take('a'), [
      { ip: { saddr: POD_B, daddr: POD_A }, tcp: { sport: 80, dport: 4000, flags: 'RA', seq: 0, ack: 101 } },
    ]);
    send({ flags: 'A', seq: 100, ack: 777 }, 'data');
    t.match(lab.take('a'), [{ tcp: { flags: 'R', seq: 777 } }]);
    send({ flags: 'R', seq: 100 });
    t.same(lab.take('a'), []);
  });

  onNode(t, 'after DNAT the client sees the address it asked', (t, lab) => {
    lab.netlink.commit([
      {
        op: 'iptables-restore',
        table: 'nat',
        chains: [
          {
            name: 'PREROUTING',
            rules: [rule({ kind: 'DNAT', addr: ipv4(POD_B), port: 8080 }, to('10.96.0.1', 32), proto(6))],
          },
        ],
      },
    ]);
    filter(lab, { name: 'FORWARD', rules: [reject('tcp-reset')] });
    lab.from('a', ip({ saddr: POD_A, daddr: '10.96.0.1' }, tcp({ sport: 4000, dport: 80, flags: 'S', seq: 1 })));
    t.match(lab.take('a'), [{ ip: { saddr: '10.96.0.1' }, tcp: { sport: 80, dport: 4000, flags: 'RA' } }]);
  });
});

t.test('transactions', async (t) => {
  onNode(t, 'user chains named are emptied, built-in ones kept, unnamed ones left alone', (t, lab) => {
    filter(
      lab,
      { name: 'FORWARD', rules: [rule(undefined, dport(1), proto(6))] },
      { name: 'A', rules: [rule(ACCEPT)] },
      { name: 'B', rules: [rule(DROP)] },
    );
    filter(
      lab,
      { name: 'FORWARD', policy: 'DROP', rules: [rule(undefined, dport(2), proto(6))] },
      { name: 'A', rules: [] },
    );
    const text = lab.netlink.iptablesSave('filter');
    t.match(text, ':FORWARD DROP');
    t.match(text, '--dport 1\n-A FORWARD -p tcp -m tcp --dport 2\n-A B -j DROP\nCOMMIT');
    t.notMatch(text, '-A A');
  });

  onNode(t, 'ensureFirst inserts once, at the top; deleteRules and deleteChains take out', (t, lab) => {
    const jump = rule(
      { kind: 'jump', chain: 'KUBE-FORWARD' },
      { kind: 'comment', text: 'kubernetes forwarding rules' },
    );
    filter(lab, { name: 'FORWARD', rules: [rule(ACCEPT)] }, { name: 'KUBE-FORWARD', rules: [] });
    const ensure = {
      op: 'iptables-restore',
      table: 'filter',
      ensureFirst: [{ chain: 'FORWARD', rule: jump }],
    } as const;
    lab.netlink.commit([ensure, { ...ensure, ensureFirst: [{ chain: 'FORWARD', rule: structuredClone(jump) }] }]);
    t.match(
      lab.netlink.iptablesSave('filter'),
      '-A FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD\n-A FORWARD -j ACCEPT\n',
    );
    t.throws(() => lab.netlink.commit([{ op: 'iptables-restore', table: 'filter', deleteChains: ['KUBE-FORWARD'] }]), {
      code: 'EBUSY',
    });
    lab.netlink.commit([
      {
        op: 'iptables-restore',
        table: 'filter',
        deleteRules: [{ chain: 'FORWARD', rule: jump }],
        deleteChains: ['KUBE-FORWARD', 'NONE'],
      },
    ]);
    t.notMatch(lab.netlink.iptablesSave('filter'), 'KUBE-FORWARD');
  });

  onNode(t, 'a refused one changes nothing', (t, lab) => {
    filter(lab, { name: 'FORWARD', rules: [rule(ACCEPT)] });
    const before = lab.netlink.iptablesSave();
    const bad: [string, Chain[]][] = [
      ['ENOENT', [{ name: 'FORWARD', rules: [rule({ kind: 'jump', chain: 'NOWHERE' })] }]],
      ['ENOENT', [{ name: 'FORWARD', rules: [rule(DROP, { kind: 'set', name: 'NOSET', dims: ['dst'] })] }]],
      [
        'ELOOP',
        [
          { name: 'A', rules: [rule({ kind: 'jump', chain: 'B' })] },
          { name: 'B', rules: [rule({ kind: 'goto', chain: 'A' })] },
        ],
      ],
      ['EINVAL', [{ name: 'FORWARD', rules: [rule({ kind: 'MASQUERADE', randomFully: false })] }]],
      ['EINVAL', [{ name: 'A-NAME-LONGER-THAN-28-LETTERS', rules: [] }]],
      ['EINVAL', [{ name: 'A', policy: 'DROP', rules: [] }]],
    ];
    for (const [code, chains] of bad) {
      t.throws(() => filter(lab, ...chains), { name: 'NetlinkError', code, index: 0 });
      t.equal(lab.netlink.iptablesSave(), before);
    }
    const message = 'ipvs-flush: ip_vs is not there: ENOPROTOOPT';
    t.throws(() => lab.netlink.commit([{ op: 'ipvs-flush' }]), { code: 'ENOPROTOOPT', message, index: 0 });
  });
});

t.test('tables without rules are not printed', async (t) => {
  onNode(t, 'only what holds anything', (t, lab) => {
    t.equal(lab.netlink.iptablesSave(), '');
    filter(lab, { name: 'KUBE-X', rules: [] });
    t.match(
      lab.netlink.iptablesSave(),
      /^# Generated by iptables-save v1.8.9 on Thu Jan {2}1 00:00:00 2026\n\*filter\n/,
    );
  });
});

const KUBE_RULES: [string, string, Rule][] = [
  ['nat', '-A KUBE-SERVICES -s 127.0.0.0/8 -j RETURN', rule({ kind: 'RETURN' }, from('127.0.0.0', 8))],
  [
    'nat',
    '-A KUBE-SERVICES -m comment --comment "Kubernetes service cluster ip + port for masquerade purpose" -m set --match-set KUBE-CLUSTER-IP src,dst -j KUBE-MARK-MASQ',
    rule(
      { kind: 'jump', chain: 'KUBE-MARK-MASQ' },
      { kind: 'comment', text: 'Kubernetes service cluster ip + port for masquerade purpose' },
      { kind: 'set', name: 'KUBE-CLUSTER-IP', dims: ['src', 'dst'] },
    ),
  ],
  [
    'nat',
    '-A KUBE-SERVICES ! -s 10.244.0.0/16 -d 10.96.0.10/32 -p udp -m comment --comment "kube-system/kube-dns:dns cluster IP" -m udp --dport 53 -j KUBE-MARK-MASQ',
    rule(
      { kind: 'jump', chain: 'KUBE-MARK-MASQ' },
      { kind: 'comment', text: 'kube-system/kube-dns:dns cluster IP' },
      dport(53),
      proto(17),
      to('10.96.0.10', 32),
      from('10.244.0.0', 16, true),
    ),
  ],
  [
    'nat',
    '-A KUBE-NODE-PORT -m addrtype --dst-type LOCAL -g KUBE-MARK-MASQ',
    rule({ kind: 'goto', chain: 'KUBE-MARK-MASQ' }, { kind: 'addrtype', side: 'dst', type: 'LOCAL' }),
  ],
  [
    'nat',
    '-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN',
    rule({ kind: 'RETURN' }, { kind: 'mark', value: 0x4000, mask: 0x4000, invert: true }),
  ],
  ['nat', '-A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0', rule({ kind: 'MARK', value: 0x4000, mask: 0 })],
  ['nat', '-A KUBE-POSTROUTING -j MASQUERADE --random-fully', rule({ kind: 'MASQUERADE', randomFully: true })],
  [
    'nat',
    '-A KUBE-SERVICES -p tcp -m tcp --sport 1024:65535 ! --dport 80 -j DNAT --to-destination 10.244.0.5:8080',
    rule(
      { kind: 'DNAT', addr: ipv4(POD_A), port: 8080 },
      proto(6),
      { kind: 'sport', first: 1024, last: 65535 },
      dport(80, 80, true),
    ),
  ],
  [
    'filter',
    '-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP',
    rule(DROP, { kind: 'ctstate', states: ['INVALID'] }),
  ],
  [
    'filter',
    '-A KUBE-FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
    rule(ACCEPT, { kind: 'ctstate', states: ['ESTABLISHED', 'RELATED'] }),
  ],
  [
    'filter',
    '-A KUBE-FORWARD -i veth+ ! -o eth0 -p tcp -j REJECT --reject-with tcp-reset',
    rule(
      { kind: 'REJECT', rejectWith: 'tcp-reset' },
      { kind: 'in-interface', name: 'veth+' },
      { kind: 'out-interface', name: 'eth0', invert: true },
      proto(6),
    ),
  ],
  [
    'filter',
    '-A KUBE-FORWARD -m comment --comment "it\\\'s \\"quoted\\" \\\\" -j REJECT --reject-with icmp-port-unreachable',
    rule({ kind: 'REJECT', rejectWith: 'icmp-port-unreachable' }, { kind: 'comment', text: 'it\'s "quoted" \\' }),
  ],
  [
    'filter',
    '-A KUBE-FORWARD -m comment --comment plain-word',
    rule(undefined, { kind: 'comment', text: 'plain-word' }),
  ],
];

t.test('rules are written as iptables-save writes them', async (t) => {
  for (const [, text, r] of KUBE_RULES) t.equal(formatRule(text.split(' ')[1]!, r), text);
});

/** Runs `script` in a network namespace of its own. */
function inNamespace(script: string, input: string): { status: number | null; stdout: string; stderr: string } {
  const { status, stdout, stderr } = spawnSync('unshare', ['-n', 'sh', '-c', script], { input, encoding: 'utf8' });
  return { status, stdout, stderr };
}

t.test('the real iptables reads our text and writes the same', async (t) => {
  if (!canUseNetns(t, 'unshare', 'iptables-legacy-restore', 'iptables-nft-restore')) return;
  onNode(t, 'round trip', (t, lab) => {
    // Sets are left out: their kernel module may be missing. Everything else is.
    const chains = new Map<string, Map<string, Rule[]>>();
    for (const [table, text, r] of KUBE_RULES) {
      if (r.matches.some((m) => m.kind === 'set')) continue;
      const name = text.split(' ')[1]!;
      const byName = chains.get(table) ?? new Map<string, Rule[]>();
      chains.set(table, byName.set(name, [...(byName.get(name) ?? []), r]));
    }
    chains.get('nat')!.set('KUBE-MARK-MASQ', []);
    for (const [table, byName] of chains) {
      const list = [...byName].map(([name, rules]) => ({ name, rules }));
      lab.netlink.commit([{ op: 'iptables-restore', table: table as 'nat' | 'filter', chains: list }]);
    }
    const ours = lab.netlink.iptablesSave();
    for (const variant of ['legacy', 'nft']) {
      const tested = inNamespace(`iptables-${variant}-restore --test`, ours);
      t.equal(tested.status, 0, `iptables-${variant}-restore --test: ${tested.stderr}`);
    }
    const { status, stdout, stderr } = inNamespace('iptables-legacy-restore && iptables-legacy-save', ours);
    t.equal(status, 0, stderr);
    const lines = (text: string) =>
      text
        .split('\n')
        .filter((l) => /^[*:-]|^COMMIT/.test(l))
        .map((l) => l.replace(/\[.*\]$/, ''));
    for (const table of ['nat', 'filter'])
      t.same(tableOf(lines(stdout), table), tableOf(lines(ours), table), `${table} as the kernel prints it`);
  });
});

function tableOf(lines: readonly string[], table: string): string[] {
  const from = lines.indexOf(`*${table}`);
  return lines.slice(from, lines.indexOf('COMMIT', from) + 1);
}

onNode(t, 'an ICMP packet has no ports to match', (t, lab) => {
  filter(lab, { name: 'FORWARD', rules: [rule(DROP, dport(0, 65535))] });
  lab.from('a', ip({ saddr: POD_A, daddr: POD_B }, icmp({ type: 8, id: 1, seq: 1 })));
  t.equal(lab.take('b').length, 1);
});
