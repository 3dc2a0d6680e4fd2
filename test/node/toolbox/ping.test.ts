import t from 'tap';
import { podWorld } from '../../support/pod-world.ts';
import type { Wire } from '../../support/wire.ts';

/** Loses the echo requests whose sequence number is in `lost`. */
function losing(wire: Wire, ...lost: number[]): void {
  wire.drop = ({ bytes, nh }, from) =>
    from === 'a' && bytes[nh + 9] === 1 && bytes[nh + 20] === 8 && lost.includes(bytes[nh + 27]!);
}

t.test('as iputils prints it', async (t) => {
  const world = podWorld(t);
  await world.run('ping -c 1 10.0.0.2');
  const line = (seq: number, from = '10.0.0.2', bytes = 64): string =>
    `${bytes} bytes from ${from}: icmp_seq=${seq} ttl=64 time=1.00 ms\n`;
  const rtt = 'rtt min/avg/max/mdev = 1.000/1.000/1.000/0.000 ms\n';
  const ent = 'ent.dev.svc.cluster.local';
  const cases: readonly [string, number, string][] = [
    [
      '-c 2 10.0.0.2',
      0,
      `PING 10.0.0.2 (10.0.0.2) 56(84) bytes of data.\n${line(1)}${line(2)}\n--- 10.0.0.2 ping statistics ---\n2 packets transmitted, 2 received, 0% packet loss, time 1000ms\n${rtt}`,
    ],
    [
      '-c 1 ent',
      0,
      `PING ${ent} (10.0.0.2) 56(84) bytes of data.\n${line(1, `${ent} (10.0.0.2)`)}\n--- ${ent} ping statistics ---\n1 packets transmitted, 1 received, 0% packet loss, time 0ms\n${rtt}`,
    ],
    [
      '-n -c 1 ent',
      0,
      `PING ${ent} (10.0.0.2) 56(84) bytes of data.\n${line(1)}\n--- ${ent} ping statistics ---\n1 packets transmitted, 1 received, 0% packet loss, time 0ms\n${rtt}`,
    ],
    [
      '-q -c 3 -i 0.2 10.0.0.2',
      0,
      `PING 10.0.0.2 (10.0.0.2) 56(84) bytes of data.\n\n--- 10.0.0.2 ping statistics ---\n3 packets transmitted, 3 received, 0% packet loss, time 400ms\n${rtt}`,
    ],
    [
      '-c 1 -s 8 10.0.0.2',
      0,
      'PING 10.0.0.2 (10.0.0.2) 8(36) bytes of data.\n16 bytes from 10.0.0.2: icmp_seq=1 ttl=64\n\n--- 10.0.0.2 ping statistics ---\n1 packets transmitted, 1 received, 0% packet loss, time 0ms\n\n',
    ],
    [
      '-c 1 -s 2000 10.0.0.2',
      0,
      `PING 10.0.0.2 (10.0.0.2) 2000(2028) bytes of data.\n${line(1, '10.0.0.2', 2008)}\n--- 10.0.0.2 ping statistics ---\n1 packets transmitted, 1 received, 0% packet loss, time 0ms\n${rtt}`,
    ],
    [
      '-c 2 -i 0 10.0.0.2',
      0,
      `PING 10.0.0.2 (10.0.0.2) 56(84) bytes of data.\n${line(1)}${line(2)}\n--- 10.0.0.2 ping statistics ---\n2 packets transmitted, 2 received, 0% packet loss, time 1ms\nrtt min/avg/max/mdev = 1.000/1.000/1.000/0.000 ms, ipg/ewma 1.000/1.000 ms\n`,
    ],
    [
      '-c 1 -W 1 10.0.0.77',
      1,
      'PING 10.0.0.77 (10.0.0.77) 56(84) bytes of data.\n\n--- 10.0.0.77 ping statistics ---\n1 packets transmitted, 0 received, 100% packet loss, time 0ms\n\n',
    ],
    [
      '-c 1 10.0.0.77',
      1,
      'PING 10.0.0.77 (10.0.0.77) 56(84) bytes of data.\nFrom 10.0.0.1 icmp_seq=1 Destination Host Unreachable\n\n--- 10.0.0.77 ping statistics ---\n1 packets transmitted, 0 received, +1 errors, 100% packet loss, time 0ms\n\n',
    ],
  ];
  for (const [args, code, stdout] of cases) {
    const result = await world.run(`ping ${args}`);
    t.equal(result.stdout, stdout, args);
    t.equal(result.stderr, '', args);
    t.equal(result.code, code, args);
  }
  const tooBig = await world.run('ping -c 1 -M do -s 3000 10.0.0.2');
  t.equal(tooBig.stderr, 'ping: local error: message too long, mtu=1500\n');
  t.match(tooBig.stdout, /\+1 errors, 100% packet loss/);
});

t.test('losses, late answers and duplicates', async (t) => {
  const world = podWorld(t);
  await world.run('ping -c 1 10.0.0.2');
  losing(world.hosts.wire, 2);
  const { stdout, seconds } = await world.run('ping -O -c 3 10.0.0.2');
  t.match(stdout, /icmp_seq=1 .*\nno answer yet for icmp_seq=2\n.*icmp_seq=3 /);
  t.match(stdout, /3 packets transmitted, 2 received, 33\.3333% packet loss, time 2000ms\n/);
  t.equal(seconds, 3, 'the last answer is waited for as long as the interval');
  losing(world.hosts.wire, 1, 2, 3);
  t.equal((await world.run('ping -c 3 -W 4 10.0.0.2')).seconds, 6, 'without any answer as long as -W says');
  t.equal((await world.run('ping -c 1 10.0.0.2')).seconds, 10, 'or ten seconds');
});

t.test('pipe: answers later than the next request', async (t) => {
  const world = podWorld(t);
  await world.run('ping -c 1 10.0.0.2');
  Object.assign(world.hosts.wire, { delayUs: 150_000 }); // 300 ms for the round trip
  const { stdout } = await world.run('ping -c 4 -i 0.09 10.0.0.2');
  t.match(stdout, /time=300 ms\n/);
  t.match(stdout, /\nrtt min\/avg\/max\/mdev = 300\.000\/300\.000\/300\.000\/0\.000 ms, pipe 4\n$/);
});

t.test('a deadline counts requests as they fit', async (t) => {
  const world = podWorld(t);
  await world.run('ping -c 1 10.0.0.2');
  const { stdout, seconds } = await world.run('ping -w 3 10.0.0.2');
  t.match(stdout, /3 packets transmitted, 3 received/);
  t.equal(seconds, 3);
});

t.test('SIGINT shows the statistics, SIGTERM does not', async (t) => {
  const world = podWorld(t);
  for (const [signal, code, shown] of [
    ['SIGINT', 0, /2 packets transmitted, 2 received/],
    ['SIGTERM', 143, /icmp_seq=2 .*\n$/],
  ] as const) {
    const abort = new AbortController();
    world.clock.after(1_500_000, () => abort.abort(signal));
    const result = await world.run('ping 10.0.0.2', { signal: abort.signal });
    t.equal(result.code, code, signal);
    t.match(result.stdout, shown, signal);
  }
});

t.test('errors', async (t) => {
  const world = podWorld(t);
  for (const [args, code, stderr] of [
    ['-c 1 nosuch', 2, 'ping: nosuch: Temporary failure in name resolution\n'],
    ['-c 1 8.8.8.8', 2, 'ping: connect: Network is unreachable\n'],
    ['-c 1', 1, 'ping: usage error: Destination address required\n'],
    ['-c abc x', 1, "ping: invalid argument: 'abc'\n"],
    ['-c 0 x', 1, "ping: invalid argument: '0': out of range: 1 <= value <= 9223372036854775807\n"],
    ['-t 300 x', 1, "ping: invalid argument: '300': out of range: 0 <= value <= 255\n"],
    ['-s -1 x', 1, "ping: invalid argument: '-1': out of range: 0 <= value <= 2147483647\n"],
  ] as const) {
    const result = await world.run(`ping ${args}`);
    t.equal(result.stderr, stderr, args);
    t.equal(result.stdout, '', args);
    t.equal(result.code, code, args);
  }
  t.match(await world.run('ping -Z x'), { code: 2, stderr: /^ping: invalid option -- 'Z'\n\nUsage\n/ });
  t.match(await world.run('ping -c'), { code: 2, stderr: /^ping: option requires an argument -- 'c'\n/ });
});
