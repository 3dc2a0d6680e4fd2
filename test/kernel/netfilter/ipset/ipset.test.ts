import t from 'tap';
import { EntryTable } from '../../../../src/kernel/netfilter/ipset/entry-table.ts';
import { IpSet, IpSets } from '../../../../src/kernel/netfilter/ipset/ipset.ts';
import type { IpSetEntry, IpSetType } from '../../../../src/kernel/netlink.ts';
import { ipv4 } from '../../../../src/tcpip-ts/wire/address.ts';
import { onNode, POD_A, POD_B } from '../../../support/kernel.ts';
import { ip, udp } from '../../../support/packet.ts';
import { fc } from '../../../support/property.ts';

const IP = ipv4('10.96.0.10');
const POD = ipv4('10.244.0.5');

t.test('each type tests what it is made of', async (t) => {
  const cases: [
    IpSetType,
    IpSetEntry,
    [ip: number, proto: number, port: number, ip2: number][],
    [number, number, number, number][],
  ][] = [
    ['hash:ip', { ip: IP }, [[IP, 6, 80, 0]], [[POD, 6, 80, 0]]],
    ['hash:net', { ip: ipv4('10.96.0.0'), prefixLen: 24 }, [[IP + 99, 0, 0, 0]], [[IP + 256, 0, 0, 0]]],
    [
      'hash:ip,port',
      { ip: IP, proto: 17, port: 53 },
      [[IP, 17, 53, 0]],
      [
        [IP, 6, 53, 0],
        [IP, 17, 54, 0],
        [POD, 17, 53, 0],
      ],
    ],
    [
      'hash:ip,port,ip',
      { ip: POD, proto: 6, port: 80, ip2: POD },
      [[POD, 6, 80, POD]],
      [
        [POD, 6, 80, IP],
        [POD, 17, 80, POD],
      ],
    ],
    [
      'hash:ip,port,net',
      { ip: IP, proto: 6, port: 80, ip2: ipv4('10.0.0.0'), prefixLen: 8 },
      [[IP, 6, 80, POD]],
      [[IP, 6, 80, ipv4('11.0.0.1')]],
    ],
    [
      'bitmap:port',
      { port: 30001 },
      [
        [0, 6, 30001, 0],
        [9, 17, 30001, 9],
      ],
      [[0, 6, 30002, 0]],
    ],
  ];
  for (const [type, entry, hits, misses] of cases) {
    const set = new IpSet({ type });
    set.add(entry);
    set.add(entry);
    t.equal(set.size, 1);
    for (const args of hits) t.ok(set.test(...args), `${type} has ${args}`);
    for (const args of hits) t.ok(set.test(args[0] | 0, args[1], args[2], args[3] | 0), `${type} has ${args}, signed`);
    for (const args of misses) t.notOk(set.test(...args), `${type} has not ${args}`);
    t.match(set.entries(), [entry]);
    set.delete(entry);
    set.delete(entry);
    t.equal(set.size, 0);
    for (const args of hits) t.notOk(set.test(...args));
  }
});

t.test('ipset save text', async (t) => {
  const sets = new IpSets();
  sets.create('KUBE-CLUSTER-IP', { type: 'hash:ip,port' });
  sets.create('KUBE-LOOP-BACK', { type: 'hash:ip,port,ip' });
  sets.create('KUBE-NODE-PORT-TCP', { type: 'bitmap:port' });
  sets.create('KUBE-LOAD-BALANCER-SOURCE-CIDR', { type: 'hash:ip,port,net' });
  sets.get('KUBE-CLUSTER-IP').set.add({ ip: IP, proto: 17, port: 53 });
  sets.get('KUBE-CLUSTER-IP').set.add({ ip: ipv4('10.96.0.1'), proto: 6, port: 443 });
  sets.get('KUBE-LOOP-BACK').set.add({ ip: POD, proto: 6, port: 8080, ip2: POD });
  sets.get('KUBE-NODE-PORT-TCP').set.add({ port: 30080 });
  sets
    .get('KUBE-LOAD-BALANCER-SOURCE-CIDR')
    .set.add({ ip: IP, proto: 6, port: 80, ip2: ipv4('203.0.113.0'), prefixLen: 24 });
  t.equal(
    sets.save(),
    `create KUBE-CLUSTER-IP hash:ip,port family inet hashsize 1024 maxelem 65536
add KUBE-CLUSTER-IP 10.96.0.1,tcp:443
add KUBE-CLUSTER-IP 10.96.0.10,udp:53
create KUBE-LOOP-BACK hash:ip,port,ip family inet hashsize 1024 maxelem 65536
add KUBE-LOOP-BACK 10.244.0.5,tcp:8080,10.244.0.5
create KUBE-NODE-PORT-TCP bitmap:port range 0-65535
add KUBE-NODE-PORT-TCP 30080
create KUBE-LOAD-BALANCER-SOURCE-CIDR hash:ip,port,net family inet hashsize 1024 maxelem 65536
add KUBE-LOAD-BALANCER-SOURCE-CIDR 10.96.0.10,tcp:80,203.0.113.0/24
`,
  );
});

t.test('refused', async (t) => {
  const sets = new IpSets();
  sets.create('S', { type: 'hash:ip', maxElem: 1 });
  sets.create('S', { type: 'hash:ip' });
  t.throws(() => sets.create('S', { type: 'hash:net' }), { code: 'EEXIST' });
  t.throws(() => sets.get('NONE'), { code: 'ENOENT' });
  sets.get('S').set.add({ ip: 1 });
  t.throws(() => sets.get('S').set.add({ ip: 2 }), { code: 'IPSET_ERR_HASH_FULL' });
  t.throws(() => sets.replace('S', [{ ip: 5 }, { ip: 6 }]), { code: 'IPSET_ERR_HASH_FULL' });
  t.same(sets.get('S').set.entries(), [{ ip: 1 }], 'a refused restore leaves the set');
  sets.create('P', { type: 'bitmap:port', portRange: [30000, 32767] });
  t.throws(() => sets.get('P').set.add({ port: 80 }), { code: 'IPSET_ERR_BITMAP_RANGE' });
  sets.create('N', { type: 'hash:net' });
  t.throws(() => sets.get('N').set.add({ ip: 0, prefixLen: 0 }), { code: 'IPSET_ERR_INVALID_CIDR' });
  t.throws(() => sets.swap('S', 'N'), { code: 'IPSET_ERR_TYPE_MISMATCH' });
});

onNode(t, 'a rule keeps looking at the name when sets are swapped, and holds its set', (t, lab) => {
  const dropped = () => {
    lab.from('a', ip({ saddr: POD_A, daddr: POD_B }, udp({ sport: 1, dport: 53 })));
    return lab.take('b').length === 0;
  };
  lab.netlink.commit([
    { op: 'ipset-create', name: 'LIVE', type: 'hash:ip,port' },
    { op: 'ipset-create', name: 'TMP', type: 'hash:ip,port' },
    { op: 'ipset-add', name: 'TMP', entry: { ip: ipv4(POD_B), proto: 17, port: 53 } },
    {
      op: 'iptables-restore',
      table: 'filter',
      chains: [
        {
          name: 'FORWARD',
          rules: [{ matches: [{ kind: 'set', name: 'LIVE', dims: ['dst', 'dst'] }], target: { kind: 'DROP' } }],
        },
      ],
    },
  ]);
  t.notOk(dropped());
  lab.netlink.commit([{ op: 'ipset-swap', name: 'LIVE', with: 'TMP' }]);
  t.ok(dropped());
  t.throws(() => lab.netlink.commit([{ op: 'ipset-destroy', name: 'LIVE' }]), { code: 'EBUSY' });
  lab.netlink.commit([
    { op: 'ipset-restore', name: 'LIVE', entries: [] },
    { op: 'ipset-destroy', name: 'TMP' },
  ]);
  t.notOk(dropped());
  lab.netlink.commit([
    {
      op: 'iptables-restore',
      table: 'filter',
      deleteRules: [{ chain: 'FORWARD', rule: lab.netlink.chains('filter')[1]!.rules[0]! }],
    },
    { op: 'ipset-destroy', name: 'LIVE' },
  ]);
  t.same(lab.netlink.ipsets(), []);
});

t.test('the entry table keeps what a Set would keep', async (t) => {
  const word = fc.constantFrom(0, 1, 2, 0x7fffffff, 0x80000000, 0xffffffff);
  const second = fc.constantFrom(0, 1, 2, 0x7fffffff); // a protocol and port, or a prefix length: 31 bits at most
  const step = fc.record({ add: fc.boolean(), words: fc.tuple(word, second, word, word) });
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 4 }), fc.array(step, { maxLength: 300 }), (width, steps) => {
        const table = new EntryTable(width);
        const model = new Set<string>();
        for (const { add, words } of steps) {
          const used = words.map((w, i) => (i < width ? w : 0)) as [number, number, number, number];
          const key = used.join();
          const changed = add ? table.add(...used) : table.delete(...used);
          if (changed !== (add ? !model.has(key) : model.has(key))) return false;
          if (add) model.add(key);
          else model.delete(key);
        }
        const held = [...table.entries()].map((e) => e.join());
        return held.length === model.size && table.size === model.size && held.every((key) => model.has(key));
      }),
    ),
  );
});
