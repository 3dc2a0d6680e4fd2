// TAPs against the real kernel: devices in a namespace of their own joined by a kernel bridge, so that what is written to
// one is read from the others. Writing runs the kernel's receive path to its end, so no test waits.
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import t, { type Test } from 'tap';
import { Breath } from '../../src/lib/breath.ts';
import { RX_PACKETS, TX_DROPPED, TX_PACKETS } from '../../src/link/counters.ts';
import { loadNative } from '../../src/link/native.ts';
import { type TapLink, type TapOptions, TapSet } from '../../src/link/tap.ts';
import { LINK_F_CSUM, LINK_F_TSO4 } from '../../src/tcpip-ts/link.ts';
import { CHECKSUM_PARTIAL, GSO_TCPV4, type Skb, SkbPool } from '../../src/tcpip-ts/skb.ts';
import { formatMac } from '../../src/tcpip-ts/wire/address.ts';
import { get16, put16 } from '../../src/tcpip-ts/wire/bytes.ts';
import { fold, pseudoSum } from '../../src/tcpip-ts/wire/checksum.ts';
import { IPPROTO_TCP, ipDaddr, ipSaddr } from '../../src/tcpip-ts/wire/ipv4.ts';
import { allocated } from '../support/allocated.ts';
import { addNetns, canUseNetns, netnsPath, sh } from '../support/netns.ts';
import { ether, faults, ip, show, tcp } from '../support/packet.ts';

const ETH_P_TEST = 0x88b5; // IEEE 802 local experimental

/** A set of TAPs on a thread's breath, and the frames that each link received. */
function makeSet(t: Test, slots = 1024) {
  const pool = new SkbPool(slots);
  const breath = new Breath();
  const set = new TapSet(loadNative()!, pool, breath);
  t.teardown(() => set.close());
  return { pool, breath, set };
}

interface Received {
  readonly frame: Uint8Array;
  readonly checksum: number;
  readonly gsoType: number;
  readonly gsoSize: number;
}

/** Keeps a copy of everything that arrives on `link` with the test's type or IPv4. */
function receive(link: TapLink): Received[] {
  const received: Received[] = [];
  link.attach({
    receive(skb: Skb): void {
      const type = get16(skb.bytes, skb.mh + 12);
      const { checksum, gsoType, gsoSize } = skb;
      const frame = skb.bytes.slice(skb.mh, skb.tail);
      if (type === ETH_P_TEST || type === 0x0800) received.push({ frame, checksum, gsoType, gsoSize });
      skb.free();
    },
  });
  return received;
}

/** A bridge in a fresh namespace with one TAP for each of `options`. */
function bridge(t: Test, set: TapSet, options: Partial<TapOptions>[]): { netns: string; links: TapLink[] } {
  const netns = addNetns(t);
  sh(`ip -n ${netns} link add br0 type bridge forward_delay 0 mcast_snooping 0`);
  const links = options.map((o, i) =>
    set.open({ netnsPath: netnsPath(netns), ifname: `tap${i}`, mtu: 1500, offload: false, ...o }),
  );
  const lines = links.map((link) => `link set ${link.ifname} master br0`);
  sh(`printf '%s\\n' '${[...lines, 'link set br0 up'].join("' '")}' | ip -n ${netns} -batch -`);
  return { netns, links };
}

function put(pool: SkbPool, frame: Uint8Array): Skb {
  const skb = pool.alloc()!;
  skb.bytes.set(frame, skb.mh);
  skb.tail = skb.mh + frame.length;
  return skb;
}

const hello = (text: string): Uint8Array => ether(text.padEnd(60, '.'), { dst: 'ff:ff:ff:ff:ff:ff', type: ETH_P_TEST });

/** A TCP super-segment of `bytes` payload, checksum left partial, as a Pod's kernel would hand it over. */
function superSegment(pool: SkbPool, bytes: number, mss: number): Skb {
  const addresses = { saddr: '10.0.0.1', daddr: '10.0.0.2' };
  const skb = put(
    pool,
    ether(ip(addresses, tcp({ sport: 1000, dport: 80, seq: 1, ack: 1, flags: 'A' }, new Uint8Array(bytes).fill(7)))),
  );
  const th = skb.nh + 20;
  const sum = pseudoSum(ipSaddr(skb.bytes, skb.nh), ipDaddr(skb.bytes, skb.nh), IPPROTO_TCP, skb.tail - th);
  put16(skb.bytes, th + 16, fold(sum));
  skb.checksum = CHECKSUM_PARTIAL;
  skb.csumStart = th;
  skb.csumField = th + 16;
  skb.gsoType = GSO_TCPV4;
  skb.gsoSize = mss;
  return skb;
}

t.test('a TAP link', async (t) => {
  if (!canUseNetns(t)) return;

  t.test('carries a frame written to one device to the other, as it is', async (t) => {
    const { pool, breath, set } = makeSet(t);
    const [a, b] = bridge(t, set, [{}, {}]).links as [TapLink, TapLink];
    const received = receive(b);
    a.transmit(put(pool, hello('first')));
    a.transmit(put(pool, hello('second')));
    breath.run();
    breath.run();
    t.same(
      received.map((r) => r.frame),
      [hello('first'), hello('second')],
    );
    t.equal(a.counters[TX_PACKETS], 2);
    t.equal(b.counters[RX_PACKETS], 2);
  });

  t.test('sets the MAC it is asked for, and tells the one the kernel chose', async (t) => {
    const { set } = makeSet(t);
    const netns = addNetns(t);
    const chosen = set.open({
      netnsPath: netnsPath(netns),
      ifname: 'eth0',
      mac: 0x02aabbccddee,
      mtu: 1400,
      offload: true,
    });
    const random = set.open({ netnsPath: netnsPath(netns), ifname: 'eth1', mtu: 1500, offload: false });
    const shown = sh(`ip -n ${netns} -o link show eth0`);
    t.match(shown, '02:aa:bb:cc:dd:ee');
    t.match(shown, 'mtu 1400');
    t.match(shown, ',UP');
    t.match(sh(`ip -n ${netns} -o link show eth1`), formatMac(random.mac));
    t.equal(chosen.mac, 0x02aabbccddee);
    t.equal(chosen.features & (LINK_F_CSUM | LINK_F_TSO4), LINK_F_CSUM | LINK_F_TSO4);
    t.equal(random.features, 0);
  });

  t.test('keeps a super-segment whole and its checksum partial between devices with offloads', async (t) => {
    const { pool, breath, set } = makeSet(t);
    const [a, b] = bridge(t, set, [{ offload: true }, { offload: true }]).links as [TapLink, TapLink];
    const received = receive(b);
    a.transmit(superSegment(pool, 40_000, 1448));
    breath.run();
    breath.run();
    t.equal(received.length, 1);
    t.match(received[0], { checksum: CHECKSUM_PARTIAL, gsoType: GSO_TCPV4, gsoSize: 1448 });
    t.equal(received[0]!.frame.length, 14 + 20 + 20 + 40_000);
  });

  t.test('without offloads gets sound frames of at most the MTU from a super-segment', async (t) => {
    const { pool, breath, set } = makeSet(t);
    const [a, b] = bridge(t, set, [{ offload: true }, { offload: false }]).links as [TapLink, TapLink];
    const received = receive(b);
    a.transmit(superSegment(pool, 4000, 1448));
    breath.run();
    breath.run();
    t.same(
      received.map((r) => r.frame.length - 54),
      [1448, 1448, 1104],
    );
    for (const { frame } of received) t.same(faults(frame), [], show(frame));
  });

  t.test('is woken by the event loop when a frame arrives', async (t) => {
    const { pool, set } = makeSet(t);
    const [a, b] = bridge(t, set, [{}, {}]).links as [TapLink, TapLink];
    const arrived = new Promise<void>((resolve) => {
      b.attach({
        receive(skb) {
          skb.free();
          resolve();
        },
      });
    });
    a.transmit(put(pool, hello('wake'))); // nobody runs the breath by hand
    await arrived;
  });

  t.test('frees and counts what is transmitted after close, and closes twice', async (t) => {
    const { pool, breath, set } = makeSet(t);
    const netns = addNetns(t);
    const link = set.open({ netnsPath: netnsPath(netns), ifname: 'eth0', mtu: 1500, offload: false });
    breath.run(); // takes its stock of slots
    const before = pool.available;
    link.close();
    link.close();
    link.transmit(put(pool, hello('late')));
    t.equal(link.counters[TX_DROPPED], 1);
    t.equal(pool.available, before);
  });

  t.test('sends what was queued before it closes, and leaves no slot behind', async (t) => {
    const { pool, breath, set } = makeSet(t);
    const [a, b] = bridge(t, set, [{}, {}]).links as [TapLink, TapLink];
    const received = receive(b);
    for (let i = 0; i < 10; i++) a.transmit(put(pool, hello(`frame ${i}`)));
    a.close();
    breath.run();
    t.equal(received.length, 10);
    set.close();
    t.equal(pool.available, pool.size);
  });

  t.test('closed by the receiver of its first packet drops the rest of the batch', async (t) => {
    const { pool, breath, set } = makeSet(t);
    const [a, b] = bridge(t, set, [{}, {}]).links as [TapLink, TapLink];
    let received = 0;
    b.attach({
      receive(skb) {
        received++;
        skb.free();
        b.close();
      },
    });
    for (let i = 0; i < 5; i++) a.transmit(put(pool, hello(`frame ${i}`)));
    breath.run();
    breath.run();
    t.equal(received, 1);
    set.close();
    t.equal(pool.available, pool.size);
  });

  t.test('counts a write that the kernel refuses as dropped', async (t) => {
    const { pool, breath, set } = makeSet(t);
    const netns = addNetns(t);
    const link = set.open({ netnsPath: netnsPath(netns), ifname: 'eth0', mtu: 1500, offload: false });
    sh(`ip -n ${netns} link set eth0 down`);
    link.transmit(put(pool, hello('into the void')));
    breath.run();
    t.equal(link.counters[TX_DROPPED], 1);
    t.equal(link.counters[TX_PACKETS], 0);
  });

  t.test('closes itself and says so when its device is deleted', async (t) => {
    const { set } = makeSet(t);
    const netns = addNetns(t);
    const link = set.open({ netnsPath: netnsPath(netns), ifname: 'eth0', mtu: 1500, offload: false });
    const gone = new Promise<void>((resolve) => {
      link.onGone = resolve;
    });
    sh(`ip -n ${netns} link del eth0`);
    await gone;
    t.equal(link.closed, true);
    const again = set.open({ netnsPath: netnsPath(netns), ifname: 'eth0', mtu: 1500, offload: false });
    t.equal(again.port, link.port, 'the port is used again');
  });
});

t.test('a set of TAPs', async (t) => {
  if (!canUseNetns(t)) return;

  t.test('serves 200 devices in one breath', async (t) => {
    const { pool, breath, set } = makeSet(t);
    const { links } = bridge(t, set, new Array(200).fill({}));
    const received = links.map(receive);
    links[0]!.transmit(put(pool, hello('to all')));
    breath.run();
    breath.run();
    t.equal(received.filter((r) => r.length === 1).length, 199);
  });

  t.test('lets no busy device starve a quiet one', async (t) => {
    const { pool, breath, set } = makeSet(t);
    const [busy, quiet, source] = bridge(t, set, [{}, {}, {}]).links as [TapLink, TapLink, TapLink];
    const received = [receive(busy), receive(quiet)];
    const station = '02:00:00:00:00:77';
    busy.transmit(put(pool, ether('the bridge learns', { src: station, type: ETH_P_TEST })));
    breath.run();
    breath.run();
    for (const r of received) r.length = 0;
    for (let i = 0; i < 200; i++) source.transmit(put(pool, ether('busy', { dst: station, type: ETH_P_TEST })));
    source.transmit(put(pool, hello('to both')));
    set.flush();
    set.poll(64);
    t.equal(received[1]!.length, 1, 'the quiet one is served in the first, small batch');
    t.ok(received[0]!.length < 64, 'and the busy one not yet to the end');
    breath.run();
    t.equal(received[0]!.length, 201, 'which follows');
  });

  t.test('throws packets away when the pool is empty, and recovers', async (t) => {
    const { pool, breath, set } = makeSet(t, 64);
    const [a, b] = bridge(t, set, [{}, {}]).links as [TapLink, TapLink];
    const held: Skb[] = [];
    b.attach({ receive: (skb) => held.push(skb) });
    breath.run(); // takes its stock of slots
    const stock = pool.size - pool.available;
    const batch = Array.from({ length: pool.available }, (_, i) => put(pool, hello(`frame ${i}`)));
    const hoard = batch.splice(stock + 5);
    t.equal(pool.available, 0);
    for (const skb of batch) a.transmit(skb);
    set.flush();
    for (let skb = pool.alloc(); skb; skb = pool.alloc()) hoard.push(skb); // somebody else was quicker
    while (set.poll(64) > 0);
    t.equal(held.length, stock);
    t.equal(set.noBuffer, 5);
    for (const skb of [...held.splice(0), ...hoard]) skb.free();
    a.transmit(put(pool, hello('again')));
    breath.run();
    breath.run();
    t.equal(held.length, 1);
    held[0]!.free();
  });

  t.test('allocates nothing a packet', async (t) => {
    const { pool, breath, set } = makeSet(t);
    const [a, b] = bridge(t, set, [{ offload: true }, { offload: true }]).links as [TapLink, TapLink];
    const frame = hello('many');
    let received = 0;
    b.attach({
      receive(skb) {
        received++;
        skb.free();
      },
    });
    const send = (count: number): void => {
      for (let i = 0; i < count; i += 32) {
        for (let k = 0; k < 32; k++) a.transmit(put(pool, frame));
        breath.run();
        breath.run();
      }
    };
    send(20_000);
    let sent = 20_000;
    const bytes = await allocated(3200 * 8, () => {
      send(3200);
      sent += 3200;
    });
    t.equal(received, sent);
    t.ok(bytes <= 3200 * 8, `${bytes} bytes for 3200 packets`);
  });

  t.test('lives in a worker thread, and goes with it', async (t) => {
    const netns = addNetns(t);
    const worker = new Worker(new URL('./fixtures/tap-worker.js', import.meta.url), { workerData: netnsPath(netns) });
    const [message] = (await once(worker, 'message')) as [string];
    t.equal(message, 'eth0');
    t.match(sh(`ip -n ${netns} -o link`), 'eth0');
    await worker.terminate();
    t.notMatch(sh(`ip -n ${netns} -o link`), 'eth0');
  });
});

t.test('opening a TAP', async (t) => {
  if (!canUseNetns(t)) return;
  const { set } = makeSet(t);
  const netns = addNetns(t);
  const options = { netnsPath: netnsPath(netns), ifname: 'eth0', mtu: 1500, offload: true };

  t.test('in a namespace that does not exist says what and where', async (t) => {
    t.throws(() => set.open({ ...options, netnsPath: '/run/netns/no-such' }), {
      message: 'open /run/netns/no-such: ENOENT',
      code: 'ENOENT',
      syscall: 'open',
      path: '/run/netns/no-such',
    });
  });

  t.test('under a name in use says so', async (t) => {
    set.open(options);
    t.throws(() => set.open(options), {
      message: 'TUNSETIFF eth0: EBUSY; a device of that name exists',
      code: 'EBUSY',
      syscall: 'TUNSETIFF',
    });
  });

  t.test('with an impossible MTU leaves no device behind', async (t) => {
    t.throws(() => set.open({ ...options, ifname: 'eth7', mtu: 3 }), { code: 'EINVAL', syscall: 'SIOCSIFMTU' });
    t.notMatch(sh(`ip -n ${netns} -o link`), 'eth7');
  });

  t.test('refuses a name of 16 characters', async (t) => {
    t.throws(() => set.open({ ...options, ifname: 'a234567890123456' }), TypeError);
  });

  t.test('does not move the caller to the namespace', async (t) => {
    const before = sh('readlink /proc/self/ns/net');
    set.open({ ...options, ifname: 'eth8' });
    t.equal(sh('readlink /proc/self/ns/net'), before);
  });

  t.test('on a closed set throws', async (t) => {
    const closed = new TapSet(loadNative()!, new SkbPool(8), new Breath());
    closed.close();
    closed.close();
    t.throws(() => closed.open(options), { code: 'ERR_CLOSED' });
  });
});
