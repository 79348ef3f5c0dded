// SPDX-License-Identifier: Apache-2.0
// Schema defaults of custom resources: a missing member with a default gets it, then defaults inside it apply too.
import { copy, isObject, type Json, setMember } from '../json.ts';
import type { Schema } from './schema.ts';

/** Whether any default lies below `schema`; most schemas have few, so whole branches are skipped. */
const carriers = new WeakMap<Schema, boolean>();
function hasDefaults(schema: Schema): boolean {
  const known = carriers.get(schema);
  if (known !== undefined) return known;
  const inside = [
    ...Object.values(schema.properties ?? {}),
    ...(schema.items ? [schema.items] : []),
    ...(typeof schema.additionalProperties === 'object' ? [schema.additionalProperties] : []),
  ];
  const found = inside.some((part) => part.default !== undefined || hasDefaults(part));
  carriers.set(schema, found);
  return found;
}

/** Fills defaults into `value` in place. A null member with a default and no `nullable` counts as missing. */
export function applyDefaults(schema: Schema, value: Json): void {
  if (!hasDefaults(schema)) return;
  if (Array.isArray(value)) {
    if (schema.items) for (const item of value) applyDefaults(schema.items, item);
    return;
  }
  if (!isObject(value)) return;
  for (const [name, member] of Object.entries(schema.properties ?? {})) {
    const present = value[name];
    const missing = present === undefined || (present === null && member.nullable !== true);
    if (missing && member.default !== undefined) setMember(value, name, copy(member.default));
    const now = value[name];
    if (now !== undefined && now !== null) applyDefaults(member, now);
  }
  if (typeof schema.additionalProperties === 'object')
    for (const [name, member] of Object.entries(value))
      if (member !== undefined && !Object.hasOwn(schema.properties ?? {}, name))
        applyDefaults(schema.additionalProperties, member);
}
