import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { KubeObject } from '../../../src/api/meta.ts';
import { RESOURCES } from '../../../src/api/resources.ts';
import { humanDuration } from '../../../src/apiserver/printers/duration.ts';
import { columnDefinitions, tableRow } from '../../../src/apiserver/printers/table.ts';
import { ROOT } from '../../support/podwire.ts';

interface Fixture {
  columns: Record<string, { name: string; type: string; format: string; priority: number }[]>;
  rows: {
    id: string;
    resource: string;
    object: KubeObject;
    cells: unknown[];
    wideCells?: unknown[];
    rowConditions?: unknown[];
  }[];
  durations: { nanoseconds: string; text: string }[];
}

const { columns, rows, durations } = JSON.parse(
  readFileSync(join(ROOT, 'test/fixtures/printers.json'), 'utf8'),
) as Fixture;

/** Kinds whose columns are known, that the cluster may come to serve. */
const NOT_SERVED = new Set(['leases']);
const NOW = Date.UTC(2026, 5, 1);
const UNIT_MS: Record<string, number> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, y: 365 * 86_400_000 };

/** `now-5m` and the like become timestamps. */
function atNow<T>(value: T): T {
  return JSON.parse(JSON.stringify(value), (_key, member: unknown) => {
    const match = typeof member === 'string' ? /^now([+-])([\d.]+)([smhdy])$/.exec(member) : null;
    if (!match) return member;
    const offset = Number(match[2]) * UNIT_MS[match[3]!]!;
    return new Date(match[1] === '+' ? NOW + offset : NOW - offset).toISOString();
  }) as T;
}

t.test('columns are those of the real server', async (t) => {
  for (const [resource, expected] of Object.entries(columns)) {
    const type = RESOURCES.find((candidate) => candidate.resource === resource);
    if (!type) {
      t.ok(NOT_SERVED.has(resource), `${resource} is served`);
      continue;
    }
    const found = (columnDefinitions(type) as { description: string }[]).map(({ description: _, ...rest }) => rest);
    t.same(found, expected, resource);
  }
});

t.test('rows are those of the real server', async (t) => {
  t.ok(rows.length > 50, `${rows.length} rows`);
  for (const { id, resource, object, cells, wideCells, rowConditions = [] } of rows) {
    const type = RESOURCES.find((candidate) => candidate.resource === resource)!;
    const row = tableRow(type, atNow(object), NOW, 'Metadata') as {
      cells: unknown[];
      conditions?: unknown[];
      object: { kind: string };
    };
    const narrow = columns[resource]!.flatMap((column, i) => (column.priority === 0 ? [row.cells[i]] : []));
    // A row's narrow cells may be cut shorter than the API ever sends them: then the wide ones say what counts.
    if (wideCells) t.same(row.cells, wideCells, id);
    else t.same(narrow, cells, id);
    t.same(row.conditions ?? [], rowConditions, `${id}: conditions`);
    t.equal(row.object.kind, 'PartialObjectMetadata');
  }
});

t.test('ages are those of kubectl', async (t) => {
  for (const { nanoseconds, text } of durations) t.equal(humanDuration(Number(nanoseconds) / 1e6), text, text);
});
