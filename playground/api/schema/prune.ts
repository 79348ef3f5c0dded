// SPDX-License-Identifier: Apache-2.0
// Reads a decoded body against its schema: unknown members are taken out (and reported), wrong types are problems,
// and quantities given as numbers become strings. Works in place on a body that belongs to the request.
import type { Problem } from '#lib/kit/result.ts';
import { isObject, type Json, type JsonObject } from '../json.ts';
import { deref, type Resolve, type Schema } from './schema.ts';

export interface PruneReport {
  /** Paths of members the schema does not know. */
  readonly unknown: string[];
  /** Members of the wrong type. */
  readonly mistyped: Problem[];
}

export interface PruneOptions {
  readonly resolve: Resolve;
  /** Whether null members vanish (core kinds), or are left to validation (custom resources). */
  readonly dropNulls: boolean;
  /** Schema of `metadata` and of embedded objects' metadata. */
  readonly metadata: Schema;
}

/** Prunes `value` in place; `root` marks a whole object, whose type and metadata are always known. */
export function prune(schema: Schema, value: JsonObject, options: PruneOptions): PruneReport {
  const report: PruneReport = { unknown: [], mistyped: [] };
  walkObject(schema, value, '', options, report, true);
  return report;
}

const ROOT_MEMBERS = new Set(['apiVersion', 'kind', 'metadata']);

function walk(schema: Schema, value: Json, path: string, options: PruneOptions, report: PruneReport): Json {
  const known = deref(schema, options.resolve);
  if (known.format === 'quantity' && typeof value === 'number') return String(value);
  if (value === null) return value;
  const expected = expectation(known, value);
  if (expected) {
    report.mistyped.push({ field: path, message: `expected ${expected}, got ${nameOf(value)}` });
    return value;
  }
  if (Array.isArray(value)) {
    const items = known.items;
    if (items)
      for (let index = 0; index < value.length; index++)
        value[index] = walk(items, value[index]!, `${path}[${index}]`, options, report);
  } else if (isObject(value)) {
    walkObject(known, value, path, options, report, known['x-kubernetes-embedded-resource'] === true);
  }
  return value;
}

function walkObject(
  schema: Schema,
  value: JsonObject,
  path: string,
  options: PruneOptions,
  report: PruneReport,
  root: boolean,
): void {
  const open = schema['x-kubernetes-preserve-unknown-fields'] === true;
  const more = schema.additionalProperties;
  for (const key of Object.keys(value)) {
    const member = value[key];
    const field = path === '' ? key : /^[\w-]+$/.test(key) ? `${path}.${key}` : `${path}[${key}]`;
    const known =
      schema.properties && Object.hasOwn(schema.properties, key)
        ? schema.properties[key]
        : typeof more === 'object'
          ? more
          : undefined;
    if (member === undefined) delete value[key];
    else if (root && ROOT_MEMBERS.has(key)) {
      if (key === 'metadata')
        value[key] = walk(options.metadata, member, field, { ...options, dropNulls: true }, report);
    } else if (member === null && options.dropNulls && known) delete value[key];
    else if (known) value[key] = walk(known, member, field, options, report);
    else if (!open && more !== true) {
      report.unknown.push(field);
      delete value[key];
    }
  }
}

/** The expected type when `value` does not have it. */
function expectation(schema: Schema, value: Json): string | undefined {
  if (schema['x-kubernetes-int-or-string'])
    return typeof value === 'string' || Number.isInteger(value) ? undefined : 'integer or string';
  switch (schema.type) {
    case 'object':
      return isObject(value) ? undefined : 'object';
    case 'array':
      return Array.isArray(value) ? undefined : 'array';
    case 'string':
      return typeof value === 'string' ? undefined : 'string';
    case 'boolean':
      return typeof value === 'boolean' ? undefined : 'boolean';
    case 'integer':
      return Number.isInteger(value) ? undefined : 'integer';
    case 'number':
      return typeof value === 'number' ? undefined : 'number';
    default:
      return undefined;
  }
}

export const nameOf = (value: Json): string =>
  value === null ? 'null' : Array.isArray(value) ? 'array' : Number.isInteger(value) ? 'integer' : typeof value;
