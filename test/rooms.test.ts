// Imports point one way: each room may import only from the rooms listed for it, and no files load each other in a circle. Reads the
// sources, so a forbidden import fails the suite whether or not it compiles.
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
  /** Gone once compiled: `import type`. */
  readonly isType: boolean;
}

function sources(): string[] {
  return readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((f) => f.endsWith('.ts') && !f.includes('node_modules') && !f.includes('/dist/'))
    .map((f) => `src/${f}`);
}

function importsOf(file: string): Import[] {
  const text = readFileSync(join(ROOT, file), 'utf8');
  return [...text.matchAll(/(?:^(?:im|ex)port (type )?[^;']*from|import)\s*\(?\s*'(\.[^']+)'/gm)].map((m) => ({
    file,
    target: relative(ROOT, resolve(ROOT, file, '..', m[2]!)),
    isType: m[1] !== undefined,
  }));
}

/** The first circle of files, each of which loads the next, as `a > b > a`; undefined when there is none. */
function findCircle(imports: readonly Import[]): string | undefined {
  const loads = new Map<string, string[]>();
  for (const { file, target, isType } of imports) {
    if (isType) continue;
    const targets = loads.get(file);
    if (targets) targets.push(target);
    else loads.set(file, [target]);
  }
  const done = new Set<string>();
  const path: string[] = [];
  const visit = (file: string): string | undefined => {
    if (done.has(file)) return undefined;
    const start = path.indexOf(file);
    if (start >= 0) return [...path.slice(start), file].join(' > ');
    path.push(file);
    for (const target of loads.get(file) ?? []) {
      const circle = visit(target);
      if (circle) return circle;
    }
    path.pop();
    done.add(file);
    return undefined;
  };
  for (const file of loads.keys()) {
    const circle = visit(file);
    if (circle) return circle;
  }
  return undefined;
}

function roomOf(path: string): string {
  return path.split('/')[1]!;
}

function isAllowed({ file, target }: Pick<Import, 'file' | 'target'>): boolean {
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

t.test('no files load each other in a circle', async (t) => {
  const imports = sources().flatMap(importsOf);
  t.ok(imports.some((i) => i.isType) && imports.some((i) => !i.isType), 'both kinds of imports are read');
  t.equal(
    findCircle(imports),
    undefined,
    'no circle; where there is one, move what both sides need to a file below them',
  );
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

t.test('the search for circles finds one and names it', async (t) => {
  const load = (file: string, target: string, isType = false): Import => ({ file, target, isType });
  const imports = [load('a', 'b'), load('b', 'd'), load('b', 'c'), load('c', 'e'), load('e', 'b'), load('a', 'd')];
  t.equal(findCircle(imports), 'b > c > e > b');
  t.equal(findCircle(imports.filter((i) => i.file !== 'e')), undefined, 'to be loaded twice is no circle');
  t.equal(findCircle([load('a', 'b'), load('b', 'a', true)]), undefined, 'types alone load nothing');
});
