import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { RESOURCES } from '../../../src/api/resources.ts';
import { schemaOf } from '../../../src/api/schema/kinds.ts';
import type { Schema } from '../../../src/api/schema/schema.ts';
import { decodeProtobuf, ProtobufError } from '../../../src/apiserver/protobuf/decode.ts';
import { FIELD_NUMBERS } from '../../../src/apiserver/protobuf/field-numbers.ts';
import { ROOT } from '../../support/podwire.ts';
import { fc } from '../../support/property.ts';

const { cases } = JSON.parse(readFileSync(join(ROOT, 'test/fixtures/kubectl-protobuf.json'), 'utf8')) as {
  cases: { command: string; hex: string; decoded: Record<string, unknown> }[];
};

/** Without nulls, empty objects and lists, zeroes and the namespace: what the two forms differ in. */
function pruned(value: unknown): unknown {
  if (Array.isArray(value)) return value.length > 0 ? value.map(pruned) : undefined;
  if (value === null || value === 0 || value === '') return undefined;
  if (typeof value !== 'object') return value;
  const members = Object.entries(value as object)
    .map(([key, member]) => [key, key === 'namespace' ? undefined : pruned(member)] as const)
    .filter(([, member]) => member !== undefined);
  return members.length > 0 ? Object.fromEntries(members) : undefined;
}

t.test('what kubectl create sends reads as what it prints', async (t) => {
  t.ok(cases.length >= 8, `${cases.length} bodies`);
  for (const { command, hex, decoded } of cases) {
    t.same(pruned(decodeProtobuf(Buffer.from(hex, 'hex'))), pruned(decoded), command);
  }
});

/** A message from its fields: numbers, text, or messages. */
function message(...fields: [number, number | string | Buffer][]): Buffer {
  const varint = (value: number): Buffer => {
    const bytes: number[] = [];
    for (let rest = value; ; rest = Math.floor(rest / 128)) {
      if (rest < 128) return Buffer.from([...bytes, rest]);
      bytes.push((rest % 128) + 128);
    }
  };
  const parts = fields.map(([number, content]) => {
    if (typeof content === 'number') return Buffer.concat([varint(number * 8), varint(content)]);
    const bytes = Buffer.from(content);
    return Buffer.concat([varint(number * 8 + 2), varint(bytes.length), bytes]);
  });
  return Buffer.concat(parts);
}

function unknown(apiVersion: string, kind: string, raw: Buffer): Buffer {
  return Buffer.concat([Buffer.from('k8s\0'), message([1, message([1, apiVersion], [2, kind])], [2, raw])]);
}

t.test('a Pod as a Go client writes it: embedded structs, maps, pointers to zero', async (t) => {
  const probe = message([1, message([2, message([1, '/healthz'], [2, message([1, 1], [3, 'http'])])])], [2, 0], [4, 5]);
  const env = message([1, 'A'], [2, ''], [3, message([3, message([1, message([1, 'cm'])], [2, 'key'])])]);
  const limits = message([1, 'cpu'], [2, message([1, '100m'])]);
  const container = message(
    ...([
      [1, 'c'],
      [2, 'nginx'],
      [3, 'sh'],
      [3, '-c'],
      [7, env],
      [8, message([1, limits])],
      [10, probe],
      [15, message([4, 0], [2, 0])],
      [16, 0],
    ] as [number, string | number | Buffer][]),
  );
  const volume = message([1, 'v'], [2, message([19, message([1, message([1, 'cm'])], [3, 420])])]);
  const spec = message([1, volume], [2, container], [4, 0], [11, 0], [37, 0]);
  const status = message([1, ''], [3, ''], [4, ''], [5, ''], [6, ''], [9, '']);
  const body = unknown('v1', 'Pod', message([1, message([1, 'p'], [8, message()])], [2, spec], [3, status]));
  t.same(decodeProtobuf(body), {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'p' },
    spec: {
      volumes: [{ name: 'v', configMap: { name: 'cm', defaultMode: 420 } }],
      containers: [
        {
          name: 'c',
          image: 'nginx',
          command: ['sh', '-c'],
          env: [{ name: 'A', valueFrom: { configMapKeyRef: { name: 'cm', key: 'key' } } }],
          resources: { limits: { cpu: '100m' } },
          livenessProbe: { httpGet: { path: '/healthz', port: 'http' }, periodSeconds: 5 },
          securityContext: { runAsUser: 0, privileged: false },
        },
      ],
      terminationGracePeriodSeconds: 0,
      hostUsers: false,
    },
    status: {},
  });
  const strange = unknown('v1', 'Pod', message([2, message([99, 'x'])]));
  t.throws(() => decodeProtobuf(strange), { message: 'PodSpec: field 99 cannot be read from protobuf; send JSON' });
});

t.test('every number is a field of the schema, and no two fields have one number', async (t) => {
  const structs = new Map<string, Set<string>>();
  const seen = new Set<Schema>();
  const visit = (schema: Schema): void => {
    if (seen.has(schema)) return;
    seen.add(schema);
    if (schema.kind === 'list') visit(schema.items);
    else if (schema.kind === 'map') visit(schema.values);
    else if (schema.kind === 'struct') {
      const fields = structs.get(schema.name) ?? new Set();
      for (const [name, field] of Object.entries(schema.fields)) {
        fields.add(name);
        visit(field);
      }
      structs.set(schema.name, fields);
    }
  };
  for (const type of RESOURCES) visit(schemaOf(type)!);
  for (const [name, numbers] of Object.entries(FIELD_NUMBERS)) {
    t.equal(new Set(Object.values(numbers)).size, Object.values(numbers).length, `${name}: one number each`);
    const fields = structs.get(name);
    if (!fields) continue; // reviews and options, and structs embedded in others
    t.same(
      Object.keys(numbers).filter((field) => !field.startsWith('...') && !fields.has(field)),
      [],
      name,
    );
    for (const field of Object.keys(numbers)) {
      if (field.startsWith('...')) t.ok(FIELD_NUMBERS[field.slice(3)], `${name}: ${field}`);
    }
  }
});

t.test('broken bodies are refused, whatever is broken', async (t) => {
  t.throws(() => decodeProtobuf(Buffer.from('{}')), ProtobufError, 'no magic');
  const bodies = cases.map(({ hex }) => Buffer.from(hex, 'hex'));
  const broken = fc.tuple(fc.constantFrom(...bodies), fc.nat(), fc.nat(255), fc.boolean());
  fc.assert(
    fc.property(broken, ([body, at, byte, cut]) => {
      const copy = Buffer.from(body);
      copy[at % copy.length] = byte;
      try {
        decodeProtobuf(cut ? copy.subarray(0, at % copy.length) : copy);
      } catch (error) {
        if (!(error instanceof ProtobufError)) throw error;
      }
    }),
    { seed: 7, numRuns: 2000 },
  );
});
