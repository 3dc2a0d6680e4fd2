import t from 'tap';
import { ether, icmp, ip, MAC_A, MAC_B } from '../../support/packet.ts';
import { type PodWorld, podWorld } from '../../support/pod-world.ts';

const heading = (name: string): string => `traceroute to ${name} (10.0.0.2), 30 hops max, 60 byte packets\n`;

/** Two routers on the way to 10.0.0.2, of which `silent` does not answer; the k-th takes k ms. */
function routed(t: { teardown(end: () => void): void }, silent?: number): PodWorld {
  const world = podWorld(t);
  const { wire } = world.hosts;
  wire.drop = ({ bytes, nh, tail }, from) => {
    const [ttl, protocol] = [bytes[nh + 8]!, bytes[nh + 9]];
    const isProbe = from === 'a' && (protocol === 17 ? bytes[nh + 22]! > 100 : protocol === 1);
    if (!isProbe || ttl > 2) return false;
    if (ttl !== silent) {
      const quoted = bytes.slice(nh, tail);
      const error = ip({ saddr: `10.0.${ttl}.1`, daddr: '10.0.0.1' }, icmp({ type: 11, code: 0 }, quoted));
      world.clock.after(ttl * 1000, () => wire.inject('a', ether(error, { src: MAC_B, dst: MAC_A })));
    }
    return true;
  };
  return world;
}

t.test('hops, names and times', async (t) => {
  const world = routed(t);
  await world.run('ping -c 1 -t 64 10.0.0.2');
  world.files.write('/etc/hosts', '10.0.1.1 gateway\n');
  const { stdout, code } = await world.run('traceroute ent');
  t.equal(
    stdout,
    `${heading('ent')} 1  gateway (10.0.1.1)  1.000 ms  1.000 ms  1.000 ms
 2  10.0.2.1 (10.0.2.1)  2.000 ms  2.000 ms  2.000 ms
 3  ent.dev.svc.cluster.local (10.0.0.2)  1.000 ms  1.000 ms  1.000 ms
`,
  );
  t.equal(code, 0);
  const rest = (): Promise<void> => world.clock.run(20_000_000); // ICMP errors are rationed, see net.ipv4.icmp_ratelimit
  for (const how of ['-n', '-n -I']) {
    await rest();
    t.equal(
      (await world.run(`traceroute ${how} ent`)).stdout,
      `${heading('ent')} 1  10.0.1.1  1.000 ms  1.000 ms  1.000 ms\n 2  10.0.2.1  2.000 ms  2.000 ms  2.000 ms\n 3  10.0.0.2  1.000 ms  1.000 ms  1.000 ms\n`,
      how,
    );
  }
  await rest();
  t.equal(
    (await world.run('traceroute -n -q 1 -f 2 ent 100')).stdout,
    `${heading('ent').replace('60', '100')} 2  10.0.2.1  2.000 ms\n 3  10.0.0.2  1.000 ms\n`,
  );
});

t.test('a hop that says nothing is given up soon when a later one has answered', async (t) => {
  const world = routed(t, 1);
  await world.run('ping -c 1 10.0.0.2');
  const { stdout, seconds } = await world.run('traceroute -n 10.0.0.2');
  t.match(stdout, /\n 1 {2}\* \* \*\n 2 {2}10\.0\.2\.1 {2}2\.000 ms/);
  t.ok(seconds < 0.2, `${seconds} s, not five`);
});

t.test('a destination that says nothing costs MAX for each batch of probes', async (t) => {
  const world = routed(t);
  await world.run('ping -c 1 -t 64 10.0.0.2'); // ARP is known
  world.hosts.wire.drop = ({ bytes, nh }, from) => from === 'a' && bytes[nh + 9] === 17;
  const { stdout, seconds } = await world.run('traceroute -n -m 7 -w 2 10.0.0.2');
  t.equal(
    stdout,
    `${heading('10.0.0.2').replace('30', '7')}${[1, 2, 3, 4, 5, 6, 7].map((n) => ` ${n}  * * *\n`).join('')}`,
  );
  t.equal(seconds, 4, '16 probes, then the other five');
});

t.test('errors', async (t) => {
  const world = routed(t);
  for (const [args, code, stderr] of [
    [
      'nosuch',
      2,
      'nosuch: Temporary failure in name resolution\nCannot handle "host" cmdline arg `nosuch\' on position 1 (argc 1)\n',
    ],
    ['-Z x', 2, "Bad option `-Z' (argc 1)\n"],
    ['-n', 2, 'Specify "host" missing argument.\n'],
    ['-m', 2, "Option `-m' (argc 1) requires an argument: `-m max_ttl'\n"],
    ['-n -w x 10.0.0.2', 2, "Cannot handle `-w' option with arg `x' (argc 3)\n"],
    ['-m 256 10.0.0.2', 2, 'max hops cannot be more than 255\n'],
    ['-q 11 10.0.0.2', 2, 'no more than 10 probes per hop\n'],
    ['-f 3 -m 2 10.0.0.2', 2, 'first hop out of range\n'],
    ['a b c', 2, "Extra arg `c' (position 3, argc 3)\n"],
    ['10.0.0.2 b', 2, 'Cannot handle "packetlen" cmdline arg `b\' on position 2 (argc 2)\n'],
    ['8.8.8.8', 1, '\nconnect: Network is unreachable\n'],
  ] as const) {
    const result = await world.run(`traceroute ${args}`);
    t.equal(result.stderr, stderr, args);
    t.equal(result.code, code, args);
  }
});
