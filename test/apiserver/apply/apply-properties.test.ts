// What must hold whatever is applied by whom, in any order: three managers apply random Services and Pods, forced or not.
import t from 'tap';
import type { KubeObject, ResourceType } from '../../../src/api/meta.ts';
import { PODS, SERVICES } from '../../../src/api/resources.ts';
import { schemaOf } from '../../../src/api/schema/kinds.ts';
import type { ListSchema, Schema } from '../../../src/api/schema/schema.ts';
import { StatusError } from '../../../src/api/status-error.ts';
import { applyConfiguration } from '../../../src/apiserver/apply/field-manager.ts';
import { isLeaf, itemsOf } from '../../../src/apiserver/apply/typed.ts';
import { equal } from '../../../src/lib/tree.ts';
import { fc } from '../../support/property.ts';

// No empty lists and maps: Go does not write them, so to apply one is to apply nothing.
const label = fc.dictionary(fc.constantFrom('a', 'b', 'c'), fc.constantFrom('1', '2'), { minKeys: 1, maxKeys: 2 });
const metadata = fc.record(
  { labels: label, finalizers: fc.uniqueArray(fc.constantFrom('x/a', 'x/b', 'x/c'), { minLength: 1, maxLength: 2 }) },
  { requiredKeys: [] },
);
const port = fc.record(
  {
    port: fc.constantFrom(80, 81, 82),
    protocol: fc.constantFrom('TCP', 'UDP'),
    name: fc.constantFrom('n', 'm'),
    targetPort: fc.constantFrom(1, 'x'),
  },
  { requiredKeys: ['port'] },
);
const service = fc.record(
  {
    ports: fc.uniqueArray(port, { minLength: 1, maxLength: 3, selector: (p) => `${p.port}/${p.protocol ?? 'TCP'}` }),
    selector: label,
    type: fc.constantFrom('ClusterIP', 'NodePort'),
    externalIPs: fc.array(fc.constantFrom('1.1.1.1', '2.2.2.2'), { minLength: 1, maxLength: 2 }),
  },
  { requiredKeys: ['type'] },
);
const container = fc.record(
  {
    name: fc.constantFrom('c', 'd', 'e'),
    image: fc.constantFrom('nginx', 'busybox'),
    args: fc.array(fc.constantFrom('1', '2'), { minLength: 1, maxLength: 2 }),
    env: fc.uniqueArray(
      fc.record({ name: fc.constantFrom('A', 'B'), value: fc.constantFrom('1', '2') }, { requiredKeys: ['name'] }),
      { minLength: 1, maxLength: 2, selector: (e) => e.name },
    ),
    resources: fc.record({
      limits: fc.dictionary(fc.constantFrom('cpu', 'memory'), fc.constantFrom('1', '2'), { minKeys: 1 }),
    }),
  },
  { requiredKeys: ['name'] },
);
const podSpec = fc.record(
  {
    containers: fc.uniqueArray(container, { minLength: 1, maxLength: 3, selector: (c) => c.name }),
    nodeSelector: label,
    hostname: fc.constantFrom('h', 'i'),
  },
  { requiredKeys: ['hostname'] },
);
const step = <T>(spec: fc.Arbitrary<T>) =>
  fc.record({ manager: fc.constantFrom('a', 'b', 'c'), force: fc.boolean(), metadata, spec });

/** Where `live` does not have what `config` says, along the schema. */
function lacking(schema: Schema | undefined, config: unknown, live: unknown, path: string): string[] {
  const empty = config !== null && typeof config === 'object' && Object.keys(config).length === 0;
  if (empty && !isLeaf(schema)) return [];
  if (isLeaf(schema)) return equal(config, live) ? [] : [path];
  if (schema!.kind === 'list') {
    const list = schema as ListSchema;
    const there = itemsOf(list, live);
    return [...itemsOf(list, config)].flatMap(([key, item]) => lacking(list.items, item, there.get(key), path + key));
  }
  const fields = schema!.kind === 'map' ? undefined : (schema as { fields: Record<string, Schema> }).fields;
  return Object.entries(config as object).flatMap(([name, member]) => {
    const inner = fields ? fields[name] : (schema as { values: Schema }).values;
    return lacking(inner, member, (live as Record<string, unknown> | undefined)?.[name], `${path}.${name}`);
  });
}

function check<T>(type: ResourceType, spec: fc.Arbitrary<T>): void {
  const schema = schemaOf(type)!;
  const place = { name: 'x', namespace: 'default' };
  const object = (extra: object, body: object): KubeObject =>
    ({ apiVersion: 'v1', kind: type.kind, metadata: { ...place, ...extra }, ...body }) as KubeObject;
  const writer = (manager: string) => ({ manager, subresource: '', now: '2026-01-01T00:00:00Z', hasStatus: true });
  fc.assert(
    fc.property(fc.array(step(spec), { maxLength: 8 }), (steps) => {
      let live = object({ uid: 'u' }, {});
      for (const { manager, force, metadata: extra, spec: body } of steps) {
        const config = object(extra, { spec: body });
        const before = JSON.stringify([live, config]);
        let next: KubeObject;
        try {
          next = applyConfiguration(type, live, config, writer(manager), force);
        } catch (error) {
          if (error instanceof StatusError && error.code === 409 && !force) continue;
          throw error;
        }
        if (JSON.stringify([live, config]) !== before) throw new Error('an argument was changed');
        const gaps = lacking(schema, config, next, '');
        if (gaps.length > 0) throw new Error(`not applied: ${gaps.join(' ')}`);
        const again = applyConfiguration(type, next, config, writer(manager), false);
        if (!equal(again, next)) throw new Error('the second time something changes');
        live = next;
      }
      for (const manager of ['a', 'b', 'c']) {
        live = applyConfiguration(type, live, object({}, {}), writer(manager), false);
      }
      const { metadata: rest, ...body } = live as KubeObject & { spec?: object };
      const left = JSON.stringify([rest.labels ?? {}, rest.finalizers ?? [], body.spec ?? {}]);
      if (left.replace(/"\w+":(\{\}|\[\])|[{}[\],]/g, '') !== '')
        throw new Error(`nobody owns it, and it is there: ${left}`);
      if (rest.managedFields) throw new Error(`managers of nothing: ${JSON.stringify(rest.managedFields)}`);
    }),
    { numRuns: Number(process.env['RUNS'] ?? 400) },
  );
}

t.test('Services', async (t) => {
  check(SERVICES, service);
  t.pass();
});

t.test('Pods', async (t) => {
  check(PODS, podSpec);
  t.pass();
});
