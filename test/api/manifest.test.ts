import { readdirSync, readFileSync } from 'node:fs';
import t from 'tap';
import { ManifestError, parseManifests } from '../../src/api/manifest.ts';

const objects = (text: string) => parseManifests(text, 'f.yml').map((m) => m.object);
const head = (name: string) => `apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: ${name}\n`;

t.test('several documents, comments and empty ones', async (t) => {
  const found = parseManifests(`# hello\n---\n${head('a')}---\n---\n# nothing\n---\n${head('b')}...\n`, 'f.yml');
  t.same(
    found.map((m) => [m.type.resource, m.object.metadata.name, m.line]),
    [
      ['configmaps', 'a', 3],
      ['configmaps', 'b', 11],
    ],
  );
  t.same(objects(''), []);
});

t.test('scalars are read as Kubernetes reads YAML 1.1', async (t) => {
  const [object] = objects(
    `${head('a')}data:\n  a: yes\n  b: off\n  c: 0644\n  d: 2020-01-01\n  e: 12:30\n  f: "yes"\n  g: 1e3\n  h: ~\n  80: x\n  i: 0x10\n  j: 1_000\n`,
  );
  t.same((object as { data?: unknown }).data, {
    80: 'x',
    a: true,
    b: false,
    c: 420,
    d: '2020-01-01',
    e: '12:30',
    f: 'yes',
    g: 1000,
    h: null,
    i: 16,
    j: 1000,
  });
});

t.test('anchors and merge keys', async (t) => {
  const [object] = objects(`${head('a')}data: &d {x: v}\nbinaryData:\n  <<: *d\n  z: w\n`);
  t.same((object as { binaryData?: unknown }).binaryData, { x: 'v', z: 'w' });
});

t.test('JSON and Lists', async (t) => {
  const item = (name: string) => ({ apiVersion: 'v1', kind: 'Pod', metadata: { name } });
  const list = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: [item('a'), item('b')] }, null, 2);
  t.same(objects(list), [item('a'), item('b')]);
  const typed = { apiVersion: 'v1', kind: 'PodList', items: [{ metadata: { name: 'a' } }] };
  t.same(objects(JSON.stringify(typed)), [item('a')]);
  t.same(objects('apiVersion: v1\nkind: List\nitems:\n'), []);
});

t.test('errors say where', async (t) => {
  const cases: [string, string][] = [
    ['a: [1', 'f.yml:1:6: '],
    [`${head('a')}---\nkind: Pod\n`, "f.yml:6:1: Object 'apiVersion' is missing"],
    ['apiVersion: v1\nmetadata: {name: a}\n', "f.yml:1:1: Object 'Kind' is missing"],
    ['apiVersion: v2\nkind: Pod\nmetadata: {name: a}\n', 'f.yml:1:1: no matches for kind "Pod" in version "v2"'],
    [`${head('a')}---\n- x\n`, 'f.yml:6:1: expected an object with apiVersion and kind, found a list'],
    ['apiVersion: v1\nkind: Pod\nmetadata: {}\n', 'f.yml:1:1: resource name may not be empty'],
    ['apiVersion: v1\nkind: Pod\n', 'f.yml:1:1: Pod: metadata is missing'],
    ['a: 1\na: 2\n', 'f.yml:2:1: Map keys must be unique'],
    [
      'apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Pot\n  metadata: {name: x}\n',
      'f.yml:4:3: no matches for kind "Pot" in version "v1"',
    ],
    [`a: &a [x]\nb: [${'*a,'.repeat(200)}]`, 'f.yml:1:1: '],
  ];
  for (const [text, message] of cases) {
    try {
      objects(text);
      t.fail(`accepted: ${text}`);
    } catch (error) {
      if (!(error instanceof ManifestError)) throw error;
      t.ok(error.message.startsWith(message), error.message);
    }
  }
});

t.test('documents that are no resource may be taken by the caller', async (t) => {
  const text = `apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\nmode: ipvs\n---\n${head('a')}`;
  const others: unknown[] = [];
  const found = parseManifests(text, 'f.yml', { other: (o) => others.push(o) > 0 });
  t.same(
    [found.length, others],
    [1, [{ apiVersion: 'kubeproxy.config.k8s.io/v1alpha1', kind: 'KubeProxyConfiguration', mode: 'ipvs' }]],
  );
});

t.test('the examples are read', async (t) => {
  const directory = new URL('../../../examples/', import.meta.url);
  for (const file of readdirSync(directory).filter((name) => /\.ya?ml$/.test(name))) {
    t.ok(parseManifests(readFileSync(new URL(file, directory), 'utf8'), file).length > 0, file);
  }
});
