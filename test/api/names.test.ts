import t from 'tap';
import {
  dns1035LabelErrors,
  dns1123LabelErrors,
  dns1123SubdomainErrors,
  fnv1a32,
  generateName,
  labelValueErrors,
  podTemplateHash,
  portNameErrors,
  qualifiedNameErrors,
  safeEncode,
} from '../../src/api/names.ts';
import { SeededRng } from '../../src/lib/rng.ts';

t.test('FNV-1a and the safe encoding give the known values', async (t) => {
  const bytes = (text: string) => new TextEncoder().encode(text);
  t.equal(fnv1a32(bytes('')), 0x811c9dc5);
  t.equal(fnv1a32(bytes('a')), 0xe40c292c);
  t.equal(fnv1a32(bytes('foobar')), 0xbf9cf968);
  t.equal(safeEncode('1096305467'), '54fb7498bc');
  t.equal(safeEncode('0123456789'), '456789bcdf');
});

t.test('the template hash depends on the data only, and on the collision count', async (t) => {
  const template = { metadata: { labels: { app: 'web' } }, spec: { containers: [{ name: 'c', image: 'i' }] } };
  const reordered = { spec: { containers: [{ image: 'i', name: 'c' }] }, metadata: { labels: { app: 'web' } } };
  t.equal(podTemplateHash(template), podTemplateHash(reordered));
  t.match(podTemplateHash(template), /^[4-9bcdf]{1,10}$/);
  const hashes = [podTemplateHash(template), ...[0, 1, 2].map((n) => podTemplateHash(template, n))];
  t.equal(new Set(hashes).size, 4);
  t.not(podTemplateHash(template), podTemplateHash({ ...template, spec: { containers: [] } }));
});

t.test('generated names are cut to 63 characters and come from the rng', async (t) => {
  t.equal(generateName('web-', new SeededRng(1)), generateName('web-', new SeededRng(1)));
  t.match(generateName('x'.repeat(70), new SeededRng(1)), /^x{58}[bcdfghjklmnpqrstvwxz2456789]{5}$/);
});

t.test('good and bad names', async (t) => {
  const check = (errors: (s: string) => readonly string[], good: string[], bad: string[]): void => {
    for (const name of good) t.same(errors(name), [], name);
    for (const name of bad) t.ok(errors(name).length > 0, name);
  };
  check(dns1123LabelErrors, ['a', 'a-1', '1a', 'x'.repeat(63)], ['', 'A', '-a', 'a-', 'a.b', 'a_b', 'x'.repeat(64)]);
  check(dns1123SubdomainErrors, ['a', 'a.b', 'a-1.b2'], ['', '.', 'a..b', 'a.', 'A', 'x'.repeat(254)]);
  check(dns1035LabelErrors, ['a', 'a1'], ['1a', '', 'a.b', 'x'.repeat(64)]);
  check(
    qualifiedNameErrors,
    ['a', 'A_b.c', 'x.io/a'],
    ['', '/', 'x.io/', '/a', 'a/b/c', 'X.io/a', '-a', 'x'.repeat(64)],
  );
  check(labelValueErrors, ['', 'a', 'A_b.c-1'], ['-', 'a b', 'a/b', 'x'.repeat(64)]);
  check(portNameErrors, ['http', 'a-1'], ['', '80', 'a--b', '-a', 'a-', 'Http', 'abcdefghijklmnop']);
});
