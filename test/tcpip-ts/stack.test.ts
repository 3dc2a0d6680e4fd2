import { createHash } from 'node:crypto';
import t from 'tap';
import { RealClock, VirtualClock } from '../../src/lib/clock.ts';
import { SeededRng } from '../../src/lib/rng.ts';
import { linkPair } from '../../src/tcpip-ts/link-pair.ts';
import { SkbPool } from '../../src/tcpip-ts/skb.ts';
import { Stack } from '../../src/tcpip-ts/stack.ts';
import { formatIPv4, ipv4 } from '../../src/tcpip-ts/wire/address.ts';
import { oneHost } from '../support/hosts.ts';
import { faults, ip, parse, text, udp } from '../support/packet.ts';
import { pump, Sink } from '../support/tcp-pair.ts';
import { TwoStacks } from '../support/two-stacks.ts';

const bytes = (s: string) => new TextEncoder().encode(s);

t.test(
  'behind an anyAddress link: all comes in, answers leave from the address asked, nothing loops back inside',
  async (t) => {
    const { clock, wire, host } = oneHost({ kind: 'ip', anyAddress: true, addr: ipv4('192.168.49.2'), prefixLen: 32 });
    host.addRoute(0, 0, 0, 1);
    const server = host.udp.bind({ port: 53 });
    server.onMessage = (m, saddr, sport, daddr) => {
      t.equal(server.send(m, saddr, sport, daddr), 0);
    };
    wire.inject('a', ip({ saddr: '10.244.0.5', daddr: '10.96.0.10' }, udp({ sport: 999, dport: 53 }, 'who')));
    const [reply] = wire.take('a');
    t.match(parse(reply!, 'ip'), { ip: { saddr: '10.96.0.10', daddr: '10.244.0.5' }, udp: { sport: 53, dport: 999 } });
    t.same(faults(reply!, 'ip'), []);
    wire.inject('a', ip({ saddr: '10.244.0.5', daddr: '10.96.0.10' }, udp({ sport: 999, dport: 54 }, 'closed')));
    t.match(parse(wire.take('a')[0]!, 'ip'), { ip: { saddr: '10.96.0.10' }, icmp: { type: 3, code: 3 } });
    t.ok(host.ip.isLocal(ipv4('192.168.49.2')));
    server.send(bytes('to myself'), ipv4('192.168.49.2'), 53);
    clock.advance(0);
    t.match(
      wire.take('a').map((p) => parse(p, 'ip').ip),
      [{ saddr: '192.168.49.2', daddr: '192.168.49.2' }],
      'the host behind the link does the looping',
    );
    const bound = host.udp.bind({ addr: ipv4('10.96.0.1'), port: 443 });
    t.equal(formatIPv4(bound.addr), '10.96.0.1', 'any address can be bound');
  },
);

t.test('two stacks on a virtual clock send the same bytes for the same seed, and others for another', async (t) => {
  const run = (seed: number): string => {
    const stacks = new TwoStacks({ seed });
    stacks.wire.record = true;
    const rng = new SeededRng(seed + 1);
    stacks.wire.drop = () => rng.below(20) === 0;
    const listener = stacks.b.tcp.listen({ port: 80 });
    if (typeof listener === 'number') throw new Error('listen');
    listener.onConnection = (c) => {
      new Sink(c);
      pump(c, 50_000);
    };
    for (let i = 0; i < 3; i++) {
      const c = stacks.a.tcp.connect({ daddr: ipv4('10.0.0.2'), dport: 80 });
      if (typeof c === 'number') throw new Error('connect');
      new Sink(c);
      pump(c, 50_000);
    }
    stacks.a.icmp.openPing().send({ daddr: ipv4('10.0.0.2'), seq: 1, payload: bytes('ping') });
    stacks.clock.advance(60e6);
    const hash = createHash('sha256');
    for (const frame of stacks.wire.frames) hash.update(`${frame.atUs} ${frame.from}`).update(frame.bytes);
    t.ok(stacks.wire.frames.length > 300);
    stacks.close();
    return hash.digest('hex');
  };
  t.equal(run(5), run(5));
  t.not(run(5), run(6));
});

t.test('two interfaces: each subnet by its own, an address of one answers on the other', async (t) => {
  const clock = new VirtualClock();
  const pool = new SkbPool(64);
  const make = (seed: number) => new Stack({ clock, rng: new SeededRng(seed), pool });
  const defer = (fn: () => void) => clock.after(10, fn);
  const [left, middle, right] = [make(1), make(2), make(3)];
  const [l, ml] = linkPair({ defer });
  const [r, mr] = linkPair({ defer });
  left.addInterface(l, { addr: ipv4('10.1.0.1'), prefixLen: 24 });
  left.addRoute(0, 0, ipv4('10.1.0.254'), 1);
  middle.addInterface(ml, { addr: ipv4('10.1.0.254'), prefixLen: 24 });
  t.equal(middle.addInterface(mr, { addr: ipv4('10.2.0.254'), prefixLen: 24 }).ifIndex, 2);
  right.addInterface(r, { addr: ipv4('10.2.0.1'), prefixLen: 24, announce: true });
  const got: string[] = [];
  for (const [name, stack] of [
    ['left', left],
    ['middle', middle],
    ['right', right],
  ] as const) {
    stack.udp.bind({ port: 7 }).onMessage = (m, saddr) => got.push(`${name}: ${text(m)} from ${formatIPv4(saddr)}`);
  }
  const endpoint = middle.udp.bind();
  endpoint.send(bytes('a'), ipv4('10.1.0.1'), 7);
  endpoint.send(bytes('b'), ipv4('10.2.0.1'), 7);
  left.udp.bind().send(bytes('c'), ipv4('10.2.0.254'), 7);
  left.udp.bind().send(bytes('d'), ipv4('10.2.0.1'), 7);
  clock.advance(1e6);
  t.same(got.sort(), ['left: a from 10.1.0.254', 'middle: c from 10.1.0.1', 'right: b from 10.2.0.254']);
  t.equal(middle.counters.get('IpInAddrErrors'), 1, 'a host does not forward');
  t.equal(pool.available, pool.size);
});

t.test('on the real clock, over links of its own', async (t) => {
  const env = { clock: new RealClock(), rng: new SeededRng(1), pool: new SkbPool(64) };
  const stacks = [new Stack(env), new Stack(env)] as const;
  linkPair({ kind: 'ip', mtu: 600 }).forEach((link, i) => {
    stacks[i]!.addInterface(link, { addr: ipv4('10.0.0.1') + i, prefixLen: 24 });
  });
  const arrived = new Promise<Uint8Array>((done) => {
    stacks[1].udp.bind({ port: 7 }).onMessage = done;
  });
  const looped = new Promise<Uint8Array>((done) => {
    stacks[0].udp.bind({ port: 8 }).onMessage = done;
  });
  const endpoint = stacks[0].udp.bind();
  endpoint.send(new Uint8Array(3000), ipv4('10.0.0.2'), 7);
  endpoint.send(bytes('me'), ipv4('127.0.0.1'), 8);
  t.equal((await arrived).length, 3000);
  t.equal(text(await looped), 'me');
  for (const stack of stacks) stack.close();
});

t.test('a link pair drops beyond its queue and after close', async (t) => {
  const clock = new VirtualClock();
  const pool = new SkbPool(64);
  const [one, two] = linkPair({ queue: 3, defer: (fn) => clock.after(0, fn) });
  let received = 0;
  two.attach({
    receive(skb) {
      received++;
      skb.free();
    },
  });
  for (let i = 0; i < 5; i++) one.transmit(pool.alloc()!);
  clock.advance(0);
  t.equal(received, 3);
  two.transmit(pool.alloc()!);
  one.close();
  one.transmit(pool.alloc()!);
  clock.advance(0);
  t.equal(received, 3);
  t.equal(pool.available, 64);
});
