import t from 'tap';
import { Conntrack } from '../../../../src/kernel/netfilter/conntrack/conntrack.ts';
import { IPS_ASSURED, IPS_SEEN_REPLY } from '../../../../src/kernel/netfilter/conntrack/ctinfo.ts';
import { SeededRng } from '../../../../src/lib/rng.ts';
import { ipv4 } from '../../../../src/tcpip-ts/wire/address.ts';
import { onNode, POD_A, POD_B } from '../../../support/kernel.ts';
import { icmp, ip, tcp, udp } from '../../../support/packet.ts';
import { fc } from '../../../support/property.ts';

const ask = ip({ saddr: POD_A, daddr: POD_B }, udp({ sport: 4000, dport: 53 }));
const answer = ip({ saddr: POD_B, daddr: POD_A }, udp({ sport: 53, dport: 4000 }));

t.test('UDP', async (t) => {
  onNode(t, '30 s, and 120 s as a stream once it goes both ways for over two seconds', (t, lab) => {
    const timeout = () => lab.netlink.conntrack()[0]?.timeoutS;
    lab.from('a', ask);
    t.equal(timeout(), 30);
    t.match(lab.netlink.conntrack()[0]!.text, /^udp {6}17 30 src=.* \[UNREPLIED\] /);
    lab.clock.advance(1e6);
    lab.from('b', answer);
    lab.from('a', ask);
    t.equal(timeout(), 30);
    t.match(lab.netlink.conntrack()[0]!.status & (IPS_SEEN_REPLY | IPS_ASSURED), IPS_SEEN_REPLY);
    lab.clock.advance(2e6);
    lab.from('a', ask);
    t.equal(timeout(), 120);
    t.not(lab.netlink.conntrack()[0]!.status & IPS_ASSURED, 0);
    lab.clock.advance(121e6);
    t.equal(timeout(), undefined);
    t.equal(lab.kernel.conntrack.count, 0, 'and the slot is given back');
  });
});

t.test('ICMP', async (t) => {
  onNode(t, 'a query starts a connection, an answer to nothing does not', (t, lab) => {
    lab.from('b', ip({ saddr: POD_B, daddr: POD_A }, icmp({ type: 0, id: 5, seq: 1 })));
    t.equal(lab.kernel.conntrack.count, 0);
    t.equal(lab.kernel.conntrack.stat.invalid, 1);
    lab.from('a', ip({ saddr: POD_A, daddr: POD_B }, icmp({ type: 8, id: 5, seq: 1 })));
    lab.from('b', ip({ saddr: POD_B, daddr: POD_A }, icmp({ type: 0, id: 5, seq: 1 })));
    t.match(
      lab.netlink.conntrack()[0]!.text,
      /^icmp {5}1 30 src=10.244.0.5 dst=10.244.0.6 type=8 code=0 id=5 src=10.244.0.6 dst=10.244.0.5 type=0 code=0 id=5 mark=0/,
    );
  });

  onNode(
    t,
    'an error about no connection is invalid, one that quotes a connection but goes elsewhere too',
    (t, lab) => {
      lab.from('a', ask);
      const before = lab.kernel.conntrack.stat.invalid;
      lab.from(
        'b',
        ip(
          { saddr: POD_B, daddr: POD_A },
          icmp({ type: 3, code: 3 }, ip({ saddr: POD_A, daddr: POD_B }, udp({ sport: 1, dport: 53 }))),
        ),
      );
      lab.from('b', ip({ saddr: POD_B, daddr: '8.8.8.8' }, icmp({ type: 3, code: 3 }, ask)));
      t.equal(lab.kernel.conntrack.stat.invalid, before + 2);
    },
  );
});

t.test('deleting', async (t) => {
  onNode(t, 'by filter, as conntrack -D', (t, lab) => {
    for (let i = 0; i < 4; i++)
      lab.from('a', ip({ saddr: POD_A, daddr: POD_B }, udp({ sport: 4000 + i, dport: 53 + (i % 2) })));
    lab.netlink.commit([{ op: 'conntrack-delete', filter: { proto: 17, origPortDst: 53 } }]);
    t.same(
      lab.netlink.conntrack().map((e) => e.original.sport),
      [4001, 4003],
    );
    lab.netlink.commit([{ op: 'conntrack-delete', filter: { replySrc: ipv4(POD_B) } }]);
    t.equal(lab.kernel.conntrack.count, 0);
  });
});

t.test('a full table', async (t) => {
  onNode(
    t,
    'gives up connections that are not assured, and drops when there are none',
    (t, lab) => {
      const { conntrack } = lab.kernel;
      for (let i = 0; i < 64; i++)
        lab.from('a', ip({ saddr: POD_A, daddr: POD_B }, udp({ sport: 1000 + i, dport: 53 })));
      t.ok(conntrack.count <= 16);
      t.ok(conntrack.stat.earlyDrop >= 32, `${conntrack.stat.earlyDrop} given up`);
      for (let ct = 1; ct < 80; ct++) conntrack.status[ct]! |= IPS_ASSURED;
      lab.kernel.drops.counts.fill(0);
      lab.from('a', ip({ saddr: POD_A, daddr: POD_B }, udp({ sport: 2000, dport: 53 })));
      t.match(lab.kernel.drops.snapshot(), { NETFILTER_DROP: 1 });
    },
    { conntrackMax: 16 },
  );

  onNode(t, 'dropped first packets leave nothing behind', (t, lab) => {
    const rule = { matches: [], target: { kind: 'DROP' } } as const;
    lab.netlink.commit([{ op: 'iptables-restore', table: 'filter', chains: [{ name: 'FORWARD', rules: [rule] }] }]);
    for (let i = 0; i < 3000; i++)
      lab.from('a', ip({ saddr: POD_A, daddr: POD_B }, tcp({ sport: i + 1, dport: 80, flags: 'S' })));
    t.equal(lab.kernel.conntrack.count, 0);
    t.match(lab.kernel.drops.snapshot(), { NETFILTER_DROP: 3000 });
  });
});

t.test('the table keeps what a map would keep', async (t) => {
  const op = fc.record({ kind: fc.constantFrom('add', 'add', 'delete', 'wait'), n: fc.nat({ max: 40 }) });
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(fc.array(op, { maxLength: 300 }), (ops) => {
        const now = { nowUs: 0 };
        const table = new Conntrack(now, new SeededRng(1), 1024);
        const model = new Map<number, number>();
        for (const { kind, n } of ops) {
          const handle = table.find(6, n + 1, 1, 0xfffffffe, 80);
          const alive = (model.get(n) ?? 0) > now.nowUs;
          if ((handle !== 0) !== alive) throw new Error(`find ${n}`);
          if (kind === 'wait') now.nowUs += n * 1e5;
          else if (kind === 'delete') {
            if (handle !== 0) table.delete(handle >> 1);
            model.delete(n);
          } else if (handle === 0) {
            const mark = table.beginPass();
            const ct = table.alloc(6, n + 1, 1, 0xfffffffe, 80);
            table.alterReply(ct, 0xc0000000 + n, 8080);
            table.refresh(ct, 1e6);
            if (!table.confirm(ct)) throw new Error(`confirm ${n}`);
            table.endPass(mark);
            model.set(n, now.nowUs + 1e6);
            const reply = table.find(6, 0xc0000000 + n, 8080, n + 1, 1);
            if (reply !== ct * 2 + 1) throw new Error(`reply of ${n}`);
          }
        }
        return true;
      }),
    ),
  );
});

t.test('a deleted connection that a packet holds keeps its slot until released', async (t) => {
  const now = { nowUs: 0 };
  const table = new Conntrack(now, new SeededRng(1), 16);
  const make = (port: number): number => {
    const pass = table.beginPass();
    const ct = table.alloc(17, 1, port, 2, 53);
    table.refresh(ct, 1e6);
    table.confirm(ct);
    table.endPass(pass);
    return ct;
  };
  const ct = make(1);
  table.hold(ct);
  table.delete(ct);
  t.not(make(2), ct);
  table.release(ct);
  t.equal(make(3), ct);
});
