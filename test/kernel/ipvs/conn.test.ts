import t from 'tap';
import {
  CONN_F_TEMPLATE,
  type ConnId,
  ConnTable,
  NO_CONN,
  TEMPLATE_ASSURED,
  TICK_US,
} from '../../../src/kernel/ipvs/conn.ts';
import { type Dest, DestTable } from '../../../src/kernel/ipvs/dest.ts';
import { schedulers } from '../../../src/kernel/ipvs/scheduler/registry.ts';
import { VirtualService } from '../../../src/kernel/ipvs/service.ts';
import { ServiceTable } from '../../../src/kernel/ipvs/service-table.ts';
import { VirtualClock } from '../../../src/lib/clock.ts';
import { SeededRng } from '../../../src/lib/rng.ts';

const SCHEDULERS = schedulers(new SeededRng(1));

const TCP = 6;
const [CLIENT, VIP, SERVER] = [0x0a000001, 0x0a600001, 0x0af40001];

class Bench {
  readonly clock = new VirtualClock();
  nowUs = 0;
  readonly expired: ConnId[] = [];
  readonly dests = new DestTable(this.clock);
  readonly conns: ConnTable;
  readonly svc = new VirtualService({ proto: TCP, addr: VIP, port: 80, scheduler: 'rr', flags: 0 }, SCHEDULERS);
  readonly dest: Dest;

  constructor(capacity = 16) {
    this.conns = new ConnTable(this.clock, this, new SeededRng(1), this.dests, (id) => this.expired.push(id), capacity);
    this.dest = this.svc.addDest({ addr: SERVER, port: 8080, weight: 1 }, this.dests)!;
  }

  open(cport: number, flags = 0): ConnId {
    return this.conns.create(TCP, CLIENT, cport, VIP, 80, flags, this.dest.id);
  }

  advance(us: number): void {
    this.clock.advance(us);
    this.nowUs = this.clock.nowUs();
  }
}

t.test('a connection is found from both sides, whatever the table has grown to', (t) => {
  const b = new Bench(16);
  const ids = Array.from({ length: 1000 }, (_, i) => b.open(1000 + i));
  t.equal(new Set(ids).size, 1000);
  for (const [i, id] of ids.entries()) {
    if (b.conns.findIn(TCP, CLIENT, 1000 + i, VIP, 80) !== id) t.fail(`request ${i}`);
    if (b.conns.findOut(TCP, SERVER, 8080, CLIENT, 1000 + i) !== id) t.fail(`reply ${i}`);
  }
  t.equal(b.conns.findIn(TCP, CLIENT, 999, VIP, 80), NO_CONN);
  t.equal(b.conns.findIn(17, CLIENT, 1000, VIP, 80), NO_CONN);
  t.equal(b.dest.inactConns, 1000);
  t.end();
});

t.test('of two entries with one key the newer is found, also after the table has grown', (t) => {
  const b = new Bench(16);
  b.open(5);
  const newer = b.open(5);
  t.equal(b.conns.findIn(TCP, CLIENT, 5, VIP, 80), newer);
  for (let i = 0; i < 100; i++) b.open(100 + i);
  t.equal(b.conns.findIn(TCP, CLIENT, 5, VIP, 80), newer);
  t.end();
});

t.test('a connection ends when its timeout has passed since its last packet, longer or shorter than before', (t) => {
  const b = new Bench();
  const id = b.open(5);
  b.conns.timeoutUs[id] = 60e6;
  b.conns.touch(id);
  b.advance(50e6);
  b.conns.touch(id);
  b.advance(59e6);
  t.equal(b.conns.count, 1, 'the packet at 50 s put it off');
  b.conns.timeoutUs[id] = 10e6;
  b.conns.touch(id);
  b.advance(10e6 + 640e3);
  t.equal(b.conns.count, 0, 'a shorter timeout counts at once');
  t.same(b.expired, [id]);
  t.equal(b.dest.inactConns, 0);
  t.end();
});

t.test('expireNow ends a connection one tick later, unless a packet comes', (t) => {
  const b = new Bench();
  b.advance(1e6);
  const [gone, kept] = [b.open(5), b.open(6)];
  for (const id of [gone, kept]) {
    b.conns.touch(id);
    b.conns.expireNow(id);
  }
  t.equal(b.conns.count, 2);
  b.conns.touch(kept);
  b.advance(2 * TICK_US);
  t.equal(b.conns.findIn(TCP, CLIENT, 5, VIP, 80), NO_CONN);
  t.equal(b.conns.findIn(TCP, CLIENT, 6, VIP, 80), kept);
  t.end();
});

t.test('a template lives on, 60 s at a time, while it controls connections', (t) => {
  const b = new Bench();
  const template = b.open(0, CONN_F_TEMPLATE);
  b.conns.timeoutUs[template] = 2e6;
  b.conns.touch(template);
  const id = b.open(5);
  b.conns.timeoutUs[id] = 30e6;
  b.conns.addControl(id, template);
  b.conns.touch(id);
  t.equal(b.dest.persistConns, 1);
  b.advance(31e6);
  t.equal(b.conns.count, 1, 'the connection is gone, its template is not');
  t.equal(b.conns.findTemplate(TCP, CLIENT, VIP, 80), template);
  b.advance(37e6);
  t.equal(b.conns.count, 0);
  t.end();
});

t.test('a timer fires late, on a grid that is coarser the longer it is', (t) => {
  const table = [
    { timeoutS: 0.5, firesS: 0.51 },
    { timeoutS: 1, firesS: 1.04 },
    { timeoutS: 10, firesS: 10.24 },
    { timeoutS: 60, firesS: 61.44 },
    { timeoutS: 900, firesS: 901.12 },
    { timeoutS: 10800, firesS: 10813.44 },
  ];
  for (const { timeoutS, firesS } of table) {
    const b = new Bench();
    const id = b.open(5);
    b.conns.timeoutUs[id] = timeoutS * 1e6;
    b.conns.touch(id);
    b.advance(firesS * 1e6 - 1);
    t.equal(b.conns.findIn(TCP, CLIENT, 5, VIP, 80), id, `${timeoutS} s: there until then`);
    t.equal(b.conns.remainingUs(id), 0);
    b.advance(1);
    t.equal(b.conns.count, 0, `${timeoutS} s: gone`);
  }
  t.end();
});

t.test('killing a connection takes its template along unless it was ever established', (t) => {
  for (const assured of [false, true]) {
    const b = new Bench();
    const template = b.open(0, CONN_F_TEMPLATE);
    b.conns.touch(template);
    const id = b.open(5);
    b.conns.addControl(id, template);
    b.conns.touch(id);
    if (assured) b.conns.state[template] = TEMPLATE_ASSURED;
    b.conns.kill(id);
    t.equal(b.conns.count, assured ? 1 : 0);
  }
  t.end();
});

t.test('an invalidated template is never found again', (t) => {
  const b = new Bench();
  const template = b.open(0, CONN_F_TEMPLATE);
  b.conns.touch(template);
  b.conns.invalidateTemplate(template);
  t.equal(b.conns.findTemplate(TCP, CLIENT, VIP, 80), NO_CONN);
  t.equal(b.conns.count, 1);
  t.end();
});

t.test('a deleted dest is revived with its connections, and forgotten two to three minutes after the last', (t) => {
  const b = new Bench();
  const id = b.open(5);
  b.conns.timeoutUs[id] = 1e6;
  b.conns.touch(id);
  b.svc.removeDest(b.dest, b.dests);
  t.equal(b.svc.addDest({ addr: SERVER, port: 8080, weight: 3 }, b.dests), b.dest);
  t.match(b.dest, { inactConns: 1, weight: 3, available: true });
  b.svc.removeDest(b.dest, b.dests);
  b.advance(119e6);
  t.equal(b.dests.trashed, 1);
  b.advance(121e6);
  t.equal(b.dests.trashed, 0);
  t.not(b.svc.addDest({ addr: SERVER, port: 8080, weight: 1 }, b.dests), b.dest);
  t.end();
});

t.test('services are found by protocol, address and port among thousands, and not once deleted', (t) => {
  const table = new ServiceTable();
  const services: VirtualService[] = [];
  for (let i = 0; i < 5000; i++) {
    const svc = new VirtualService(
      {
        proto: i % 2 ? 17 : 6,
        addr: 0xac1e0000 + (i >> 1),
        port: 80,
        scheduler: 'rr',
        flags: 0,
      },
      SCHEDULERS,
    );
    services.push(svc);
    table.add(svc);
  }
  for (const svc of services) if (table.lookup(svc.proto, svc.addr, 80) !== svc) t.fail('lost one');
  t.equal(table.lookup(6, 0xac1e0000 | 0, 80), services[0], 'a signed word is the same address');
  for (const svc of services.slice(0, 2500)) table.delete(svc);
  t.equal(table.size, 2500);
  t.equal(table.lookup(6, 0xac1e0000, 80), undefined);
  t.equal(table.lookup(services[4999]!.proto, services[4999]!.addr, 80), services[4999]);
  t.equal([...table].length, 2500);
  t.end();
});
