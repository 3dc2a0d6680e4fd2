// RFC 6902, JSON Patch, all or nothing: the first operation that fails ends it with 422, worded after the library of the real
// server (evanphx/json-patch). Own code rather than a package because it must stop at the first failure with that wording.
import { StatusError } from '../../api/status-error.ts';
import { clone, equal } from '../../lib/tree.ts';

const MAX_OPERATIONS = 10_000;

interface Operation {
  op: string;
  path: string;
  from?: string;
  value?: unknown;
}

/** Changes `target`, a private copy, and returns the result (another value when the root was replaced). */
export function applyJsonPatch(target: unknown, patch: unknown): unknown {
  if (!Array.isArray(patch))
    throw new StatusError('BadRequest', 400, 'error decoding patch: a JSON patch is a list of operations');
  if (patch.length > MAX_OPERATIONS) {
    throw new StatusError(
      'RequestEntityTooLarge',
      413,
      `The allowed maximum operations in a JSON patch is ${MAX_OPERATIONS}, got ${patch.length}`,
    );
  }
  // A holder makes the root an ordinary member.
  const holder: Record<string, unknown> = { root: target };
  for (const operation of patch) {
    if (!isObject(operation) || typeof operation['op'] !== 'string') {
      throw new StatusError('BadRequest', 400, 'error decoding patch: an operation of a JSON patch has a member op');
    }
    apply(holder, operation as unknown as Operation);
  }
  return holder['root'];
}

function apply(holder: Record<string, unknown>, { op, path, from, value }: Operation): void {
  if (from !== undefined && typeof from !== 'string') throw unprocessable(`${op} operation does not apply: bad from`);
  if (typeof path !== 'string') throw unprocessable(`${op} operation does not apply: missing path`);
  switch (op) {
    case 'add':
      add(locate(holder, op, path), op, path, clone(value ?? null));
      return;
    case 'remove':
      remove(locate(holder, op, path), op, path);
      return;
    case 'replace':
      replace(locate(holder, op, path), op, path, clone(value ?? null));
      return;
    case 'copy':
      add(locate(holder, op, path), op, path, clone(read(locate(holder, op, from ?? ''), op, from ?? '')));
      return;
    case 'move': {
      const moved = remove(locate(holder, op, from ?? ''), op, from ?? '');
      add(locate(holder, op, path), op, path, moved);
      return;
    }
    case 'test': {
      const found = read(locate(holder, op, path), op, path, true);
      if (!equal(found ?? null, value ?? null)) throw unprocessable(`testing value ${path} failed: test failed`);
      return;
    }
    default:
      throw unprocessable(`Unexpected kind: ${op}`);
  }
}

interface Place {
  container: Record<string, unknown> | unknown[];
  key: string;
}

function locate(holder: Record<string, unknown>, op: string, path: string): Place {
  if (path !== '' && !path.startsWith('/')) throw missing(op, path);
  const steps = ['root', ...path.split('/').slice(1).map(decodeStep)];
  let container: unknown = holder;
  for (const step of steps.slice(0, -1)) {
    if (Array.isArray(container)) container = container[index(container, step, op, path, false)];
    else if (isObject(container) && Object.hasOwn(container, step)) container = container[step];
    else throw missing(op, path);
  }
  if (!Array.isArray(container) && !isObject(container)) throw missing(op, path);
  return { container, key: steps.at(-1)! };
}

function read({ container, key }: Place, op: string, path: string, optional: boolean = false): unknown {
  if (Array.isArray(container)) return container[index(container, key, op, path, false)];
  if (Object.hasOwn(container, key)) return container[key];
  if (optional) return undefined;
  throw missing(op, path);
}

function add({ container, key }: Place, op: string, path: string, value: unknown): void {
  if (Array.isArray(container)) container.splice(index(container, key, op, path, true), 0, value);
  else if (key !== '__proto__') container[key] = value;
}

function replace(place: Place, op: string, path: string, value: unknown): void {
  read(place, op, path);
  if (Array.isArray(place.container)) place.container[index(place.container, place.key, op, path, false)] = value;
  else place.container[place.key] = value;
}

function remove({ container, key }: Place, op: string, path: string): unknown {
  if (Array.isArray(container)) return container.splice(index(container, key, op, path, false), 1)[0];
  if (!Object.hasOwn(container, key)) throw missing(op, path);
  const value = container[key];
  delete container[key];
  return value;
}

/** `end`: one past the last element, or `-`, is a place too. */
function index(list: unknown[], step: string, op: string, path: string, end: boolean): number {
  if (end && step === '-') return list.length;
  if (!/^(0|[1-9]\d{0,8})$/.test(step)) throw missing(op, path);
  const i = Number(step);
  if (i >= list.length + (end ? 1 : 0)) {
    throw unprocessable(
      `${op} operation does not apply: doc is missing path: ${JSON.stringify(path)}: Unable to access invalid index: ${i}: invalid index referenced`,
    );
  }
  return i;
}

function decodeStep(step: string): string {
  return step.replaceAll('~1', '/').replaceAll('~0', '~');
}

function isObject(value: unknown): value is Record<string, unknown> {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}

function missing(op: string, path: string): StatusError {
  const what =
    op === 'replace' || op === 'remove' || op === 'test'
      ? `${op} operation does not apply`
      : `${op} operation does not apply`;
  return unprocessable(`${what}: doc is missing path: ${JSON.stringify(path)}: missing value`);
}

function unprocessable(message: string): StatusError {
  return new StatusError('Invalid', 422, `the server rejected our request due to an error in our request: ${message}`);
}
