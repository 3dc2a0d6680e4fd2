// Imports point one way: each room may import only from the rooms listed for it. Reads the sources, so a forbidden import fails
// the suite whether or not it compiles.
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import t from 'tap';

const ROOT = join(import.meta.dirname, '../..');

/** Room to the rooms it may import from, beside itself. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  lib: [],
  'tcpip-ts': ['lib'],
  link: ['lib', 'tcpip-ts'],
  kernel: ['lib', 'tcpip-ts'],
  capture: ['lib', 'tcpip-ts', 'kernel'],
  api: ['lib'],
  client: ['lib', 'api'],
  apiserver: ['lib', 'api', 'client'],
  controller: ['lib', 'api', 'client'],
  proxy: ['lib', 'api', 'client', 'kernel', 'tcpip-ts'],
  dns: ['lib', 'api', 'client', 'tcpip-ts'],
  node: ['lib', 'api', 'client', 'kernel', 'link', 'tcpip-ts'],
};

/** Files a room may reach only in part: the proxy knows the kernel by its rule-commit interface and the shapes it commits. */
const ONLY: Readonly<Record<string, RegExp>> = {
  'proxy > kernel': /^src\/kernel\/(netlink|netfilter\/(iptables\/(rule|save|parse)|nftables\/ruleset))\.ts$/,
  'proxy > tcpip-ts': /^src\/tcpip-ts\/wire\//,
  'capture > kernel': /^src\/kernel\/core\//,
  'apiserver > client': /^src\/client\/(client|port-protocol)\.ts$/,
};

/** They put the others together: any room of src is theirs, but the command is above the cluster. */
const EVERYTHING = new Set(['cluster', 'cli']);

interface Import {
  readonly file: string;
  readonly target: string;
}

function sources(): string[] {
  return readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((f) => f.endsWith('.ts') && !f.includes('node_modules') && !f.includes('/dist/'))
    .map((f) => `src/${f}`);
}

function importsOf(file: string): Import[] {
  const text = readFileSync(join(ROOT, file), 'utf8');
  return [...text.matchAll(/(?:from|import)\s*\(?\s*'(\.[^']+)'/g)].map((m) => ({
    file,
    target: relative(ROOT, resolve(ROOT, file, '..', m[1]!)),
  }));
}

function roomOf(path: string): string {
  return path.split('/')[1]!;
}

function isAllowed({ file, target }: Import): boolean {
  const from = roomOf(file);
  const to = roomOf(target);
  if (!target.startsWith('src/')) return false;
  if (from === to) return true;
  if (EVERYTHING.has(from)) return to !== 'cli';
  if (!MAY_IMPORT[from]?.includes(to)) return false;
  return ONLY[`${from} > ${to}`]?.test(target) ?? true;
}

t.test('every import goes from a room to one below it', async (t) => {
  const files = sources();
  t.ok(files.length > 100, `${files.length} sources read`);
  const forbidden = files.flatMap(importsOf).filter((i) => !isAllowed(i));
  t.same(forbidden, [], 'no forbidden import');
  const unknown = [...new Set(files.filter((f) => f.split('/').length > 2).map(roomOf))].filter(
    (r) => !(r in MAY_IMPORT) && !EVERYTHING.has(r),
  );
  t.same(unknown, [], 'no room without a rule');
});

t.test('the check itself catches what it is for', async (t) => {
  t.notOk(isAllowed({ file: 'src/tcpip-ts/stack.ts', target: 'src/kernel/kernel.ts' }), 'the stack knows no kernel');
  t.notOk(
    isAllowed({ file: 'src/proxy/x.ts', target: 'src/kernel/kernel.ts' }),
    'the proxy knows the kernel by netlink only',
  );
  t.notOk(isAllowed({ file: 'src/kernel/kernel.ts', target: 'src/node/cni.ts' }), 'the kernel knows no kubelet');
  t.notOk(isAllowed({ file: 'src/lib/clock.ts', target: 'test/support/wire.ts' }), 'nothing imports tests');
  t.notOk(isAllowed({ file: 'src/cluster/cluster.ts', target: 'src/cli/table.ts' }), 'the cluster knows no command');
  t.notOk(isAllowed({ file: 'src/cli/table.ts', target: 'test/support/wire.ts' }), 'nothing does');
  t.ok(isAllowed({ file: 'src/cluster/cluster.ts', target: 'src/dns/server.ts' }), 'the cluster sees everything');
});
