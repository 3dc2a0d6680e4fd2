import t from 'tap';
import {
  candidates,
  lookup,
  ResolveError,
  resolverSettings,
  reverseLookup,
} from '../../../src/node/toolbox/dns/resolver.ts';
import type { Program } from '../../../src/node/workloads/program.ts';
import { formatIPv4, ipv4 } from '../../../src/tcpip-ts/wire/address.ts';
import { a, clusterZone, type PodWorld, podWorld } from '../../support/pod-world.ts';
import { fc } from '../../support/property.ts';

/** A program that looks a name up and prints what it got. */
const getaddrinfo: Program = async (ctx) => {
  try {
    const { addresses, canonicalName } = await lookup(ctx, ctx.argv[1]!);
    ctx.stdout.write(`${addresses.map(formatIPv4).join(',')} ${canonicalName}`);
  } catch (error) {
    ctx.stdout.write(error instanceof ResolveError ? error.code : String(error));
  }
  return 0;
};

function newWorld(t: { teardown(end: () => void): void }, resolvConf?: string): PodWorld {
  const world = podWorld(t);
  if (resolvConf !== undefined) world.files.write('/etc/resolv.conf', resolvConf);
  return world;
}

async function ask(world: PodWorld, name: string): Promise<{ said: string; seconds: number; asked: string[] }> {
  world.asked.length = 0;
  const { stdout, seconds } = await world.play(getaddrinfo, ['getaddrinfo', name]);
  return { said: stdout, seconds, asked: world.asked.map((q) => `${q.name} ${q.type} ${q.transport}`) };
}

t.test('the order of names is that of ndots', async (t) => {
  const searches = ['a.b', 'b'];
  for (const [name, ndots, expected] of [
    ['ent', 5, ['ent.a.b', 'ent.b', 'ent']],
    ['x.y', 5, ['x.y.a.b', 'x.y.b', 'x.y']],
    ['x.y', 1, ['x.y', 'x.y.a.b', 'x.y.b']],
    ['x', 0, ['x', 'x.a.b', 'x.b']],
    ['ent.', 5, ['ent']],
    ['.', 5, ['.']],
  ] as const)
    t.same(candidates(name, { searches, ndots }), expected, `${name} with ndots:${ndots}`);
});

t.test('options are read and limited as glibc does', async (t) => {
  const world = newWorld(
    t,
    'nameserver 10.0.0.2\nnameserver fd00::1\nnameserver 10.0.0.3\nsearch a b\noptions ndots:99 timeout:3 attempts:x rotate\n',
  );
  t.same(resolverSettings(world), {
    nameservers: [ipv4('10.0.0.2'), ipv4('10.0.0.3')],
    searches: ['a', 'b'],
    ndots: 15,
    timeoutMs: 3000,
    attempts: 2,
  });
});

t.test(
  'A and AAAA are asked side by side from one port, along the search list until there are addresses',
  async (t) => {
    const world = newWorld(t);
    const { said, asked } = await ask(world, 'dns-version.cluster.local');
    t.equal(said, 'EAI_NODATA', 'only a TXT record there');
    t.equal(asked.length, 8, 'four names, two types');

    t.equal((await ask(world, 'ent')).said, '10.0.0.2 ent.dev.svc.cluster.local');
    t.same(
      world.asked.map((q) => [q.name, q.type]),
      [
        ['ent.dev.svc.cluster.local', 'A'],
        ['ent.dev.svc.cluster.local', 'AAAA'],
      ],
    );
    t.equal(new Set(world.asked.map((q) => q.port)).size, 1);
  },
);

t.test('the canonical name stands at the end of the aliases', async (t) => {
  t.equal((await ask(newWorld(t), 'ext')).said, '10.0.0.2 ent.dev.svc.cluster.local');
});

t.test('what was found wrong decides the error', async (t) => {
  const world = newWorld(t);
  const cases: readonly [string, PodWorld['zone'], string][] = [
    ['no such name anywhere', () => 'NXDOMAIN', 'EAI_NONAME'],
    ['outside fails', clusterZone, 'EAI_AGAIN'],
    ['somewhere a name without addresses', (n) => (n.startsWith('x.svc') ? [] : 'NXDOMAIN'), 'EAI_NODATA'],
    ['that outweighs a failure', (n) => (n.startsWith('x.svc') ? [] : 'SERVFAIL'), 'EAI_NODATA'],
    [
      'a failure on the way does not stop the search',
      (n, type) => (n === 'x' ? [a(n, '10.9.9.9')].filter((r) => r.type === type) : 'SERVFAIL'),
      '10.9.9.9 x',
    ],
  ];
  for (const [what, zone, expected] of cases) {
    world.zone = zone;
    t.equal((await ask(world, 'x')).said, expected, what);
  }
  t.equal((await ask(world, 'a..b')).said, 'EAI_NONAME', 'not a name');
  t.equal((await ask(world, 'x'.repeat(64))).said, 'EAI_NONAME', 'a label too long');
});

t.test('addresses and the hosts file need no server', async (t) => {
  const world = newWorld(t, '');
  world.files.write('/etc/hosts', '127.0.0.1 localhost\n10.1.1.1 Foo bar # baz\n::1 v6\n10.1.1.2 bar\n');
  for (const [name, expected] of [
    ['10.2.3.4', '10.2.3.4 10.2.3.4'],
    ['localhost', '127.0.0.1 localhost'],
    ['foo', '10.1.1.1 foo'],
    ['BAR', '10.1.1.1,10.1.1.2 foo'],
    ['baz', 'EAI_AGAIN'],
    ['v6', 'EAI_AGAIN'],
  ] as const)
    t.equal((await ask(world, name)).said, expected, name);
  t.equal(world.asked.length, 0);
});

t.test('silence: attempts times timeout, and no further name', async (t) => {
  const world = newWorld(t);
  world.zone = () => 'silence';
  const { said, seconds, asked } = await ask(world, 'ent');
  t.equal(said, 'EAI_AGAIN');
  t.equal(seconds, 10);
  t.equal(asked.length, 4, 'two attempts, two types');

  world.files.write('/etc/resolv.conf', 'nameserver 10.0.0.2\noptions timeout:1 attempts:3\n');
  t.equal((await ask(world, 'ent')).seconds, 3);
});

t.test('one of the two answers missing is as good as none', async (t) => {
  const world = newWorld(t);
  world.zone = (name, type) => (type === 'AAAA' ? 'silence' : clusterZone(name, type));
  t.match(await ask(world, 'ent'), { said: 'EAI_AGAIN', seconds: 10 });
});

t.test('a server that refuses or does not listen is left at once', async (t) => {
  const world = newWorld(
    t,
    'nameserver 127.0.0.1\nnameserver 10.0.0.2\nsearch dev.svc.cluster.local\noptions ndots:5\n',
  );
  const { said, seconds } = await ask(world, 'ent');
  t.equal(said, '10.0.0.2 ent.dev.svc.cluster.local');
  t.ok(seconds < 0.1, `${seconds} s`);
});

t.test('a cut answer is asked for again over TCP', async (t) => {
  const world = newWorld(t);
  world.truncates = true;
  const { said, asked } = await ask(world, 'ent');
  t.equal(said, '10.0.0.2 ent.dev.svc.cluster.local');
  t.same(asked.slice(0, 2), ['ent.dev.svc.cluster.local A udp', 'ent.dev.svc.cluster.local AAAA udp']);
  t.same(asked.slice(2).sort(), ['ent.dev.svc.cluster.local A tcp', 'ent.dev.svc.cluster.local AAAA tcp']);
});

t.test('a signal ends the wait', async (t) => {
  const world = newWorld(t);
  world.zone = () => 'silence';
  const abort = new AbortController();
  world.clock.after(1_500_000, () => abort.abort('SIGINT'));
  const { stdout, seconds } = await world.play(getaddrinfo, ['getaddrinfo', 'ent'], { signal: abort.signal });
  t.match(stdout, /interrupted/);
  t.equal(seconds, 1.5);
});

t.test('addresses have names', async (t) => {
  const world = newWorld(t);
  const getnameinfo: Program = async (ctx) => {
    ctx.stdout.write(String(await reverseLookup(ctx, ipv4(ctx.argv[1]!))));
    return 0;
  };
  for (const [address, name] of [
    ['10.0.0.2', 'ent.dev.svc.cluster.local'],
    ['127.0.0.1', 'localhost'],
    ['10.0.0.1', 'jump'],
    ['10.9.9.9', 'undefined'],
  ] as const)
    t.equal((await world.play(getnameinfo, ['getnameinfo', address])).stdout, name, address);
});

t.test('any name ends in an answer or a ResolveError', async (t) => {
  const world = newWorld(t, 'nameserver 10.0.0.2\nsearch cluster.local\noptions ndots:2 timeout:1 attempts:1\n');
  await fc.assert(
    fc.asyncProperty(fc.string({ maxLength: 70 }), async (name) => {
      const { said } = await ask(world, name);
      return /^EAI_|^[\d.]+ /.test(said);
    }),
    { numRuns: 60 },
  );
});
