// The network layer against the Linux kernel: a stack on one end of a TAP, a namespace on the other, real programs in it.
// Real clock; every wait ends with the program that is waited for.
import { spawn } from 'node:child_process';
import t, { type Test } from 'tap';
import { Breath } from '../../src/lib/breath.ts';
import { RealClock } from '../../src/lib/clock.ts';
import { SeededRng } from '../../src/lib/rng.ts';
import { loadNative } from '../../src/link/native.ts';
import { TapSet } from '../../src/link/tap.ts';
import type { PingError, PingReply } from '../../src/tcpip-ts/icmp/ping.ts';
import { SkbPool } from '../../src/tcpip-ts/skb.ts';
import { Stack } from '../../src/tcpip-ts/stack.ts';
import { ipv4 } from '../../src/tcpip-ts/wire/address.ts';
import { addNetns, canUseNetns, netnsPath, sh } from '../support/netns.ts';

const KERNEL = ipv4('10.0.0.2');

/** 10.0.0.1 is the stack, 10.0.0.2 the kernel. */
function setup(t: Test, { mtu = 1500, offload = false } = {}) {
  const netns = addNetns(t);
  const pool = new SkbPool(1024);
  const set = new TapSet(loadNative()!, pool, new Breath());
  t.teardown(() => set.close());
  const link = set.open({ netnsPath: netnsPath(netns), ifname: 'tap0', mtu, offload });
  sh(`ip -n ${netns} addr add 10.0.0.2/24 dev tap0`);
  sh(`ip -n ${netns} route add default via 10.0.0.1`);
  const stack = new Stack({ clock: new RealClock(), rng: new SeededRng(1), pool });
  t.teardown(() => stack.close());
  stack.addInterface(link, { addr: ipv4('10.0.0.1'), prefixLen: 24 });
  return { netns, stack, run: (...argv: string[]) => run(netns, argv) };
}

interface Result {
  readonly code: number | null;
  readonly out: string;
}

/** Runs a program in the namespace to its end, at most a minute. */
function run(netns: string, argv: string[]): Promise<Result> {
  const child = spawn('ip', ['netns', 'exec', netns, ...argv], { timeout: 60_000 });
  let out = '';
  child.stdout.on('data', (chunk) => (out += chunk));
  child.stderr.on('data', (chunk) => (out += chunk));
  return new Promise((done) => child.on('close', (code) => done({ code, out })));
}

/** A program for the kernel's side, on node:dgram. */
function dgramProgram(body: string): string[] {
  return [process.execPath, '-e', `const s = require('dgram').createSocket('udp4'); ${body}`];
}

for (const offload of [false, true]) {
  t.test(`ping ${offload ? 'with' : 'without'} offloads`, async (t) => {
    if (!canUseNetns(t, 'ping')) return;
    const { run, netns, stack } = setup(t, { offload });
    for (const size of [0, 56, 1472, 1473, 4000, 65000]) {
      const { code, out } = await run(
        'ping',
        '-n',
        '-c',
        '3',
        '-i',
        '0.01',
        '-W',
        '30',
        '-s',
        String(size),
        '10.0.0.1',
      );
      t.equal(code, 0, `ping -s ${size}`);
      t.match(out, /3 packets transmitted, 3 received, 0% packet loss/);
      t.notMatch(out, /wrong data byte|truncated|DUP/);
    }
    t.match(sh(`ip -n ${netns} neigh show 10.0.0.1`), /(REACHABLE|DELAY|STALE)/);
    t.equal(stack.counters.get('IpReasmFails'), 0);
    t.equal(stack.counters.get('IpInHdrErrors'), 0);
    t.equal(stack.counters.get('IcmpInErrors'), 0);
  });

  t.test(`UDP echo of every size, both ways, ${offload ? 'with' : 'without'} offloads`, async (t) => {
    if (!canUseNetns(t)) return;
    const { stack, run } = setup(t, { offload });
    const server = stack.udp.bind({ port: 7 });
    server.onMessage = (bytes, saddr, sport) => {
      if (server.send(bytes, saddr, sport) < 0) t.fail('send');
    };
    const sizes = [0, 1, 1471, 1472, 1473, 2960, 9000, 30001, 65507];
    const client = dgramProgram(`
      const sizes = ${JSON.stringify(sizes)};
      const fill = (n) => Buffer.from(Array.from({ length: n }, (_, i) => (i * 7 + n) & 255));
      const next = () => sizes.length ? s.send(fill(sizes[0]), 7, '10.0.0.1') : (console.log('all back'), process.exit(0));
      s.on('message', (m) => { if (!m.equals(fill(sizes.shift()))) { console.log('wrong', m.length); process.exit(1); } next(); });
      setTimeout(() => { console.log('no answer for', sizes[0]); process.exit(1); }, 50000);
      next();`);
    t.match(await run(...client), { code: 0, out: 'all back\n' });

    const echo = dgramProgram(`
      s.on('message', (m, r) => m.toString() === 'end' ? process.exit(0) : s.send(m, r.port, r.address));
      s.bind(9, () => s.send('ready', 4000, '10.0.0.1'));`);
    const ready = stack.udp.bind({ port: 4000 });
    const isReady = new Promise<void>((done) => {
      ready.onMessage = () => done();
    });
    const ended = run(...echo);
    await isReady;
    const ours = stack.udp.bind();
    for (const size of sizes) {
      const sent = Buffer.from(Array.from({ length: size }, (_, i) => (i * 5 + size) & 255));
      const back = new Promise<Uint8Array>((done) => {
        ours.onMessage = done;
      });
      t.equal(ours.send(sent, KERNEL, 9), 0);
      t.ok(sent.equals(await back), `${size} bytes came back`);
    }
    ours.send(Buffer.from('end'), KERNEL, 9);
    t.match(await ended, { code: 0 });
    t.equal(stack.counters.get('UdpInErrors'), 0);
  });
}

t.test('a closed port is refused, both ways', async (t) => {
  if (!canUseNetns(t)) return;
  const { stack, run } = setup(t);
  const knock = dgramProgram(`
    s.on('error', (e) => { console.log(e.code); process.exit(0); });
    s.connect(9, '10.0.0.1', () => s.send('knock'));`);
  t.match(await run(...knock), { out: 'ECONNREFUSED\n' });
  const endpoint = stack.udp.bind();
  const refused = new Promise<number>((done) => {
    endpoint.onError = done;
  });
  endpoint.send(Buffer.from('knock'), KERNEL, 9);
  t.equal(await refused, 111);
});

t.test('our ping to the kernel, also in fragments and to nobody', async (t) => {
  if (!canUseNetns(t)) return;
  const { stack } = setup(t);
  const ping = stack.icmp.openPing();
  for (const size of [0, 56, 4000]) {
    const payload = Uint8Array.from({ length: size }, (_, i) => i & 255);
    const reply = new Promise<PingReply>((done) => {
      ping.onReply = done;
    });
    ping.send({ daddr: KERNEL, seq: size, payload });
    t.match(await reply, { saddr: KERNEL, seq: size, ttl: 64 });
    t.equal(Buffer.compare((await reply).payload, payload), 0);
  }
  const error = new Promise<PingError>((done) => {
    ping.onError = done;
  });
  ping.send({ daddr: ipv4('10.0.0.99'), seq: 1 });
  t.match(await error, { type: 3, code: 1, reporter: ipv4('10.0.0.1') });
});

t.test('traceroute ends at the stack', async (t) => {
  if (!canUseNetns(t, 'traceroute')) return;
  const { run } = setup(t);
  const { code, out } = await run('traceroute', '-n', '-q', '1', '-w', '30', '10.0.0.1');
  t.equal(code, 0);
  t.match(out, /^ 1 {2}10\.0\.0\.1 {2}[\d.]+ ms$/m);
});

t.test('fragments of 576 bytes both ways', async (t) => {
  if (!canUseNetns(t, 'ping')) return;
  const { run } = setup(t, { mtu: 576 });
  const { out } = await run('ping', '-n', '-c', '2', '-i', '0.01', '-W', '30', '-s', '3000', '10.0.0.1');
  t.match(out, /2 received/);
});
