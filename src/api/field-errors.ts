// What is wrong with an object, field by field: the causes of a 422 Invalid. Kinds and wording after
// k8s.io/apimachinery/pkg/util/validation/field (errors.go, 1.34: values that are not scalars are shown as JSON).
import type { StatusCause } from './status-error.ts';

/** Joins `spec.ports` and 0 to `spec.ports[0]`, `metadata.labels` and a key to `metadata.labels[key]`. */
export function at(path: string, index: number | string): string {
  return `${path}[${index}]`;
}

export class FieldErrors {
  readonly causes: StatusCause[] = [];

  get empty(): boolean {
    return this.causes.length === 0;
  }

  required(field: string, detail: string = ''): void {
    this.#add('FieldValueRequired', field, 'Required value', detail);
  }

  invalid(field: string, value: unknown, detail: string): void {
    this.#add('FieldValueInvalid', field, `Invalid value: ${show(value)}`, detail);
  }

  /** One `invalid` for each detail. */
  invalidAll(field: string, value: unknown, details: readonly string[]): void {
    for (const detail of details) this.invalid(field, value, detail);
  }

  duplicate(field: string, value: unknown): void {
    this.#add('FieldValueDuplicate', field, `Duplicate value: ${show(value)}`, '');
  }

  notFound(field: string, value: unknown): void {
    this.#add('FieldValueNotFound', field, `Not found: ${show(value)}`, '');
  }

  notSupported(field: string, value: unknown, supported: readonly string[]): void {
    const list = supported.map((s) => JSON.stringify(s)).join(', ');
    this.#add('FieldValueNotSupported', field, `Unsupported value: ${show(value)}`, `supported values: ${list}`);
  }

  forbidden(field: string, detail: string): void {
    this.#add('FieldValueForbidden', field, 'Forbidden', detail);
  }

  tooLong(field: string, maxBytes: number): void {
    this.#add('FieldValueTooLong', field, 'Too long', `may not be more than ${maxBytes} bytes`);
  }

  tooMany(field: string, actual: number, max: number): void {
    this.#add(
      'FieldValueTooMany',
      field,
      `Too many: ${actual}`,
      `must have at most ${max} item${max === 1 ? '' : 's'}`,
    );
  }

  #add(reason: string, field: string, what: string, detail: string): void {
    const message = detail === '' ? what : `${what}: ${detail}`;
    if (this.causes.some((c) => c.field === field && c.message === message)) return;
    this.causes.push({ reason, message, field });
  }
}

function show(value: unknown): string {
  return value === undefined ? 'null' : JSON.stringify(value);
}
