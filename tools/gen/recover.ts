// SPDX-License-Identifier: Apache-2.0
//
// JSON schemas out of the validators in @kubernetes-models packages. The packages carry their schemas only compiled:
// one function for each schema node, whose error literals name keyword and limit, and whose calls name the child
// node's place. Both are read in order; a composite keyword (oneOf, anyOf, not) collects the self-calls before it.
// recover.test.ts holds the result against the package's own validators on random data.

import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Schema } from './schema.ts';

/** `validateN` of one file: its body, or the file it is imported from. */
interface ValidatorFile {
  readonly path: string;
  readonly text: string;
  readonly exported: string;
  readonly bodies: ReadonlyMap<string, string>;
  readonly imports: ReadonlyMap<string, string>;
}

const files = new Map<string, ValidatorFile>();

function load(path: string): ValidatorFile {
  const known = files.get(path);
  if (known !== undefined) return known;
  const text = readFileSync(path, 'utf8');
  const exported = /export const validate=(validate\d+)/.exec(text)?.[1];
  if (exported === undefined) throw new Error(`${path} exports no validator: has the package changed its form?`);
  const bodies = new Map<string, string>();
  for (const part of text.split(/(?=function validate\d+\(data,)/)) {
    const name = /^function (validate\d+)\(/.exec(part)?.[1];
    if (name !== undefined) bodies.set(name, part);
  }
  const imports = new Map<string, string>();
  for (const [, name, from] of text.matchAll(/import\{validate as (validate\d+)\}from"([^"]+)"/g)) {
    imports.set(name!, resolveImport(path, from!));
  }
  const file = { path, text, exported, bodies, imports };
  files.set(path, file);
  return file;
}

function resolveImport(from: string, specifier: string): string {
  if (specifier.startsWith('.')) return join(dirname(from), specifier);
  const modules = from.slice(0, from.lastIndexOf('node_modules') + 'node_modules'.length);
  return `${join(modules, specifier)}${specifier.endsWith('.js') ? '' : '.js'}`;
}

/** The schema that the validator file exports. */
export function recoverSchema(path: string): Schema {
  const file = load(path);
  return nodeSchema(file, file.exported);
}

/** An error literal (groups 1 and 2: keyword, parameters) or a call of a child's validator (3 to 5). */
const EVENT =
  /keyword:"(\w+)",params:\{(.*?)\}\};null===vErrors|(validate\d+)\(data(?:\.([A-Za-z_$][\w$]*)|\[((?:i|key)\d+)\])?,\{instancePath(?!=)/g;

function nodeSchema(file: ValidatorFile, name: string): Schema {
  const imported = file.imports.get(name);
  if (imported !== undefined) return recoverSchema(imported);
  const body = file.bodies.get(name);
  if (body === undefined) throw new Error(`${file.path} has no function ${name}`);
  const schema: Schema = {};
  let selfCalls: Schema[] = [];
  for (const [, keyword, params, callee, property, index] of body.matchAll(EVENT)) {
    if (callee === undefined) {
      if (keyword === 'oneOf' || keyword === 'anyOf') {
        schema[keyword] = selfCalls;
        selfCalls = [];
      } else if (keyword === 'not') {
        schema.not = selfCalls.pop()!;
      } else {
        applyKeyword(schema, keyword!, params!, file);
      }
    } else if (property !== undefined) {
      schema.properties ??= {};
      schema.properties[property] = nodeSchema(file, callee);
    } else if (index === undefined) {
      selfCalls.push(nodeSchema(file, callee));
    } else if (index.startsWith('key')) {
      schema.additionalProperties = nodeSchema(file, callee);
    } else {
      schema.items = nodeSchema(file, callee);
    }
  }
  // What is left was referenced, not chosen from: the node is its referent with its own words on top.
  return selfCalls.reduce(merge, schema);
}

function merge(node: Schema, referent: Schema): Schema {
  const merged: Schema = { ...node, ...referent };
  if (node.properties !== undefined) merged.properties = { ...node.properties, ...referent.properties };
  if (node.required !== undefined) merged.required = [...new Set([...node.required, ...(referent.required ?? [])])];
  return merged;
}

function applyKeyword(schema: Schema, keyword: string, params: string, file: ValidatorFile): void {
  const value = params.slice(params.indexOf(':') + 1);
  switch (keyword) {
    case 'type':
      schema.type = JSON.parse(value) as string;
      return;
    case 'format':
      schema.format = JSON.parse(value) as string;
      return;
    case 'pattern':
      schema.pattern = JSON.parse(value) as string;
      return;
    case 'enum':
      schema.enum = JSON.parse(constant(file, value)) as unknown[];
      return;
    case 'required':
      schema.required ??= [];
      schema.required.push(JSON.parse(value) as string);
      return;
    case 'minimum':
    case 'maximum':
      schema[keyword] = Number(/limit:(.+)$/.exec(params)?.[1]);
      return;
    case 'minLength':
    case 'maxLength':
    case 'minItems':
    case 'maxItems':
    case 'minProperties':
    case 'maxProperties':
      schema[keyword] = Number(value);
      return;
    default:
      throw new Error(`${file.path} uses the keyword ${keyword}, which this generator does not know`);
  }
}

function constant(file: ValidatorFile, name: string): string {
  const found = new RegExp(`[ ,]${name}=(\\[.*?\\])[;,]`).exec(file.text)?.[1];
  if (found === undefined) throw new Error(`${file.path} has no constant ${name}`);
  return found;
}
