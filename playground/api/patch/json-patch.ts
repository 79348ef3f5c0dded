// SPDX-License-Identifier: Apache-2.0
// JSON patch, RFC 6902, with JSON pointers of RFC 6901. A failed `test` or a missing path is an expected failure.
import { fail, ok, type Result } from '#lib/kit/result.ts';
import { copy, equal, isObject, type Json, type JsonObject, setMember } from '../json.ts';

/** Applies the operations in order to a copy of `target`. */
export function jsonPatch(target: Json, operations: Json): Result<Json> {
  if (!Array.isArray(operations)) return fail({ field: '', message: 'a JSON patch is a list of operations' });
  let document = copy(target);
  for (const [index, operation] of operations.entries()) {
    const place = `[${index}]`;
    if (!isObject(operation)) return fail({ field: place, message: 'an operation is an object' });
    const next = applyOne(document, operation);
    if (typeof next === 'string') return fail({ field: place, message: next });
    document = next.document;
  }
  return ok(document);
}

type Step = { document: Json } | string;

function applyOne(document: Json, operation: JsonObject): Step {
  const op = operation['op'];
  const path = operation['path'];
  if (typeof path !== 'string') return 'path is missing';
  const steps = parsePointer(path);
  if (!steps) return `${path} is no JSON pointer`;
  const value = operation['value'];
  switch (op) {
    case 'add':
      return value === undefined ? 'value is missing' : add(document, steps, copy(value));
    case 'replace': {
      if (value === undefined) return 'value is missing';
      if (read(document, steps) === undefined) return `replace: ${path} does not exist`;
      const removed = remove(document, steps);
      return typeof removed === 'string' ? removed : add(removed.document, steps, copy(value));
    }
    case 'remove':
      return remove(document, steps);
    case 'test':
      return holds(document, steps, value ?? null) ? { document } : `testing path ${path} value failed`;
    case 'move':
    case 'copy': {
      const from = typeof operation['from'] === 'string' ? parsePointer(operation['from']) : undefined;
      if (!from) return 'from is missing';
      const moved = read(document, from);
      if (moved === undefined) return `${op}: ${operation['from']} does not exist`;
      const rest = op === 'move' ? remove(document, from) : { document };
      return typeof rest === 'string' ? rest : add(rest.document, steps, copy(moved));
    }
    default:
      return `unknown operation ${JSON.stringify(op ?? null)}`;
  }
}

/** As on Kubernetes, and unlike RFC 6902 4.6, a member that is missing from an object passes for null. */
function holds(document: Json, steps: readonly string[], value: Json): boolean {
  const found = read(document, steps);
  if (found !== undefined || value !== null) return equal(found, value);
  return isObject(read(document, steps.slice(0, -1)));
}

/** The steps of a pointer, unescaped; undefined when it is malformed. */
export function parsePointer(pointer: string): string[] | undefined {
  if (pointer === '') return [];
  if (!pointer.startsWith('/')) return undefined;
  return pointer
    .slice(1)
    .split('/')
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'));
}

function read(document: Json, steps: readonly string[]): Json | undefined {
  let current: Json | undefined = document;
  for (const step of steps) {
    if (Array.isArray(current)) current = /^(0|[1-9]\d*)$/.test(step) ? current[Number(step)] : undefined;
    else if (isObject(current)) current = Object.hasOwn(current, step) ? current[step] : undefined;
    else return undefined;
  }
  return current;
}

function add(document: Json, steps: readonly string[], value: Json): Step {
  if (steps.length === 0) return { document: value };
  const parent = read(document, steps.slice(0, -1));
  const last = steps.at(-1)!;
  if (Array.isArray(parent)) {
    const index = last === '-' ? parent.length : Number(last);
    if (!Number.isInteger(index) || index < 0 || index > parent.length) return `index ${last} is out of bounds`;
    parent.splice(index, 0, value);
  } else if (isObject(parent)) setMember(parent, last, value);
  else return `add: /${steps.slice(0, -1).join('/')} does not exist`;
  return { document };
}

function remove(document: Json, steps: readonly string[]): Step {
  if (steps.length === 0) return 'the whole document cannot be removed';
  const parent = read(document, steps.slice(0, -1));
  const last = steps.at(-1)!;
  if (read(document, steps) === undefined) return `remove: /${steps.join('/')} does not exist`;
  if (Array.isArray(parent)) parent.splice(Number(last), 1);
  else if (isObject(parent)) delete parent[last];
  return { document };
}
