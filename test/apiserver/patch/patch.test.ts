import t from 'tap';
import type { Pod } from '../../../src/api/core-v1.ts';
import type { KubeObject } from '../../../src/api/meta.ts';
import { CONFIGMAPS, PODS, SERVICES } from '../../../src/api/resources.ts';
import { StatusError } from '../../../src/api/status-error.ts';
import { applyJsonPatch } from '../../../src/apiserver/patch/json-patch.ts';
import { applyMergePatch } from '../../../src/apiserver/patch/merge-patch.ts';
import { applyPatch } from '../../../src/apiserver/patch/patch.ts';
import { clone, freeze } from '../../../src/lib/tree.ts';
import { fc } from '../../support/property.ts';

t.test('JSON merge patch: the cases of RFC 7396, appendix A', async (t) => {
  const cases: [unknown, unknown, unknown][] = [
    [{ a: 'b' }, { a: 'c' }, { a: 'c' }],
    [{ a: 'b' }, { b: 'c' }, { a: 'b', b: 'c' }],
    [{ a: 'b' }, { a: null }, {}],
    [{ a: 'b', b: 'c' }, { a: null }, { b: 'c' }],
    [{ a: ['b'] }, { a: 'c' }, { a: 'c' }],
    [{ a: 'c' }, { a: ['b'] }, { a: ['b'] }],
    [{ a: { b: 'c' } }, { a: { b: 'd', c: null } }, { a: { b: 'd' } }],
    [{ a: [{ b: 'c' }] }, { a: [1] }, { a: [1] }],
    [
      ['a', 'b'],
      ['c', 'd'],
      ['c', 'd'],
    ],
    [{ a: 'b' }, ['c'], ['c']],
    [{ a: 'foo' }, null, null],
    [{ a: 'foo' }, 'bar', 'bar'],
    [{ e: null }, { a: 1 }, { e: null, a: 1 }],
    [[1, 2], { a: 'b', c: null }, { a: 'b' }],
    [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
  ];
  for (const [target, patch, result] of cases) t.same(applyMergePatch(clone(target), patch), result);
  t.same(applyMergePatch({}, JSON.parse('{"__proto__": {"polluted": true}}')), {});
  t.notOk('polluted' in {});
});

t.test('JSON patch: the cases of RFC 6902, appendix A', async (t) => {
  const cases: [unknown, unknown[], unknown][] = [
    [{ foo: 'bar' }, [{ op: 'add', path: '/baz', value: 'qux' }], { baz: 'qux', foo: 'bar' }],
    [{ foo: ['bar', 'baz'] }, [{ op: 'add', path: '/foo/1', value: 'qux' }], { foo: ['bar', 'qux', 'baz'] }],
    [{ baz: 'qux', foo: 'bar' }, [{ op: 'remove', path: '/baz' }], { foo: 'bar' }],
    [{ foo: ['bar', 'qux', 'baz'] }, [{ op: 'remove', path: '/foo/1' }], { foo: ['bar', 'baz'] }],
    [{ baz: 'qux', foo: 'bar' }, [{ op: 'replace', path: '/baz', value: 'boo' }], { baz: 'boo', foo: 'bar' }],
    [
      { foo: { bar: 'baz', waldo: 'fred' }, qux: { corge: 'grault' } },
      [{ op: 'move', from: '/foo/waldo', path: '/qux/thud' }],
      { foo: { bar: 'baz' }, qux: { corge: 'grault', thud: 'fred' } },
    ],
    [
      { foo: ['all', 'grass', 'cows', 'eat'] },
      [{ op: 'move', from: '/foo/1', path: '/foo/3' }],
      { foo: ['all', 'cows', 'eat', 'grass'] },
    ],
    [{ baz: 'qux' }, [{ op: 'test', path: '/baz', value: 'qux' }], { baz: 'qux' }],
    [
      { foo: 'bar' },
      [{ op: 'add', path: '/child', value: { grandchild: {} } }],
      { foo: 'bar', child: { grandchild: {} } },
    ],
    [{ foo: 'bar' }, [{ op: 'add', path: '/baz', value: 'qux', xyz: 123 }], { foo: 'bar', baz: 'qux' }],
    [{ '/': 9, '~1': 10 }, [{ op: 'test', path: '/~01', value: 10 }], { '/': 9, '~1': 10 }],
    [{ foo: ['bar'] }, [{ op: 'add', path: '/foo/-', value: ['abc', 'def'] }], { foo: ['bar', ['abc', 'def']] }],
    [{ a: 1 }, [{ op: 'replace', path: '', value: { b: 2 } }], { b: 2 }],
    [
      { a: { b: 1 } },
      [
        { op: 'copy', from: '/a', path: '/c' },
        { op: 'replace', path: '/c/b', value: 2 },
      ],
      { a: { b: 1 }, c: { b: 2 } },
    ],
  ];
  for (const [target, patch, result] of cases) t.same(applyJsonPatch(clone(target), patch), result);
});

t.test('a JSON patch stops at the first operation that fails', async (t) => {
  const message = 'the server rejected our request due to an error in our request';
  const cases: unknown[][] = [
    [{ op: 'replace', path: '/x', value: 1 }],
    [{ op: 'remove', path: '/x/y' }],
    [{ op: 'add', path: '/x/y', value: 1 }],
    [{ op: 'add', path: '/l/9', value: 1 }],
    [{ op: 'test', path: '/l', value: 1 }],
    [{ op: 'frobnicate', path: '/l' }],
  ];
  for (const patch of cases) t.throws(() => applyJsonPatch({ l: [] }, patch), { code: 422, message });
  for (const bad of [{ op: 'add' }, [null], [1], [{}], [{ op: { toString: 1 } }]]) {
    t.throws(() => applyJsonPatch({}, bad), { code: 400 });
  }
  t.throws(() => applyJsonPatch({}, [{ op: 'move', path: '/a', from: 1 }]), { code: 422 });
  const made = applyJsonPatch({}, [{ op: 'add', path: '/__proto__', value: { polluted: true } }]);
  t.notOk('polluted' in (made as object));
});

t.test('patches never throw anything but a StatusError, and never touch their target', async (t) => {
  const target = freeze({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'a', labels: { x: 'y' }, finalizers: ['f'] },
    spec: { ports: [{ port: 80, name: 'http' }] },
  });
  const path = fc.constantFrom(
    '',
    '/',
    '/metadata',
    '/metadata/labels/x',
    '/spec/ports/0',
    '/spec/ports/-',
    '/spec/ports/9',
    '/q/w',
    'x',
    '/metadata/name',
  );
  const operation = fc.record({
    op: fc.constantFrom('add', 'remove', 'replace', 'move', 'copy', 'test', 'x'),
    path,
    from: path,
    value: fc.jsonValue(),
  });
  const key = fc.constantFrom(
    'metadata',
    'spec',
    'ports',
    'port',
    'name',
    'labels',
    '$patch',
    '$setElementOrder/ports',
    '$retainKeys',
    '$deleteFromPrimitiveList/finalizers',
    '__proto__',
  );
  const { tree } = fc.letrec((tie) => ({
    tree: fc.oneof(
      { depthSize: 'small' },
      fc.constantFrom(null, 1, 'delete', 'replace', 80, true, { toString: 1 }),
      fc.array(tie('tree'), { maxLength: 3 }),
      fc.dictionary(key, tie('tree'), { maxKeys: 4 }),
    ),
  }));
  const quiet = (fn: () => unknown): boolean => {
    try {
      fn();
      return true;
    } catch (error) {
      return error instanceof StatusError;
    }
  };
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 5 }), (patch) =>
      quiet(() => applyPatch(SERVICES, 'json', target, patch)),
    ),
  );
  fc.assert(fc.property(tree, (patch) => quiet(() => applyPatch(SERVICES, 'merge', target, patch))));
  fc.assert(fc.property(tree, (patch) => quiet(() => applyPatch(SERVICES, 'strategic', target, patch))));
  t.pass();
});

t.test('strategic merge patch', async (t) => {
  const base: Pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'p', finalizers: ['a', 'b'], labels: { x: 'y' } },
    spec: {
      containers: [
        {
          name: 'a',
          image: 'a:1',
          args: ['1', '2'],
          env: [{ name: 'E', value: '1' }],
          ports: [{ containerPort: 80, name: 'http' }],
        },
        { name: 'b', image: 'b:1' },
      ],
      tolerations: [{ key: 'k' }],
      volumes: [{ name: 'v', emptyDir: {} }],
    },
  };
  const cases: [string, object, (pod: Pod) => unknown, unknown][] = [
    [
      'lists of objects merge by their key',
      {
        spec: {
          containers: [
            { name: 'b', image: 'b:2' },
            { name: 'c', image: 'c:1' },
          ],
        },
      },
      (p) => p.spec.containers.map((c) => c.image),
      ['a:1', 'b:2', 'c:1'],
    ],
    [
      'also within each other',
      {
        spec: {
          containers: [
            { name: 'a', env: [{ name: 'F', value: '2' }], ports: [{ containerPort: 80, protocol: 'UDP' }] },
          ],
        },
      },
      (p) => [p.spec.containers[0]!.env, p.spec.containers[0]!.ports],
      [
        [
          { name: 'E', value: '1' },
          { name: 'F', value: '2' },
        ],
        [{ containerPort: 80, name: 'http', protocol: 'UDP' }],
      ],
    ],
    [
      'lists without a key are replaced',
      { spec: { tolerations: [{ key: 'j' }], containers: [{ name: 'a', args: ['3'] }] } },
      (p) => [p.spec.tolerations, p.spec.containers[0]!.args],
      [[{ key: 'j' }], ['3']],
    ],
    [
      '$patch: delete takes an element away',
      { spec: { containers: [{ name: 'a', $patch: 'delete' }] } },
      (p) => p.spec.containers.map((c) => c.name),
      ['b'],
    ],
    [
      '$patch: replace replaces a list',
      { spec: { containers: [{ name: 'z', image: 'z' }, { $patch: 'replace' }] } },
      (p) => p.spec.containers,
      [{ name: 'z', image: 'z' }],
    ],
    [
      '$patch: replace replaces an object',
      { metadata: { labels: { $patch: 'replace', n: 'm' } } },
      (p) => p.metadata.labels,
      { n: 'm' },
    ],
    ['null takes a member away', { metadata: { labels: { x: null } } }, (p) => p.metadata.labels, {}],
    [
      'sets of scalars are united',
      { metadata: { finalizers: ['b', 'c'] } },
      (p) => p.metadata.finalizers,
      ['a', 'b', 'c'],
    ],
    [
      '$deleteFromPrimitiveList',
      { metadata: { '$deleteFromPrimitiveList/finalizers': ['a'] } },
      (p) => p.metadata.finalizers,
      ['b'],
    ],
    [
      '$setElementOrder orders what the client knows',
      {
        spec: {
          '$setElementOrder/containers': [{ name: 'c' }, { name: 'a' }, { name: 'b' }],
          containers: [{ name: 'c', image: 'c:1' }],
        },
      },
      (p) => p.spec.containers.map((c) => c.name),
      ['c', 'a', 'b'],
    ],
    [
      'and leaves other elements where they were',
      {
        spec: {
          '$setElementOrder/containers': [{ name: 'c' }, { name: 'b' }],
          containers: [{ name: 'c', image: 'c:1' }],
        },
      },
      (p) => p.spec.containers.map((c) => c.name),
      ['c', 'a', 'b'],
    ],
    [
      '$setElementOrder alone',
      { spec: { '$setElementOrder/containers': [{ name: 'b' }, { name: 'a' }] } },
      (p) => p.spec.containers.map((c) => c.name),
      ['b', 'a'],
    ],
    [
      '$retainKeys clears the other kinds of a volume',
      { spec: { volumes: [{ name: 'v', $retainKeys: ['name', 'hostPath'], hostPath: { path: '/' } }] } },
      (p) => p.spec.volumes,
      [{ name: 'v', hostPath: { path: '/' } }],
    ],
  ];
  for (const [what, patch, pick, expected] of cases) {
    t.same(pick(applyPatch(PODS, 'strategic', freeze(clone(base)), patch) as Pod), expected, what);
  }
  const service = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 's' },
    spec: {
      ports: [
        { name: 'a', port: 80 },
        { name: 'b', port: 81 },
      ],
    },
  };
  const expose = {
    spec: {
      $setElementOrder: undefined,
      '$setElementOrder/ports': [{ port: 80 }, { port: 82 }],
      ports: [
        { port: 82, name: 'c' },
        { $patch: 'delete', port: 81 },
      ],
    },
  };
  t.same(
    (applyPatch(SERVICES, 'strategic', service as KubeObject, JSON.parse(JSON.stringify(expose))) as typeof service)
      .spec.ports,
    [
      { name: 'a', port: 80 },
      { port: 82, name: 'c' },
    ],
  );
  t.throws(() => applyPatch(PODS, 'strategic', base, { spec: { containers: [{ image: 'x' }] } }), {
    code: 400,
    message: /does not contain declared merge key: name/,
  });
  t.throws(() => applyPatch(CONFIGMAPS, 'strategic', base, [1]), { code: 400 });
});
