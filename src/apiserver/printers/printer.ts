// What the printer of a kind has: its columns, and the cells of an object in their order, without the name and the age that most
// kinds share where it says so. After k8s.io/kubernetes/pkg/printers.
import type { KubeObject, LabelSelector } from '../../api/meta.ts';

export type Cell = string | number;

export interface Column {
  readonly name: string;
  readonly type: 'string' | 'integer' | 'boolean' | 'date';
  /** `name` for the column that holds the object's name. */
  readonly format?: string;
  /** 0: always shown; 1: with `-o wide`. */
  readonly priority: 0 | 1;
}

export interface RowCondition {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  readonly message: string;
}

export interface Printer<T extends KubeObject = KubeObject> {
  readonly columns: readonly Column[];
  cells(object: T, nowMs: number): Cell[];
  conditions?(object: T): RowCondition[];
}

export const NAME: Column = { name: 'Name', type: 'string', format: 'name', priority: 0 };

export function column(name: string, type: Column['type'] = 'string'): Column {
  return { name, type, priority: 0 };
}

export function wide(name: string): Column {
  return { name, type: 'string', priority: 1 };
}

/** At most three, then how many more. */
export function firstThree(texts: readonly string[]): string {
  const shown = texts.slice(0, 3).join(',');
  return texts.length > 3 ? `${shown} + ${texts.length - 3} more...` : shown;
}

export function labelsText(labels: Readonly<Record<string, string>> | undefined): string {
  const pairs = Object.entries(labels ?? {}).map(([key, value]) => `${key}=${value}`);
  return pairs.length > 0 ? pairs.sort().join(',') : '<none>';
}

export function selectorText(selector: LabelSelector | undefined): string {
  const parts = Object.entries(selector?.matchLabels ?? {}).map(([key, value]) => ({ key, text: `${key}=${value}` }));
  for (const { key, operator, values = [] } of selector?.matchExpressions ?? []) {
    const set = `(${[...values].sort().join(',')})`;
    switch (operator) {
      case 'In':
        parts.push({ key, text: `${key} in ${set}` });
        break;
      case 'NotIn':
        parts.push({ key, text: `${key} notin ${set}` });
        break;
      case 'Exists':
        parts.push({ key, text: key });
        break;
      case 'DoesNotExist':
        parts.push({ key, text: `!${key}` });
        break;
      default:
        return '<invalid>';
    }
  }
  if (parts.length === 0) return '<none>';
  parts.sort((a, b) => (a.key < b.key ? -1 : 1));
  return parts.map((part) => part.text).join(',');
}
