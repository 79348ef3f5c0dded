// SPDX-License-Identifier: Apache-2.0
// Schemas of core kinds, read from the model files of @kubernetes/client-node: the type table in the .js, required
// members and descriptions in the .d.ts. Read on first use, one model at a time, so a server that never sees a
// CronJob never parses one. The files are read as text, never run: loading all of them costs half a second.
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { internal } from '../status.ts';
import { ATOMIC_MAPS, ATOMIC_MODELS, CONDITIONS, LIST_MERGE, type ListMerge, QUANTITIES } from './merge-keys.ts';
import type { Schema } from './schema.ts';

interface Attribute {
  readonly name: string;
  readonly baseName: string;
  readonly type: string;
  readonly format: string;
}

const MODELS = join(dirname(fileURLToPath(import.meta.resolve('@kubernetes/client-node'))), 'gen/models');
const ANYTHING: Schema = { 'x-kubernetes-preserve-unknown-fields': true };
const INT_OR_STRING: Schema = { 'x-kubernetes-int-or-string': true, format: 'int-or-string' };

/** Schemas of built-in kinds by model name (`V1Pod`). */
export class BuiltinSchemas {
  readonly #known = new Map<string, Schema>();

  readonly resolve = (model: string): Schema => {
    const found = this.#known.get(model);
    if (found) return found;
    const made = readModel(model);
    this.#known.set(model, made);
    return made;
  };
}

function readModel(model: string): Schema {
  if (model === 'V1MicroTime') return { type: 'string', format: 'date-time' };
  if (!/^\w+$/.test(model)) throw internal(`"${model}" is no model name`);
  const script = readFileSync(join(MODELS, `${model}.js`), 'utf8');
  const types = readFileSync(join(MODELS, `${model}.d.ts`), 'utf8');
  const table = script.slice(script.indexOf(`${model}.attributeTypeMap = [`));
  const text = table.slice(table.indexOf('['), table.indexOf('];') + 1);
  const attributes: Attribute[] = text.startsWith('[') ? JSON.parse(text) : [];
  const notes = readNotes(types);
  const properties: Record<string, Schema> = {};
  const required: string[] = [];
  for (const attribute of attributes) {
    const note = notes.get(attribute.name);
    if (note?.required) required.push(attribute.baseName);
    const schema = withMerge(model, attribute.baseName, typeSchema(attribute.type, attribute.format));
    const quantity = QUANTITIES[model]?.includes(attribute.baseName);
    properties[attribute.baseName] = {
      ...(quantity ? quantitySchema(schema) : schema),
      ...(note?.description ? { description: note.description } : {}),
    };
  }
  return {
    type: 'object',
    ...(classComment(types) ? { description: classComment(types)! } : {}),
    properties,
    ...(required.length ? { required } : {}),
    ...(ATOMIC_MODELS.has(model) ? { 'x-kubernetes-map-type': 'atomic' as const } : {}),
  };
}

function typeSchema(type: string, format: string): Schema {
  const array = /^Array<(.+)>$/.exec(type);
  if (array) return { type: 'array', items: typeSchema(array[1]!, format), 'x-kubernetes-list-type': 'atomic' };
  const map = /^\{ \[key: string\]: (.+); \}$/.exec(type);
  if (map) return { type: 'object', additionalProperties: typeSchema(map[1]!, format) };
  if (type === 'any') return ANYTHING;
  if (type === 'IntOrString') return INT_OR_STRING;
  if (type === 'Date' || type === 'V1MicroTime') return { type: 'string', format: 'date-time' };
  if (type === 'number') return format === 'double' ? { type: 'number', format } : { type: 'integer', format };
  if (type === 'string' || type === 'boolean') return format ? { type, format } : { type };
  return { ref: type };
}

function withMerge(model: string, field: string, schema: Schema): Schema {
  if (ATOMIC_MAPS[model]?.includes(field)) return { ...schema, 'x-kubernetes-map-type': 'atomic' };
  if (schema.type !== 'array') return schema;
  const merge: ListMerge | undefined =
    LIST_MERGE[model]?.[field] ?? (field === 'conditions' && schema.items?.ref ? CONDITIONS : undefined);
  if (!merge) return schema;
  return {
    ...schema,
    ...(merge.type ? { 'x-kubernetes-list-type': merge.type } : {}),
    ...(merge.keys ? { 'x-kubernetes-list-map-keys': merge.keys } : {}),
    ...(merge.smp === undefined ? {} : { 'x-kubernetes-patch-strategy': 'merge' }),
    ...(merge.smp ? { 'x-kubernetes-patch-merge-key': merge.smp } : {}),
  };
}

const QUANTITY: Schema = { type: 'string', format: 'quantity' };
const quantitySchema = (schema: Schema): Schema =>
  schema.additionalProperties ? { ...schema, additionalProperties: QUANTITY } : QUANTITY;

function readNotes(types: string): Map<string, { required: boolean; description: string }> {
  const notes = new Map<string, { required: boolean; description: string }>();
  for (const match of types.matchAll(/(?:\/\*\*\n((?:(?!\*\/)[\s\S])*?)\s*\*\/\n\s+)?'([^'\n]+)'(\?)?: /g))
    if (!notes.has(match[2]!))
      notes.set(match[2]!, { required: match[3] === undefined, description: cleanComment(match[1] ?? '') });
  return notes;
}

const classComment = (types: string): string =>
  cleanComment(/\/\*\*\n((?:(?!\*\/)[\s\S])*?)\*\/\nexport declare class/.exec(types)?.[1] ?? '');

const cleanComment = (text: string): string =>
  text
    .split('\n')
    .map((line) => line.replace(/^\s*\* ?/, ''))
    .join(' ')
    .replace(/\\(['"])/g, '$1')
    .trim();
