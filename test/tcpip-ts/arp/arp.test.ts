import t from 'tap';
import { EHOSTUNREACH } from '../../../src/tcpip-ts/errno.ts';
import { formatIPv4, formatMac, ipv4, parseMac } from '../../../src/tcpip-ts/wire/address.ts';
import { A, B, oneHost, toHost, twoHosts } from '../../support/hosts.ts';
import { arp, BROADCAST, icmp, ip, MAC_A, MAC_B, parse, show } from '../../support/packet.ts';

const C = ipv4('10.0.0.3');
const MAC_C = '02:00:00:00:00:0c';
const hello = new TextEncoder().encode('hello');

function stateOf(host: ReturnType<typeof oneHost>['host'], addr: number): string | undefined {
  return [...host.interfaces[0]!.arp!.neighbours()].find((n) => n.addr === addr)?.state;
}

t.test('the first packet asks for the address, waits, and follows the answer', async (t) => {
  const { clock, wire, a, b } = twoHosts();
  const got: string[] = [];
  b.udp.bind({ port: 7 }).onMessage = (bytes, saddr) => got.push(`${Buffer.from(bytes)} from ${formatIPv4(saddr)}`);
  t.equal(a.udp.bind().send(hello, B, 7), 0);
  clock.advance(1000);
  t.same(got, ['hello from 10.0.0.1']);
  t.match(parse(wire.frames[0]!.bytes), {
    eth: { dst: BROADCAST, src: MAC_A },
    arp: { op: 'request', sha: MAC_A, spa: '10.0.0.1', tha: '00:00:00:00:00:00', tpa: '10.0.0.2' },
  });
  t.match(parse(wire.frames[1]!.bytes), {
    eth: { dst: MAC_A, src: MAC_B },
    arp: { op: 'reply', sha: MAC_B, spa: '10.0.0.2', tha: MAC_A, tpa: '10.0.0.1' },
  });
  t.match(parse(wire.frames[2]!.bytes), { eth: { dst: MAC_B, src: MAC_A }, udp: { dport: 7 } });
  t.equal(wire.frames.length, 3);
  t.equal(stateOf(a, B), 'reachable');
  t.equal(stateOf(b, A), 'stale', 'the asked one has learnt the asker');
});

t.test('no answer: three requests a second apart, then the sender hears EHOSTUNREACH', async (t) => {
  const { clock, wire, host, pool } = oneHost();
  const free = pool.available;
  const errors: [number, string][] = [];
  const endpoint = host.udp.bind();
  endpoint.onError = (errno, e) => errors.push([errno, `${formatIPv4(e.daddr)}:${e.dport} ${formatIPv4(e.reporter)}`]);
  for (let i = 0; i < 20; i++) endpoint.send(hello, C, 9);
  t.equal(stateOf(host, C), 'incomplete');
  clock.advance(10e6);
  t.same(
    wire.frames.map((f) => [f.atUs, show(f.bytes)]),
    [0, 1e6, 2e6].map((at) => [at, `ARP request 10.0.0.1 (${MAC_A}) > 10.0.0.3 (00:00:00:00:00:00)`]),
  );
  t.equal(errors.length, 16, 'the queue held 16');
  t.same(errors[0], [EHOSTUNREACH, '10.0.0.3:9 10.0.0.1']);
  t.equal(host.counters.get('ArpUnresolvedDiscards'), 4);
  t.equal(host.counters.get('ArpResFailed'), 1);
  t.equal(stateOf(host, C), 'failed');
  t.equal(pool.available, free, 'no packet is left behind');
  wire.take('a');
  endpoint.send(hello, C, 9);
  t.equal(wire.take('a').length, 1, 'the next packet asks again');
});

t.test('an answer to the last request releases what waits, in order', async (t) => {
  const { clock, wire, host } = oneHost();
  const endpoint = host.udp.bind();
  for (let i = 0; i < 3; i++) endpoint.send(Uint8Array.of(i), C, 9);
  clock.advance(2.5e6);
  wire.take('a');
  wire.inject('a', arp({ op: 'reply', sha: MAC_C, spa: '10.0.0.3', tha: MAC_A, tpa: '10.0.0.1' }));
  const sent = wire.take('a').map((f) => parse(f));
  t.same(
    sent.map((p) => p.payload[0]),
    [0, 1, 2],
  );
  t.equal(sent[0]!.eth!.dst, MAC_C);
  clock.advance(5e6);
  t.equal(wire.take('a').length, 0, 'and stops the requests');
});

t.test('a reachable entry goes stale, is used, delayed, probed by unicast, and confirmed', async (t) => {
  const { clock, wire, a, b } = twoHosts();
  const endpoint = a.udp.bind();
  b.udp.bind({ port: 7 });
  endpoint.send(hello, B, 7);
  clock.advance(46e6);
  t.equal(stateOf(a, B), 'stale');
  wire.frames.length = 0;
  endpoint.send(hello, B, 7);
  t.equal(stateOf(a, B), 'delay');
  clock.advance(1);
  t.match(
    wire.frames.map((f) => parse(f.bytes)),
    [{ udp: { dport: 7 } }],
    'it is used meanwhile',
  );
  clock.advance(4.9e6);
  t.equal(wire.frames.length, 1);
  clock.advance(0.3e6);
  t.match(parse(wire.frames[1]!.bytes), { eth: { dst: MAC_B }, arp: { op: 'request' } });
  t.equal(stateOf(a, B), 'reachable');
});

t.test('a neighbour that has gone fails after three unicast probes', async (t) => {
  const { clock, wire, a, b } = twoHosts();
  const endpoint = a.udp.bind();
  endpoint.send(hello, B, 7);
  clock.advance(46e6);
  b.close();
  wire.frames.length = 0;
  endpoint.send(hello, B, 7);
  clock.advance(20e6);
  t.equal(wire.frames.filter((f) => parse(f.bytes).arp && parse(f.bytes).eth!.dst === MAC_B).length, 3);
  t.equal(stateOf(a, B), 'failed');
});

t.test('replies nobody asked for and chatter of others teach nothing', async (t) => {
  const { wire, host } = oneHost();
  wire.inject('a', arp({ op: 'reply', sha: MAC_C, spa: '10.0.0.3', tha: MAC_A, tpa: '10.0.0.1' }));
  wire.inject('a', arp({ op: 'request', sha: MAC_C, spa: '10.0.0.3', tpa: '10.0.0.9' }));
  wire.inject('a', arp({ op: 'request', sha: MAC_C, spa: '10.0.0.3', tpa: '10.0.0.3' }));
  t.equal(stateOf(host, C), undefined);
  t.same(wire.take('a'), []);
});

t.test('a gratuitous ARP moves an entry that is known', async (t) => {
  const { wire, host } = oneHost();
  wire.inject('a', arp({ op: 'request', sha: MAC_C, spa: '10.0.0.3', tpa: '10.0.0.1' }));
  t.equal(stateOf(host, C), 'stale');
  wire.inject('a', arp({ op: 'request', sha: '02:00:00:00:00:0d', spa: '10.0.0.3', tpa: '10.0.0.3' }));
  const entry = [...host.interfaces[0]!.arp!.neighbours()].find((n) => n.addr === C)!;
  t.equal(formatMac(entry.mac), '02:00:00:00:00:0d');
});

t.test('a probe (RFC 5227) is answered and not learnt from', async (t) => {
  const { wire, host } = oneHost();
  wire.inject('a', arp({ op: 'request', sha: MAC_C, spa: '0.0.0.0', tpa: '10.0.0.1' }));
  t.match(
    wire.take('a').map((f) => parse(f)),
    [{ eth: { dst: MAC_C }, arp: { op: 'reply', spa: '10.0.0.1', tpa: '0.0.0.0' } }],
  );
  t.equal(stateOf(host, 0), undefined);
});

t.test('a claim of our address is counted, never learnt, and answered once in ten seconds', async (t) => {
  const { clock, wire, host } = oneHost();
  const claim = arp({ op: 'request', sha: MAC_C, spa: '10.0.0.1', tpa: '10.0.0.1' });
  for (let i = 0; i < 5; i++) wire.inject('a', claim);
  t.match(
    wire.take('a').map((f) => parse(f)),
    [{ eth: { dst: BROADCAST }, arp: { op: 'request', sha: MAC_A, spa: '10.0.0.1', tpa: '10.0.0.1' } }],
  );
  t.equal(host.counters.get('ArpConflicts'), 5);
  t.equal(stateOf(host, A), undefined);
  clock.advance(11e6);
  wire.inject('a', claim);
  t.equal(wire.take('a').length, 1);
});

t.test('an interface may announce itself', async (t) => {
  const { wire, host } = oneHost();
  host.interfaces[0]!.arp!.announce();
  t.match(
    wire.take('a').map((f) => parse(f)),
    [{ eth: { dst: BROADCAST }, arp: { op: 'request', spa: '10.0.0.1', tpa: '10.0.0.1' } }],
  );
});

t.test('malformed and foreign ARP is dropped without a word', async (t) => {
  const { wire, host, pool } = oneHost();
  const free = pool.available;
  const good = arp({ op: 'request', sha: MAC_C, spa: '10.0.0.3', tpa: '10.0.0.1' });
  for (let n = 0; n < good.length; n++) wire.inject('a', good.subarray(0, n));
  for (const [at, value] of [
    [15, 9],
    [17, 1],
    [18, 8],
    [19, 16],
    [21, 7],
  ] as const) {
    const bad = good.slice();
    bad[at] = value;
    wire.inject('a', bad);
  }
  wire.inject('a', arp({ op: 'request', sha: BROADCAST, spa: '10.0.0.3', tpa: '10.0.0.1' }));
  wire.inject('a', arp({ op: 'request', sha: MAC_C, spa: '224.0.0.1', tpa: '10.0.0.1' }));
  t.same(wire.take('a'), []);
  t.equal(stateOf(host, C), undefined);
  t.equal(pool.available, free);
});

t.test('a flood of askers fills the table to 1024 and no further, and known neighbours keep working', async (t) => {
  const { clock, wire, host } = oneHost({ addr: A, prefixLen: 8 });
  const MAC = parseMac(MAC_B);
  for (let i = 0; i < 3000; i++) {
    const spa = formatIPv4(ipv4('10.1.0.0') + i);
    wire.inject('a', arp({ op: 'request', sha: formatMac(MAC + 1 + i), spa, tpa: '10.0.0.1' }));
    clock.advance(100);
    if (i % 100 === 0) {
      wire.take('a');
      wire.inject('a', toHost(ip({ saddr: '10.0.0.2', daddr: '10.0.0.1' }, icmp({ type: 8 }))));
      t.match(
        wire.take('a').map((f) => parse(f)),
        [{ eth: { dst: MAC_B }, icmp: { type: 0 } }],
      );
    }
  }
  t.equal([...host.interfaces[0]!.arp!.neighbours()].length, 1024);
});

t.test('what waits for many silent neighbours takes an eighth of the pool at most', async (t) => {
  const { clock, host, pool } = oneHost();
  const free = pool.available;
  const endpoint = host.udp.bind();
  for (let n = 0; n < 20; n++) for (let i = 10; i < 110; i++) endpoint.send(hello, ipv4('10.0.0.0') + i, 9);
  clock.advance(1);
  t.equal(free - pool.available, 32);
  clock.advance(20e6);
  t.equal(pool.available, free);
});
