// SPDX-License-Identifier: Apache-2.0
// Strategic merge patch: a merge patch that knows which lists are keyed. Directives: `$patch: replace|delete|merge`,
// `$retainKeys`, `$setElementOrder/LIST`, `$deleteFromPrimitiveList/LIST`. Only core kinds have the schema for it.
// Source: Kubernetes API conventions, "Strategic merge patch".
import { copy, equal, isObject, type Json, type JsonObject } from '../json.ts';
import { itemSchema, memberSchema, type Resolve, type Schema } from '../schema/schema.ts';

/** Applies `patch` to `target` and returns the result; neither is changed. */
export function strategicMerge(schema: Schema, target: JsonObject, patch: JsonObject, resolve: Resolve): JsonObject {
  return mergeObject(schema, target, patch, resolve);
}

const ORDER = '$setElementOrder/';
const REMOVE = '$deleteFromPrimitiveList/';

function mergeObject(schema: Schema | undefined, target: JsonObject, patch: JsonObject, resolve: Resolve): JsonObject {
  if (patch['$patch'] === 'replace') return withoutDirectives(patch);
  if (patch['$patch'] === 'delete') return {};
  const result: JsonObject = { ...target };
  const retain = patch['$retainKeys'];
  if (Array.isArray(retain)) for (const key of Object.keys(result)) if (!retain.includes(key)) delete result[key];
  for (const key of Object.keys(patch)) {
    const change = patch[key];
    if (change === undefined || key === '$patch' || key === '$retainKeys') continue;
    if (key.startsWith(REMOVE)) removeScalars(result, key.slice(REMOVE.length), change);
    else if (key.startsWith(ORDER)) continue;
    else if (change === null) delete result[key];
    else result[key] = mergeMember(memberSchema(schema, key, resolve), result[key], change, resolve);
  }
  for (const key of Object.keys(patch))
    if (key.startsWith(ORDER)) {
      const name = key.slice(ORDER.length);
      const list = result[name];
      const order = patch[key];
      const mergeKey = memberSchema(schema, name, resolve)?.['x-kubernetes-patch-merge-key'];
      if (Array.isArray(list) && Array.isArray(order)) result[name] = reorder(list, order, mergeKey);
    }
  return result;
}

function mergeMember(schema: Schema | undefined, target: Json | undefined, change: Json, resolve: Resolve): Json {
  if (isObject(change)) return mergeObject(schema, isObject(target) ? target : {}, change, resolve);
  if (!Array.isArray(change) || schema?.['x-kubernetes-patch-strategy'] !== 'merge') return stripDeep(change);
  const current = Array.isArray(target) ? target : [];
  const key = schema['x-kubernetes-patch-merge-key'];
  if (key !== undefined) return mergeList(itemSchema(schema, resolve), current, change, key, resolve);
  return [...current, ...change.filter((item) => !current.some((old) => equal(old, item)))];
}

function mergeList(item: Schema | undefined, target: Json[], change: Json[], key: string, resolve: Resolve): Json[] {
  if (change.some((part) => isObject(part) && part['$patch'] === 'replace' && part[key] === undefined))
    return change.filter((part) => !(isObject(part) && part['$patch'] === 'replace')).map(stripDeep);
  const result = [...target];
  for (const part of change) {
    if (!isObject(part)) continue;
    const index = result.findIndex((old) => isObject(old) && equal(old[key], part[key]));
    const old = result[index];
    if (part['$patch'] === 'delete') {
      if (index >= 0) result.splice(index, 1);
    } else if (isObject(old)) result[index] = mergeObject(item, old, part, resolve);
    else result.push(mergeObject(item, {}, part, resolve));
  }
  return result;
}

function removeScalars(result: JsonObject, name: string, gone: Json): void {
  const list = result[name];
  if (Array.isArray(list) && Array.isArray(gone))
    result[name] = list.filter((item) => !gone.some((removed) => equal(removed, item)));
}

/** Items named in `order` come in that order; others keep their place relative to their predecessor. */
function reorder(list: Json[], order: Json[], key: string | undefined): Json[] {
  const idOf = (item: Json): Json | undefined => (key && isObject(item) ? item[key] : item);
  const ranks = new Map(order.map((item, index) => [JSON.stringify(idOf(item)), index]));
  const named = list
    .filter((item) => ranks.has(JSON.stringify(idOf(item))))
    .sort((a, b) => ranks.get(JSON.stringify(idOf(a)))! - ranks.get(JSON.stringify(idOf(b)))!);
  let next = 0;
  return list.map((item) => (ranks.has(JSON.stringify(idOf(item))) ? named[next++]! : item));
}

const withoutDirectives = (patch: JsonObject): JsonObject => stripDeep(patch) as JsonObject;
function stripDeep(value: Json): Json {
  if (Array.isArray(value)) return value.map(stripDeep);
  if (!isObject(value)) return value;
  const result = copy(value);
  for (const key of Object.keys(result)) {
    const member = result[key];
    if (key.startsWith('$') || member === null) delete result[key];
    else if (member !== undefined) result[key] = stripDeep(member);
  }
  return result;
}
