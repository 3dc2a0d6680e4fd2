import t from 'tap';
import type { KubeObject } from '../../../src/api/meta.ts';
import { EncodedObjects } from '../../../src/apiserver/http/encoded-objects.ts';

function configMap(name: string, data: Record<string, string> = {}): KubeObject {
  return Object.freeze({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, resourceVersion: '7' }, data });
}

t.test('an object is encoded once', async (t) => {
  const encoded = new EncodedObjects();
  const object = configMap('a', { text: 'ü\n' });
  t.equal(encoded.json(object).toString(), JSON.stringify(object));
  t.equal(encoded.json(object), encoded.json(object), 'the same bytes');
  t.equal(encoded.eventLine('ADDED', object), encoded.eventLine('ADDED', object));
  t.equal(encoded.eventLine('ADDED', object).toString(), `${JSON.stringify({ type: 'ADDED', object })}\n`);
  t.equal(encoded.eventLine('DELETED', object).toString(), `${JSON.stringify({ type: 'DELETED', object })}\n`);
});

t.test('a list is its items', async (t) => {
  const encoded = new EncodedObjects();
  for (const items of [[], [configMap('a')], [configMap('a'), configMap('b')]]) {
    const list = {
      apiVersion: 'v1',
      kind: 'ConfigMapList',
      metadata: { resourceVersion: '9' },
      items: items as never[],
    };
    t.same(JSON.parse(encoded.list(list).toString()), list);
  }
});

t.test('what is kept is bounded', async (t) => {
  const encoded = new EncodedObjects();
  const first = configMap('first');
  const before = encoded.json(first);
  for (let i = 0; i < 80; i++) encoded.json(configMap(`p${i}`, { big: 'x'.repeat(1 << 20) }));
  t.not(encoded.json(first), before, 'the oldest has gone, and is made anew');
  t.same(encoded.json(first), before);
});
