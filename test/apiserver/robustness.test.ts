// Whatever a client sends, the answer is an object or a StatusError: no TypeError from code that trusted a shape.
import t from 'tap';
import type { KubeObject } from '../../src/api/meta.ts';
import { apiVersionOf } from '../../src/api/meta.ts';
import { NAMESPACES, RESOURCES, SERVICEACCOUNTS } from '../../src/api/resources.ts';
import { schemaOf } from '../../src/api/schema/kinds.ts';
import type { Schema } from '../../src/api/schema/schema.ts';
import { StatusError } from '../../src/api/status-error.ts';
import { ApiServer } from '../../src/apiserver/apiserver.ts';
import { VirtualClock } from '../../src/lib/clock.ts';
import { SeededRng } from '../../src/lib/rng.ts';
import { namespace, serviceAccount } from '../support/api.ts';
import { fc } from '../support/property.ts';

const words = fc.constantFrom(
  '',
  'a',
  'web',
  '80',
  'TCP',
  'None',
  'IPv4',
  'ClusterIP',
  'LoadBalancer',
  'NodePort',
  'ExternalName',
  '10.96.0.77',
  '::1',
  '50%',
  '1Gi',
  '-1',
  'Always',
  'x/y/z',
  '2026-01-01T00:00:00Z',
  'RollingUpdate',
);
const numbers = fc.constantFrom(-1, 0, 1, 53, 80, 30500, 70000);
const junk = fc.oneof(
  fc.constant(null),
  fc.boolean(),
  numbers,
  words,
  fc.constant([]),
  fc.constant({}),
  fc.constant([null]),
  fc.constant({ a: null }),
);

/** Objects that mostly have the shape of the schema, and partly anything else. */
function arbitrary(schema: Schema, depth: number): fc.Arbitrary<unknown> {
  return fc.oneof({ weight: 500, arbitrary: shaped(schema, depth) }, { weight: 1, arbitrary: junk });
}

function shaped(schema: Schema, depth: number): fc.Arbitrary<unknown> {
  switch (schema.kind) {
    case 'scalar':
      if (schema.type === 'bool') return fc.boolean();
      if (schema.type === 'int32' || schema.type === 'int64') return numbers;
      if (schema.type === 'intstr.IntOrString') return fc.oneof(numbers, words);
      if (schema.type === 'resource.Quantity') return fc.constantFrom('1', '100m', '1Gi', '-1', '1e3');
      if (schema.type === 'v1.Time') return fc.constant('2026-01-01T00:00:00Z');
      if (schema.type === 'any') return junk;
      return words;
    case 'list':
      return depth > 6 ? fc.constant([]) : fc.array(arbitrary(schema.items, depth + 1), { maxLength: 2 });
    case 'map':
      return fc.dictionary(words, arbitrary(schema.values, depth + 1), { maxKeys: 2, noNullPrototype: true });
    case 'struct': {
      if (depth > 6) return fc.constant({});
      const members = Object.fromEntries(
        Object.entries(schema.fields).map(([key, s]) => [key, arbitrary(s, depth + 1)]),
      );
      return fc.record(members, { requiredKeys: [], noNullPrototype: true });
    }
  }
}

t.test('no body makes the server fail otherwise than by a StatusError', async (t) => {
  const server = new ApiServer({ clock: new VirtualClock(), rng: new SeededRng(1) });
  t.teardown(() => server.close());
  const client = server.client();
  await client.create(NAMESPACES, namespace('default'));
  // Pods of these accounts get further.
  for (const name of ['default', 'a', '80', '10.96.0.77']) await client.create(SERVICEACCOUNTS, serviceAccount(name));
  const only = async (work: () => Promise<unknown>): Promise<void> => {
    try {
      await work();
    } catch (error) {
      if (!(error instanceof StatusError)) throw error;
      if (error.code === 500) throw error;
    }
  };
  for (const type of RESOURCES) {
    const schema = schemaOf(type)!;
    t.ok(schema, type.kind);
    let shaped = 0;
    const property = fc.asyncProperty(arbitrary(schema, 0), arbitrary(schema, 0), async (first, second) => {
      const shape = (body: unknown): KubeObject => {
        if (body === null || typeof body !== 'object' || Array.isArray(body)) return body as KubeObject;
        const { metadata } = body as { metadata?: unknown };
        const place = type.namespaced ? { name: 'web', namespace: 'default' } : { name: 'web' };
        const sound = metadata !== null && typeof metadata === 'object' && !Array.isArray(metadata);
        return {
          ...body,
          apiVersion: apiVersionOf(type),
          kind: type.kind,
          metadata: sound ? { ...metadata, ...place, resourceVersion: '' } : metadata,
        } as KubeObject;
      };
      const where = type.namespaced ? 'default' : undefined;
      await only(async () => {
        const failed = await client.create(type, shape(first)).then(
          () => undefined,
          (error: unknown) => error,
        );
        if (!(failed instanceof StatusError) || failed.code !== 400) shaped++;
        if (failed) throw failed;
      });
      await only(() => client.update(type, shape(second)));
      await only(() => client.patch(type, where, 'web', 'merge', second));
      await only(() => client.patch(type, where, 'web', 'strategic', second));
      await only(() => client.update(type, shape(second), 'status'));
      await only(() => client.delete(type, where, 'web', { gracePeriodSeconds: 0 }));
      await only(() => client.patch(type, where, 'web', 'merge', { metadata: { finalizers: null } }));
      if (type === NAMESPACES)
        await only(() => client.update(type, { ...namespace('web'), spec: {} } as KubeObject, 'finalize'));
    });
    await fc.assert(property, { numRuns: Number(process.env['RUNS'] ?? 100) });
    t.ok(shaped > 5, `${type.kind}: ${shaped} of 100 bodies had the right shape`);
  }
});

t.test('services never leak addresses or ports, whatever happens', async (t) => {
  const server = new ApiServer({
    clock: new VirtualClock(),
    rng: new SeededRng(2),
    serviceCIDR: '10.96.0.0/28',
    nodePortRange: [30_000, 30_009],
  });
  t.teardown(() => server.close());
  const client = server.client();
  await client.create(NAMESPACES, namespace('default'));
  const registry = RESOURCES.find((r) => r.resource === 'services')!;
  const kind = fc.constantFrom('ClusterIP', 'NodePort', 'LoadBalancer', 'ExternalName');
  const step = fc.record({
    name: fc.constantFrom('a', 'b', 'c', 'd'),
    verb: fc.constantFrom('create', 'create', 'patch', 'delete'),
    type: kind,
    clusterIP: fc.constantFrom(undefined, undefined, '10.96.0.3', 'None'),
    ports: fc.array(
      fc.record({
        port: fc.constantFrom(80, 81),
        protocol: fc.constantFrom('TCP', 'UDP'),
        nodePort: fc.constantFrom(undefined, 30_001, 30_002),
      }),
      { minLength: 1, maxLength: 3 },
    ),
    local: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
      for (const { name, verb, type, clusterIP, ports, local } of steps) {
        const spec = {
          type,
          ...(clusterIP && type !== 'ExternalName' ? { clusterIP } : {}),
          ports: ports.map((p, i) => ({ name: `p${i}`, ...JSON.parse(JSON.stringify(p)) })),
          ...(type === 'ExternalName' ? { externalName: 'example.com' } : {}),
          ...(local && type === 'LoadBalancer' ? { externalTrafficPolicy: 'Local' } : {}),
        };
        const object = {
          apiVersion: 'v1',
          kind: 'Service',
          metadata: { name, namespace: 'default' },
          spec,
        } as KubeObject;
        try {
          if (verb === 'create') await client.create(registry, object);
          else if (verb === 'patch') await client.patch(registry, 'default', name, 'merge', { spec });
          else await client.delete(registry, 'default', name);
        } catch (error) {
          if (!(error instanceof StatusError)) throw error;
        }
      }
      const all = (await client.list(registry)).items as unknown as {
        metadata: { name: string };
        spec: { clusterIP?: string; healthCheckNodePort?: number; ports: { nodePort?: number; protocol?: string }[] };
      }[];
      const ips = all.map((s) => s.spec.clusterIP).filter((ip) => ip && ip !== 'None');
      if (new Set(ips).size !== ips.length) throw new Error(`an address is used twice: ${ips.join()}`);
      for (const service of all) await client.delete(registry, 'default', service.metadata.name);
      // Everything can be taken again: 14 addresses and 10 ports.
      for (let i = 1; i <= 14; i++) {
        const ports = i <= 10 ? [{ port: 80, nodePort: 29_999 + i }] : [{ port: 80 }];
        const spec = { clusterIP: `10.96.0.${i}`, ports, type: i <= 10 ? 'NodePort' : 'ClusterIP' };
        await client.create(registry, {
          apiVersion: 'v1',
          kind: 'Service',
          metadata: { name: `s${i}`, namespace: 'default' },
          spec,
        } as KubeObject);
      }
      for (let i = 1; i <= 14; i++) await client.delete(registry, 'default', `s${i}`);
    }),
    { numRuns: 60 },
  );
  t.pass();
});
