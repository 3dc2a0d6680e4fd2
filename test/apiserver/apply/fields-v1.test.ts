import t from 'tap';
import {
  below,
  difference,
  type FieldsV1,
  hasMember,
  insert,
  intersection,
  leaves,
  paths,
  pathText,
  union,
} from '../../../src/apiserver/apply/fields-v1.ts';
import { fc } from '../../support/property.ts';

function setOf(...members: string[]): FieldsV1 {
  const set: FieldsV1 = {};
  for (const member of members) insert(set, member.split('/'));
  return set;
}

const texts = (set: FieldsV1): string[] => paths(set).map((path) => path.join('/'));

t.test('a member with members below it has the edge "."', async (t) => {
  t.same(setOf('f:a/f:b', 'f:a', 'f:c'), { 'f:a': { '.': {}, 'f:b': {} }, 'f:c': {} });
  t.same(setOf('f:a', 'f:a/f:b'), { 'f:a': { '.': {}, 'f:b': {} } });
  t.same(texts(setOf('f:a/f:b', 'f:c', 'f:a')), ['f:a', 'f:c', 'f:a/f:b']);
  t.ok(hasMember(setOf('f:a'), 'f:a'));
  t.notOk(hasMember(setOf('f:a/f:b'), 'f:a'));
  t.same(below(setOf('f:a', 'f:a/f:b'), 'f:a'), { 'f:b': {} });
  t.same(texts(leaves(setOf('f:a', 'f:a/f:b', 'f:c'))), ['f:c', 'f:a/f:b']);
});

t.test('paths read as the API’s messages name them', async (t) => {
  const path = ['f:spec', 'f:ports', 'k:{"port":80,"protocol":"TCP"}', 'f:name'];
  t.equal(pathText(path), '.spec.ports[port=80,protocol="TCP"].name');
  t.equal(pathText(['f:metadata', 'f:finalizers', 'v:"x/y"']), '.metadata.finalizers[="x/y"]');
});

t.test('union, difference and intersection are those of sets of paths', async (t) => {
  const element = fc.constantFrom('f:a', 'f:b', 'v:"x"');
  const path = fc.array(element, { minLength: 1, maxLength: 3 }).map((elements) => elements.join('/'));
  const members = fc.uniqueArray(path, { maxLength: 8 });
  const sorted = (list: Iterable<string>): string[] => [...list].sort();
  fc.assert(
    fc.property(members, members, (left, right) => {
      const [a, b] = [setOf(...left), setOf(...right)];
      const before = JSON.stringify([a, b]);
      t.same(sorted(texts(union(a, b))), sorted(new Set([...left, ...right])));
      t.same(sorted(texts(difference(a, b))), sorted(left.filter((p) => !right.includes(p))));
      t.same(sorted(texts(intersection(a, b))), sorted(left.filter((p) => right.includes(p))));
      return JSON.stringify([a, b]) === before;
    }),
  );
});
