// RFC 6902, JSON Patch, all or nothing: the first operation that fails ends it with 422.
import { badRequest, StatusError } from '../../api/status-error.ts';
import { clone, equal, isMap } from '../../lib/tree.ts';

const MAX_OPERATIONS = 10_000;

interface Operation {
  op: string;
  path: string;
  from?: string;
  value?: unknown;
}

/** Changes `target`, a private copy, and returns the result (another value when the root was replaced). */
export function applyJsonPatch(target: unknown, patch: unknown): unknown {
  if (!Array.isArray(patch)) throw badRequest('error decoding patch: a JSON patch is a list of operations');
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
    if (!isMap(operation) || typeof operation['op'] !== 'string') {
      throw badRequest('error decoding patch: an operation of a JSON patch has a member op');
    }
    apply(holder, operation as unknown as Operation);
  }
  return holder['root'];
}

function apply(holder: Record<string, unknown>, { op, path, from, value }: Operation): void {
  if (from !== undefined && typeof from !== 'string') throw doesNotApply();
  if (typeof path !== 'string') throw doesNotApply();
  switch (op) {
    case 'add':
      add(locate(holder, path), clone(value ?? null));
      return;
    case 'remove':
      remove(locate(holder, path));
      return;
    case 'replace':
      replace(locate(holder, path), clone(value ?? null));
      return;
    case 'copy':
      add(locate(holder, path), clone(read(locate(holder, from ?? ''))));
      return;
    case 'move': {
      const moved = remove(locate(holder, from ?? ''));
      add(locate(holder, path), moved);
      return;
    }
    case 'test': {
      const found = read(locate(holder, path), true);
      if (!equal(found ?? null, value ?? null)) throw doesNotApply();
      return;
    }
    default:
      throw doesNotApply();
  }
}

interface Place {
  container: Record<string, unknown> | unknown[];
  key: string;
}

function locate(holder: Record<string, unknown>, path: string): Place {
  if (path !== '' && !path.startsWith('/')) throw doesNotApply();
  const steps = ['root', ...path.split('/').slice(1).map(decodeStep)];
  let container: unknown = holder;
  for (const step of steps.slice(0, -1)) {
    if (Array.isArray(container)) container = container[index(container, step, false)];
    else if (isMap(container) && Object.hasOwn(container, step)) container = container[step];
    else throw doesNotApply();
  }
  if (!Array.isArray(container) && !isMap(container)) throw doesNotApply();
  return { container, key: steps.at(-1)! };
}

function read({ container, key }: Place, optional: boolean = false): unknown {
  if (Array.isArray(container)) return container[index(container, key, false)];
  if (Object.hasOwn(container, key)) return container[key];
  if (optional) return undefined;
  throw doesNotApply();
}

function add({ container, key }: Place, value: unknown): void {
  if (Array.isArray(container)) container.splice(index(container, key, true), 0, value);
  else if (key !== '__proto__') container[key] = value;
}

function replace(place: Place, value: unknown): void {
  read(place);
  if (Array.isArray(place.container)) place.container[index(place.container, place.key, false)] = value;
  else place.container[place.key] = value;
}

function remove({ container, key }: Place): unknown {
  if (Array.isArray(container)) return container.splice(index(container, key, false), 1)[0];
  if (!Object.hasOwn(container, key)) throw doesNotApply();
  const value = container[key];
  delete container[key];
  return value;
}

/** `end`: one past the last element, or `-`, is a place too. */
function index(list: unknown[], step: string, end: boolean): number {
  if (end && step === '-') return list.length;
  if (!/^(0|[1-9]\d{0,8})$/.test(step)) throw doesNotApply();
  const i = Number(step);
  if (i >= list.length + (end ? 1 : 0)) throw doesNotApply();
  return i;
}

function decodeStep(step: string): string {
  return step.replaceAll('~1', '/').replaceAll('~0', '~');
}

/** All the real server says, whatever the reason was. */
function doesNotApply(): StatusError {
  return new StatusError('Invalid', 422, 'the server rejected our request due to an error in our request', {});
}
