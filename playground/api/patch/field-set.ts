// SPDX-License-Identifier: Apache-2.0
// Sets of field paths, as managedFields carry them (FieldsV1): a tree whose edges are `f:NAME` (member), `k:{...}`
// (keyed list item) and `v:VALUE` (set item); `.` marks a path that is itself in the set and has children.
// Source: meta/v1 FieldsV1.
import { isObject, type Json, type JsonObject } from '../json.ts';

/** A set of paths. `own` tells whether the path of this very node is in the set. */
export interface FieldSet {
  readonly own: boolean;
  readonly children: ReadonlyMap<string, FieldSet>;
}

const NONE: ReadonlyMap<string, FieldSet> = new Map();
export const EMPTY: FieldSet = { own: false, children: NONE };
export const LEAF: FieldSet = { own: true, children: NONE };

export const isEmpty = (set: FieldSet): boolean => !set.own && set.children.size === 0;

export function makeSet(own: boolean, children: Map<string, FieldSet>): FieldSet {
  for (const [edge, child] of children) if (isEmpty(child)) children.delete(edge);
  return children.size === 0 ? (own ? LEAF : EMPTY) : { own, children };
}

export function union(a: FieldSet, b: FieldSet): FieldSet {
  if (isEmpty(a)) return b;
  if (isEmpty(b)) return a;
  const children = new Map(a.children);
  for (const [edge, child] of b.children) {
    const mine = children.get(edge);
    children.set(edge, mine ? union(mine, child) : child);
  }
  return makeSet(a.own || b.own, children);
}

/** Paths of `a` that are not in `b`. */
export function difference(a: FieldSet, b: FieldSet): FieldSet {
  if (isEmpty(a) || isEmpty(b)) return a;
  const children = new Map<string, FieldSet>();
  for (const [edge, child] of a.children) {
    const other = b.children.get(edge);
    children.set(edge, other ? difference(child, other) : child);
  }
  return makeSet(a.own && !b.own, children);
}

export function intersection(a: FieldSet, b: FieldSet): FieldSet {
  if (isEmpty(a) || isEmpty(b)) return EMPTY;
  const children = new Map<string, FieldSet>();
  for (const [edge, child] of a.children) {
    const other = b.children.get(edge);
    if (other) children.set(edge, intersection(child, other));
  }
  return makeSet(a.own && b.own, children);
}

/** Paths of `a` minus those at or below a path that is itself in `b`. */
export function withoutBelow(a: FieldSet, b: FieldSet): FieldSet {
  if (b.own) return EMPTY;
  if (isEmpty(a) || b.children.size === 0) return a;
  const children = new Map<string, FieldSet>();
  for (const [edge, child] of a.children) {
    const other = b.children.get(edge);
    children.set(edge, other ? withoutBelow(child, other) : child);
  }
  return makeSet(a.own, children);
}

export const sameSet = (a: FieldSet, b: FieldSet): boolean => {
  if (a.own !== b.own || a.children.size !== b.children.size) return false;
  for (const [edge, child] of a.children) {
    const other = b.children.get(edge);
    if (!other || !sameSet(child, other)) return false;
  }
  return true;
};

/** FieldsV1 JSON of a set. */
export function toFields(set: FieldSet): JsonObject {
  const result: JsonObject = {};
  if (set.own && set.children.size > 0) result['.'] = {};
  for (const [edge, child] of set.children) result[edge] = toFields(child);
  return result;
}

export function fromFields(fields: Json | undefined, root = true): FieldSet {
  if (!isObject(fields)) return EMPTY;
  const children = new Map<string, FieldSet>();
  for (const edge of Object.keys(fields)) if (edge !== '.') children.set(edge, fromFields(fields[edge], false));
  return makeSet(!root && (children.size === 0 || fields['.'] !== undefined), children);
}

/** Every path of the set as people write it: `.spec.containers[name="app"].image`. */
export function paths(set: FieldSet, prefix = ''): string[] {
  const own = set.own && prefix !== '' ? [prefix] : [];
  return [...own, ...[...set.children].flatMap(([edge, child]) => paths(child, prefix + edgeText(edge)))];
}

function edgeText(edge: string): string {
  if (edge.startsWith('f:')) return `.${edge.slice(2)}`;
  if (edge.startsWith('v:')) return `[=${edge.slice(2)}]`;
  const keys: JsonObject = JSON.parse(edge.slice(2));
  return `[${Object.entries(keys)
    .map(([key, value]) => `${key}=${JSON.stringify(value)}`)
    .join(',')}]`;
}
