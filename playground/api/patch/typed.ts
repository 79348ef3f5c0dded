// SPDX-License-Identifier: Apache-2.0
// Typed views of a value under its schema, for server-side apply: which fields it sets, how two values merge, what
// changed between two, and how to take fields out. Lists of type `map` are keyed, `set` lists hold scalars, the rest is
// replaced as one field. Source: Kubernetes documentation, "Server-Side Apply, merge strategy".
import { equal, isObject, type Json, type JsonObject, setMember } from '../json.ts';
import { itemSchema, memberSchema, type Resolve, type Schema } from '../schema/schema.ts';
import { EMPTY, type FieldSet, LEAF, makeSet } from './field-set.ts';

/** The edge of a list item, or undefined when the list is one field. */
export function itemEdge(schema: Schema | undefined, item: Json): string | undefined {
  const type = schema?.['x-kubernetes-list-type'];
  if (type === 'set') return isObject(item) || Array.isArray(item) ? undefined : `v:${JSON.stringify(item)}`;
  if (type !== 'map' || !isObject(item)) return undefined;
  const keys = schema?.['x-kubernetes-list-map-keys'] ?? [];
  const id: JsonObject = {};
  for (const key of [...keys].sort()) {
    const value = item[key] ?? schema?.items?.properties?.[key]?.default ?? KEY_DEFAULTS[key];
    if (value !== undefined) id[key] = value;
  }
  return `k:${JSON.stringify(id)}`;
}

/** Keys that core kinds default, so that an item without them is still found. */
const KEY_DEFAULTS: Readonly<Record<string, string>> = { protocol: 'TCP' };

const keyed = (schema: Schema | undefined): boolean =>
  schema?.['x-kubernetes-list-type'] === 'map' || schema?.['x-kubernetes-list-type'] === 'set';
const atomicMap = (schema: Schema | undefined): boolean => schema?.['x-kubernetes-map-type'] === 'atomic';

/** The fields that `value` sets. */
export function fieldsOf(schema: Schema | undefined, value: Json, resolve: Resolve, root = true): FieldSet {
  if (isObject(value) && !atomicMap(schema)) {
    const names = Object.keys(value).filter((name) => value[name] !== undefined);
    if (names.length === 0) return root ? EMPTY : LEAF;
    const children = new Map<string, FieldSet>();
    for (const name of names)
      children.set(`f:${name}`, fieldsOf(memberSchema(schema, name, resolve), value[name]!, resolve, false));
    return makeSet(false, children);
  }
  if (Array.isArray(value) && keyed(schema)) {
    const children = new Map<string, FieldSet>();
    const inner = itemSchema(schema, resolve);
    for (const item of value) {
      const edge = itemEdge(schema, item);
      if (edge === undefined) return LEAF;
      const below = isObject(item) ? fieldsOf(inner, item, resolve, true) : EMPTY;
      children.set(edge, makeSet(true, new Map(below.children)));
    }
    return children.size === 0 ? LEAF : makeSet(false, children);
  }
  return LEAF;
}

/** `over` laid on `base`: members merge, keyed items merge, the rest is replaced. */
export function mergeTyped(schema: Schema | undefined, base: Json | undefined, over: Json, resolve: Resolve): Json {
  if (isObject(over) && isObject(base) && !atomicMap(schema)) {
    const result: JsonObject = { ...base };
    for (const name of Object.keys(over))
      if (over[name] !== undefined)
        setMember(result, name, mergeTyped(memberSchema(schema, name, resolve), base[name], over[name], resolve));
    return result;
  }
  if (Array.isArray(over) && Array.isArray(base) && keyed(schema)) {
    const inner = itemSchema(schema, resolve);
    const result = [...base];
    const places = new Map(base.map((item, index) => [itemEdge(schema, item), index]));
    for (const item of over) {
      const place = places.get(itemEdge(schema, item));
      if (place === undefined) result.push(item);
      else result[place] = mergeTyped(inner, result[place], item, resolve);
    }
    return result;
  }
  return over;
}

/** Fields added or modified from `before` to `after`, and fields that are gone. */
export interface Changes {
  readonly changed: FieldSet;
  readonly removed: FieldSet;
}
const NO_CHANGES: Changes = { changed: EMPTY, removed: EMPTY };

export function compare(
  schema: Schema | undefined,
  before: Json | undefined,
  after: Json | undefined,
  resolve: Resolve,
  root = true,
): Changes {
  if (before === after) return NO_CHANGES;
  if (before === undefined)
    return after === undefined ? NO_CHANGES : { changed: fieldsOf(schema, after, resolve, root), removed: EMPTY };
  if (after === undefined) return { changed: EMPTY, removed: withSelf(fieldsOf(schema, before, resolve, root), !root) };
  if (isObject(before) && isObject(after) && !atomicMap(schema)) {
    const names = new Set([...Object.keys(before), ...Object.keys(after)]);
    return compareParts(names, (name) => [
      `f:${name}`,
      compare(memberSchema(schema, name, resolve), before[name], after[name], resolve, false),
    ]);
  }
  if (Array.isArray(before) && Array.isArray(after) && keyed(schema)) {
    const old = new Map(before.map((item) => [itemEdge(schema, item) ?? '', item]));
    const now = new Map(after.map((item) => [itemEdge(schema, item) ?? '', item]));
    if (old.has('') || now.has('')) return equal(before, after) ? NO_CHANGES : { changed: LEAF, removed: EMPTY };
    const inner = itemSchema(schema, resolve);
    return compareParts(new Set([...old.keys(), ...now.keys()]), (edge) => [
      edge,
      compareItems(inner, old.get(edge), now.get(edge), resolve),
    ]);
  }
  return equal(before, after) ? NO_CHANGES : { changed: LEAF, removed: EMPTY };
}

function compareItems(
  schema: Schema | undefined,
  before: Json | undefined,
  after: Json | undefined,
  resolve: Resolve,
): Changes {
  const { changed, removed } = compare(schema, before, after, resolve);
  return {
    changed: before === undefined ? withSelf(isObject(after ?? null) ? changed : EMPTY, true) : changed,
    removed: after === undefined ? withSelf(isObject(before ?? null) ? removed : EMPTY, true) : removed,
  };
}

function compareParts(names: Iterable<string>, part: (name: string) => [string, Changes]): Changes {
  const changed = new Map<string, FieldSet>();
  const removed = new Map<string, FieldSet>();
  for (const name of names) {
    const [edge, changes] = part(name);
    changed.set(edge, changes.changed);
    removed.set(edge, changes.removed);
  }
  return { changed: makeSet(false, changed), removed: makeSet(false, removed) };
}

const withSelf = (set: FieldSet, own: boolean): FieldSet => makeSet(set.own || own, new Map(set.children));

/** `value` without the fields of `set`; containers that become empty through it go too, unless `keep` owns below. */
export function removeFields(
  schema: Schema | undefined,
  value: Json,
  set: FieldSet,
  resolve: Resolve,
): Json | undefined {
  if (set.own && set.children.size === 0) return undefined;
  if (isObject(value)) {
    const result: JsonObject = { ...value };
    for (const [edge, child] of set.children) {
      const name = edge.slice(2);
      const member = result[name];
      if (!edge.startsWith('f:') || member === undefined) continue;
      const rest = removeFields(memberSchema(schema, name, resolve), member, child, resolve);
      if (rest === undefined) delete result[name];
      else setMember(result, name, rest);
    }
    return Object.keys(result).length === 0 && Object.keys(value).length > 0 ? undefined : result;
  }
  if (Array.isArray(value) && keyed(schema)) {
    const inner = itemSchema(schema, resolve);
    const result = value.flatMap((item) => {
      const child = set.children.get(itemEdge(schema, item) ?? '');
      if (!child) return [item];
      if (child.own) return [];
      const rest = removeFields(inner, item, child, resolve);
      return rest === undefined ? [] : [rest];
    });
    return result.length === 0 && value.length > 0 ? undefined : result;
  }
  return value;
}
