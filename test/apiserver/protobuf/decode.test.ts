import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import t from 'tap';
import { decodeProtobuf, ProtobufError } from '../../../src/apiserver/protobuf/decode.ts';
import { ROOT } from '../../support/podwire.ts';

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
