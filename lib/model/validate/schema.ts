// SPDX-License-Identifier: Apache-2.0
//
// Custom resources against the schemas their API server has. Ajv judges the values; fields that no schema knows, which
// an API server would drop without a word, are found by walking beside it.

import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv';
import addFormats from 'ajv-formats';
import { own } from '#lib/kit/table.ts';
import { textOf } from '#lib/kit/text-of.ts';
import type { KubeObject } from '../object/object.ts';
import { SCHEMAS_JSON } from '../schema/gen.ts';
import { nearest, type ObjectProblem, ProblemList } from './problem.ts';

/** A node of the schemas, as far as the walk reads it. */
interface Schema {
  readonly type?: string;
  readonly enum?: readonly unknown[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema;
  readonly items?: Schema;
  readonly 'x-kubernetes-preserve-unknown-fields'?: boolean;
}

/** Formats that say how wide a number is; JSON numbers are what they are. */
const NUMBER_FORMATS = ['int32', 'int64', 'uint32', 'uint64', 'float', 'double'];

/** Checks objects of the kinds that have a generated schema. Compiles each schema when first needed. */
export class SchemaChecker {
  readonly #schemas: Readonly<Record<string, Schema>>;
  readonly #ajv: Ajv;
  readonly #compiled = new Map<string, ValidateFunction>();

  constructor() {
    this.#schemas = JSON.parse(SCHEMAS_JSON) as Record<string, Schema>;
    this.#ajv = addFormats.default(new Ajv({ strict: false, allErrors: true, verbose: true }));
    for (const format of NUMBER_FORMATS) this.#ajv.addFormat(format, true);
  }

  /** Whether there is a schema for the object's apiVersion and kind. */
  knows({ apiVersion, kind }: KubeObject): boolean {
    return `${apiVersion}/${kind}` in this.#schemas;
  }

  /** Versions of `group` that have a schema for `kind`. */
  versionsOf(group: string, kind: string): string[] {
    return Object.keys(this.#schemas).flatMap((key) => {
      const [g, version, k] = key.split('/');
      return g === group && k === kind && version !== undefined ? [version] : [];
    });
  }

  check(object: KubeObject): ObjectProblem[] {
    const key = `${object.apiVersion}/${object.kind}`;
    const schema = this.#schemas[key];
    if (schema === undefined) return [];
    const list = new ProblemList(object);
    const { metadata: _, status: __, ...rest } = object as KubeObject & { readonly status?: unknown };
    let validate = this.#compiled.get(key);
    if (validate === undefined) {
      validate = this.#ajv.compile(schema);
      this.#compiled.set(key, validate);
    }
    if (!validate(rest)) for (const error of condense(validate.errors ?? [])) tell(list, error);
    unknownFields(list, schema, rest, '');
    return list.problems;
  }
}

/** Of a choice between alternatives, the error of the choice says it; its branches only confuse. */
function condense(errors: readonly ErrorObject[]): ErrorObject[] {
  const choices = errors.filter((error) => error.keyword === 'oneOf' || error.keyword === 'anyOf');
  return errors.filter(
    (error) => !choices.some((choice) => choice !== error && error.schemaPath.startsWith(`${choice.schemaPath}/`)),
  );
}

/** `/spec/rules/0/from` as `spec.rules[0].from`. */
function fieldOf(pointer: string): string {
  return pointer
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
    .reduce((path, part) => join(path, part), '');
}

function join(path: string, part: string): string {
  if (/^\d+$/.test(part)) return `${path}[${part}]`;
  return path === '' ? part : `${path}.${part}`;
}

function tell(list: ProblemList, error: ErrorObject): void {
  const field = fieldOf(error.instancePath);
  const params = error.params as Record<string, unknown>;
  switch (error.keyword) {
    case 'required': {
      const missing = String(params['missingProperty']);
      list.error('MissingField', join(field, missing), 'is required', `add ${missing}`);
      return;
    }
    case 'enum': {
      const allowed = (params['allowedValues'] as readonly unknown[]).map(String);
      const guess = nearest(textOf(error.data), allowed);
      const fix =
        guess === undefined
          ? `write one of ${allowed.join(', ')}`
          : `did you mean ${guess}? One of ${allowed.join(', ')}`;
      list.error('UnknownValue', field, `"${textOf(error.data)}" is not a value of this field`, fix);
      return;
    }
    case 'type':
      list.error('SchemaViolation', field, `is ${kindOf(error.data)}`, `write ${article(String(params['type']))}`);
      return;
    case 'oneOf':
    case 'anyOf':
    case 'not':
      list.error(
        'ConflictingFields',
        field,
        choiceText(error),
        'set exactly one of the fields that exclude each other',
      );
      return;
    default:
      list.error('SchemaViolation', field, error.message ?? `violates ${error.keyword}`);
  }
}

function choiceText(error: ErrorObject): string {
  const named = new Set<string>();
  const walk = (value: unknown): void => {
    if (value === null || typeof value !== 'object') return;
    for (const [key, inner] of Object.entries(value)) {
      if (key === 'required' && Array.isArray(inner)) for (const name of inner) named.add(String(name));
      else walk(inner);
    }
  };
  walk(error.schema);
  return named.size === 0 ? 'matches none of the allowed forms' : `fields exclude each other: ${[...named].join(', ')}`;
}

function kindOf(value: unknown): string {
  if (value === null) return 'empty';
  if (typeof value === 'string') return 'text';
  return Array.isArray(value) ? 'a list' : article(typeof value);
}

/** As people who write YAML say it. */
const WORDS: Readonly<Record<string, string>> = { array: 'list', object: 'map', string: 'text in quotes' };

function article(type: string): string {
  const word = WORDS[type] ?? type;
  if (type === 'string') return word;
  return /^[aeio]/.test(word) ? `an ${word}` : `a ${word}`;
}

function unknownFields(list: ProblemList, schema: Schema, value: unknown, path: string): void {
  if (value === null || typeof value !== 'object') return;
  if (Array.isArray(value)) {
    const { items } = schema;
    for (const [i, item] of value.entries()) if (items !== undefined) unknownFields(list, items, item, `${path}[${i}]`);
    return;
  }
  for (const [key, child] of Object.entries(value)) {
    const known = own(schema.properties, key) ?? schema.additionalProperties;
    const field = join(path, key);
    if (known !== undefined) unknownFields(list, known, child, field);
    else if (schema.properties !== undefined && schema['x-kubernetes-preserve-unknown-fields'] !== true) {
      const guess = nearest(key, Object.keys(schema.properties));
      const fix = guess === undefined ? 'remove it' : `did you mean ${guess}?`;
      list.error('UnknownField', field, 'is no field of this kind, and would be dropped', fix);
    }
  }
}
