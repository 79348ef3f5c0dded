// SPDX-License-Identifier: Apache-2.0
// Who owns which field: metadata.managedFields. An update gives the fields it changes to its manager; an apply gives
// the manager exactly the fields it sends, removes what it no longer sends and nobody else owns, and conflicts where it
// would change another manager's field. Source: Kubernetes documentation, "Server-Side Apply".
import { isObject, type Json, type JsonObject, type KubeObject, listAt } from '../json.ts';
import type { Resolve, Schema } from '../schema/schema.ts';
import {
  difference,
  EMPTY,
  type FieldSet,
  fromFields,
  intersection,
  isEmpty,
  makeSet,
  paths,
  sameSet,
  toFields,
  union,
} from './field-set.ts';
import { compare, fieldsOf, mergeTyped, removeFields } from './typed.ts';

/** Who writes, and how. */
export interface Writer {
  readonly manager: string;
  readonly operation: 'Apply' | 'Update';
  readonly subresource: string;
  readonly apiVersion: string;
  /** RFC 3339, whole seconds. */
  readonly time: string;
}

interface Entry extends Writer {
  readonly set: FieldSet;
}

/** A field that another manager owns with another value. */
export interface Conflict {
  readonly manager: string;
  readonly field: string;
}

export type Applied =
  | { readonly kind: 'merged'; readonly object: KubeObject }
  | { readonly kind: 'conflict'; readonly conflicts: readonly Conflict[] };

/** Fields nobody owns: identity and what the server itself sets. */
const UNOWNED = fromFields({
  'f:apiVersion': {},
  'f:kind': {},
  'f:metadata': {
    'f:name': {},
    'f:namespace': {},
    'f:uid': {},
    'f:creationTimestamp': {},
    'f:deletionTimestamp': {},
    'f:deletionGracePeriodSeconds': {},
    'f:generation': {},
    'f:resourceVersion': {},
    'f:selfLink': {},
    'f:managedFields': {},
  },
});
const owned = (set: FieldSet): FieldSet => {
  const rest = new Map(difference(set, UNOWNED).children);
  const meta = rest.get('f:metadata');
  const managed = meta?.children.get('f:managedFields');
  if (meta && managed) {
    const kept = new Map(meta.children);
    kept.delete('f:managedFields');
    rest.set('f:metadata', makeSet(meta.own, kept));
  }
  return makeSet(false, rest);
};

function readEntries(object: KubeObject | undefined): Entry[] {
  return listAt(object, 'metadata', 'managedFields').flatMap((raw): Entry[] => {
    if (!isObject(raw)) return [];
    return [
      {
        manager: String(raw['manager'] ?? ''),
        operation: raw['operation'] === 'Apply' ? 'Apply' : 'Update',
        subresource: String(raw['subresource'] ?? ''),
        apiVersion: String(raw['apiVersion'] ?? ''),
        time: String(raw['time'] ?? ''),
        set: fromFields(raw['fieldsV1']),
      },
    ];
  });
}

function writeEntries(object: KubeObject, entries: readonly Entry[]): void {
  const kept = entries.filter((entry) => !isEmpty(entry.set));
  if (kept.length === 0) {
    delete object.metadata['managedFields'];
    return;
  }
  object.metadata['managedFields'] = kept.map(
    (entry): JsonObject => ({
      manager: entry.manager,
      operation: entry.operation,
      apiVersion: entry.apiVersion,
      time: entry.time,
      fieldsType: 'FieldsV1',
      fieldsV1: toFields(entry.set),
      ...(entry.subresource ? { subresource: entry.subresource } : {}),
    }),
  );
}

const same = (entry: Entry, writer: Writer): boolean =>
  entry.manager === writer.manager &&
  entry.operation === writer.operation &&
  entry.subresource === writer.subresource &&
  (writer.operation === 'Apply' || entry.apiVersion === writer.apiVersion);

/** Notes in `after` (in place) that `writer` made it out of `before` by a create, update or patch. */
export function recordUpdate(
  schema: Schema,
  before: KubeObject | undefined,
  after: KubeObject,
  writer: Writer,
  resolve: Resolve,
): void {
  // A writer may hand the list in as it should be (kubectl does, moving to server-side apply); an empty one clears it.
  const entries = readEntries(Array.isArray(after.metadata['managedFields']) ? after : before);
  const { changed, removed } = compare(schema, before, after, resolve);
  const gained = owned(changed);
  const lost = owned(union(changed, removed));
  let mine: Entry | undefined;
  const rest: Entry[] = [];
  for (const entry of entries) {
    if (same(entry, writer)) mine = entry;
    else rest.push(isEmpty(lost) ? entry : { ...entry, set: difference(entry.set, lost) });
  }
  const set = union(difference(mine?.set ?? EMPTY, owned(removed)), gained);
  const time = mine && isEmpty(lost) ? mine.time : writer.time;
  writeEntries(after, [...rest, { ...writer, time, set }]);
}

/** Merges what `writer` applies into `live`. The result carries the new managedFields. */
export function applyConfiguration(
  schema: Schema,
  live: KubeObject | undefined,
  config: KubeObject,
  writer: Writer,
  force: boolean,
  resolve: Resolve,
): Applied {
  const entries = readEntries(live);
  const others = entries.filter((entry) => !same(entry, writer));
  const before = entries.find((entry) => same(entry, writer));
  const set = owned(fieldsOf(schema, config, resolve));
  const base: Json = live ?? { apiVersion: config.apiVersion, kind: config.kind, metadata: {} };
  let merged = mergeTyped(schema, base, config, resolve) as KubeObject;
  const { changed } = compare(schema, base, merged, resolve);
  const touched = intersection(changed, set);
  if (!force) {
    const conflicts = others.flatMap((entry) =>
      paths(intersection(touched, entry.set)).map((field) => ({ manager: entry.manager, field })),
    );
    if (conflicts.length > 0) return { kind: 'conflict', conflicts };
  }
  const kept = others.map((entry) => ({ ...entry, set: difference(entry.set, touched) }));
  const gone = kept.reduce((rest, entry) => keepAncestors(rest, entry.set), difference(before?.set ?? EMPTY, set));
  if (!isEmpty(gone)) merged = (removeFields(schema, merged, gone, resolve) ?? base) as KubeObject;
  const result: KubeObject = { ...merged, metadata: { ...(merged.metadata ?? {}) } };
  const unchanged = before !== undefined && sameSet(before.set, set) && isEmpty(changed) && isEmpty(gone);
  writeEntries(result, [...kept, { ...writer, time: unchanged ? before.time : writer.time, set }]);
  return { kind: 'merged', object: result };
}

/** `gone` without paths that `other` owns, and without list items below which `other` owns something. */
function keepAncestors(gone: FieldSet, other: FieldSet): FieldSet {
  if (isEmpty(gone) || isEmpty(other)) return gone;
  const children = new Map<string, FieldSet>();
  for (const [edge, child] of gone.children) {
    const theirs = other.children.get(edge);
    children.set(edge, theirs ? keepAncestors(child, theirs) : child);
  }
  return makeSet(false, children);
}
