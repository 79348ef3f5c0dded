// SPDX-License-Identifier: Apache-2.0
// Patches on objects: JSON merge patch, and as much of server-side apply as conditions need. Pure.

import { own } from '#lib/kit/table.ts';
import type { Condition, GenericObject } from '#lib/kube/object.ts';
import type { Stored } from './table.ts';

/** JSON merge patch (RFC 7386): null removes, maps merge, all else replaces. */
export function mergePatched(base: unknown, patch: unknown): unknown {
  if (!isMap(patch)) return patch;
  const out = new Map(isMap(base) ? Object.entries(base) : []);
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) out.delete(key);
    else out.set(key, mergePatched(out.get(key), value));
  }
  return Object.fromEntries(out);
}

/** Where it is written down which conditions a field manager gave, so that those it gives no more are removed. */
const OWNED = 'ambit.dev/conditions-of';

/** The object after a manager has applied its fields. Conditions merge by type; other lists are replaced. */
export function applied(known: Stored, given: GenericObject, manager: string): GenericObject {
  const next = mergePatched(known, given) as GenericObject;
  const wanted = conditionsOf(given);
  if (wanted === undefined) return next;
  const owners = ownersOf(known);
  const mine = new Set(wanted.map(({ type }) => type));
  const kept = (conditionsOf(known) ?? []).filter(({ type }) => !mine.has(type) && own(owners, type) !== manager);
  const left = Object.entries(owners).filter(([type]) => kept.some((one) => one.type === type));
  const owned = Object.fromEntries([...left, ...[...mine].map((type) => [type, manager])]);
  return { ...next, status: { ...next.status, conditions: [...kept, ...wanted], [OWNED]: owned } };
}

function conditionsOf(object: GenericObject): readonly Condition[] | undefined {
  const conditions = object.status?.['conditions'];
  return Array.isArray(conditions) ? (conditions as Condition[]) : undefined;
}

function ownersOf(object: GenericObject): Readonly<Record<string, string>> {
  const owned = object.status?.[OWNED];
  return isMap(owned) ? (owned as Record<string, string>) : {};
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
