// SPDX-License-Identifier: Apache-2.0
// Validates a value against a structural schema and returns every problem with its path, worded as the Kubernetes API
// words them (`Required value`, `Unsupported value: ...`), since people and tests look for those words.
import { isIP } from 'node:net';
import type { Problem } from '#lib/kit/result.ts';
import { equal, isObject, type Json, type JsonObject } from '../json.ts';
import { nameOf } from './prune.ts';
import { deref, type Resolve, type Schema } from './schema.ts';

export interface ValidateOptions {
  readonly resolve: Resolve;
  /** Only `required` is checked: enough for core kinds, whose types were checked when pruned. */
  readonly requiredOnly?: boolean;
}

export function validate(schema: Schema, value: Json, path: string, options: ValidateOptions): Problem[] {
  const problems: Problem[] = [];
  check(schema, value, path, options, problems);
  return problems;
}

function check(given: Schema, value: Json, path: string, options: ValidateOptions, out: Problem[]): void {
  const schema = deref(given, options.resolve);
  if (value === null) {
    if (!options.requiredOnly && schema.nullable !== true && schema.type)
      out.push(wrong(path, 'null', `must be of type ${schema.type}: "null"`));
    return;
  }
  if (!options.requiredOnly) checkScalars(schema, value, path, options, out);
  if (Array.isArray(value)) {
    if (!options.requiredOnly) checkArray(schema, value, path, out);
    const items = schema.items;
    if (items) for (const [index, item] of value.entries()) check(items, item, `${path}[${index}]`, options, out);
  } else if (isObject(value)) checkObject(schema, value, path, options, out);
}

function checkObject(schema: Schema, value: JsonObject, path: string, options: ValidateOptions, out: Problem[]): void {
  for (const name of schema.required ?? [])
    if (value[name] === undefined) out.push({ field: join(path, name), message: 'Required value' });
  const size = Object.keys(value).length;
  if (schema.minProperties !== undefined && size < schema.minProperties)
    out.push(wrong(path, value, `must have at least ${schema.minProperties} properties`));
  if (schema.maxProperties !== undefined && size > schema.maxProperties)
    out.push({ field: path, message: `Too many: ${size}: must have at most ${schema.maxProperties} items` });
  const more = schema.additionalProperties;
  for (const name of Object.keys(value)) {
    const member = value[name];
    if (member === undefined) continue;
    const known = schema.properties && Object.hasOwn(schema.properties, name) ? schema.properties[name] : undefined;
    if (known) check(known, member, join(path, name), options, out);
    else if (typeof more === 'object') check(more, member, join(path, name), options, out);
  }
}

function checkArray(schema: Schema, value: Json[], path: string, out: Problem[]): void {
  if (schema.minItems !== undefined && value.length < schema.minItems)
    out.push(wrong(path, value.length, `${path} in body should have at least ${schema.minItems} items`));
  if (schema.maxItems !== undefined && value.length > schema.maxItems)
    out.push({ field: path, message: `Too many: ${value.length}: must have at most ${schema.maxItems} items` });
  const keys = schema['x-kubernetes-list-map-keys'];
  const type = schema['x-kubernetes-list-type'];
  if (type !== 'set' && type !== 'map' && !schema.uniqueItems) return;
  const seen = new Set<string>();
  value.forEach((item, index) => {
    const id = keys && isObject(item) ? keyText(item, keys) : JSON.stringify(item);
    if (seen.has(id)) out.push({ field: `${path}[${index}]`, message: `Duplicate value: ${id}` });
    seen.add(id);
  });
}

const keyText = (item: JsonObject, keys: readonly string[]): string =>
  JSON.stringify(Object.fromEntries(keys.map((key) => [key, item[key] ?? null])));

function checkScalars(schema: Schema, value: Json, path: string, options: ValidateOptions, out: Problem[]): void {
  if (schema.type && !schema['x-kubernetes-int-or-string'] && !hasType(schema.type, value))
    out.push(
      wrong(path, nameOf(value), `${path} in body must be of type ${schema.type}: ${JSON.stringify(nameOf(value))}`),
    );
  if (schema.enum && !schema.enum.some((allowed) => equal(allowed, value)))
    out.push({
      field: path,
      message: `Unsupported value: ${JSON.stringify(value)}: supported values: ${schema.enum.map((v) => JSON.stringify(v)).join(', ')}`,
    });
  if (typeof value === 'string') checkText(schema, value, path, out);
  if (typeof value === 'number') checkNumber(schema, value, path, out);
  for (const part of schema.allOf ?? []) check(part, value, path, options, out);
  if (schema.anyOf && !schema.anyOf.some((part) => fits(part, value, path, options)))
    out.push(wrong(path, value, 'must validate at least one schema (anyOf)'));
  if (schema.oneOf && schema.oneOf.filter((part) => fits(part, value, path, options)).length !== 1)
    out.push(wrong(path, value, 'must validate one and only one schema (oneOf)'));
  if (schema.not && fits(schema.not, value, path, options))
    out.push(wrong(path, value, 'must not validate the schema (not)'));
}

const fits = (schema: Schema, value: Json, path: string, options: ValidateOptions): boolean =>
  validate(schema, value, path, options).length === 0;

function checkText(schema: Schema, value: string, path: string, out: Problem[]): void {
  const length = [...value].length;
  if (schema.maxLength !== undefined && length > schema.maxLength)
    out.push({ field: path, message: `Too long: may not be more than ${schema.maxLength} bytes` });
  if (schema.minLength !== undefined && length < schema.minLength)
    out.push(wrong(path, value, `${path} in body should be at least ${schema.minLength} chars long`));
  if (schema.pattern !== undefined && !patternOf(schema.pattern).test(value))
    out.push(wrong(path, value, `${path} in body should match '${schema.pattern}'`));
  const format = schema.format === undefined ? undefined : FORMATS[schema.format];
  if (format && !format(value)) out.push(wrong(path, value, `${path} in body must be of type ${schema.format}`));
}

function checkNumber(schema: Schema, value: number, path: string, out: Problem[]): void {
  const { minimum, maximum, multipleOf } = schema;
  if (minimum !== undefined && (schema.exclusiveMinimum ? value <= minimum : value < minimum))
    out.push(wrong(path, value, `${path} in body should be greater than or equal to ${minimum}`));
  if (maximum !== undefined && (schema.exclusiveMaximum ? value >= maximum : value > maximum))
    out.push(wrong(path, value, `${path} in body should be less than or equal to ${maximum}`));
  if (multipleOf !== undefined && value % multipleOf !== 0)
    out.push(wrong(path, value, `${path} in body should be a multiple of ${multipleOf}`));
}

const TIME = /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$/;
const FORMATS: Readonly<Record<string, (text: string) => boolean>> = {
  'date-time': (text) => TIME.test(text),
  date: (text) => /^\d{4}-\d\d-\d\d$/.test(text),
  ipv4: (text) => isIP(text) === 4,
  ipv6: (text) => isIP(text) === 6,
  uri: (text) => URL.canParse(text) || text.startsWith('/'),
  duration: (text) => /^-?(\d+(\.\d+)?(ns|us|µs|ms|s|m|h|d|w| ?\w+))+$/.test(text) || text === '0',
  uuid: (text) => /^[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}$/i.test(text),
  byte: (text) => /^[A-Za-z0-9+/\s]*={0,2}\s*$/.test(text),
};

function hasType(type: string, value: Json): boolean {
  if (type === 'integer') return Number.isInteger(value);
  if (type === 'array') return Array.isArray(value);
  if (type === 'object') return isObject(value);
  return typeof value === type;
}

const patterns = new Map<string, RegExp>();
/** Compiles a Go (RE2) pattern; inline flags and POSIX classes are what JavaScript lacks. */
export function patternOf(text: string): RegExp {
  const known = patterns.get(text);
  if (known) return known;
  const flags = /^\(\?([is]+)\)/.exec(text);
  const body = (flags ? text.slice(flags[0].length) : text)
    .replace(/\[:alnum:\]/g, 'a-zA-Z0-9')
    .replace(/\[:alpha:\]/g, 'a-zA-Z')
    .replace(/\[:digit:\]/g, '0-9')
    .replace(/\\z/g, '$')
    .replace(/\\A/g, '^');
  const made = new RegExp(body, flags?.[1] ?? '');
  patterns.set(text, made);
  return made;
}

const wrong = (field: string, value: Json, why: string): Problem => ({
  field,
  message: `Invalid value: ${JSON.stringify(value)}: ${why}`,
});
const join = (path: string, name: string): string =>
  path === '' ? name : /^[\w-]+$/.test(name) ? `${path}.${name}` : `${path}[${name}]`;
