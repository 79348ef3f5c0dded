// SPDX-License-Identifier: Apache-2.0
//
// Field descriptions out of the type declarations of @kubernetes-models packages, for `kubectl explain`. The
// declarations have one regular form (interfaces of quoted properties with a comment before each), so a tokenizer
// and a page of parser read them; the compiler is not needed.

import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Schema } from './schema.ts';

/** What a declaration says about a type. */
interface Doc {
  description: string;
  properties: Map<string, Doc>;
  /** Of a list or a map. */
  items: Doc | undefined;
  /** Name of another type whose declaration applies. */
  reference: string;
  /** Names of the types whose members it has too. */
  parents: readonly string[];
}

interface Declarations {
  readonly path: string;
  readonly types: ReadonlyMap<string, Doc>;
  readonly imports: ReadonlyMap<string, string>;
}

const cache = new Map<string, Declarations>();

const TOKEN = /\/\*\*[\s\S]*?\*\/|"(?:[^"\\]|\\.)*"|[A-Za-z_$][\w$]*|[{}[\]<>:;,|?()=&.]|-?\d+(?:\.\d+)?/g;

function load(path: string): Declarations {
  const known = cache.get(path);
  if (known !== undefined) return known;
  const text = existsSync(path) ? readFileSync(path, 'utf8') : '';
  const imports = new Map<string, string>();
  for (const [, names, from] of text.matchAll(/import \{([^}]*)\} from "([^"]+)"/g)) {
    for (const name of names!.split(',')) imports.set(name.trim(), resolveImport(path, from!));
  }
  const types = new Map<string, Doc>();
  for (const [, name, aliased] of text.matchAll(/(\w+) as (\w+)/g)) {
    imports.set(aliased!, `${path}#${name}`);
  }
  const declarations = { path, types, imports };
  cache.set(path, declarations);
  for (const match of text.matchAll(/export (?:interface (\w+)(?: extends ([\w, ]+))? |type (\w+) = )/g)) {
    const name = match[1] ?? match[3]!;
    const comment = /\/\*\*(?:(?!\*\/)[\s\S])*\*\/\s*$/.exec(text.slice(0, match.index))?.[0] ?? '';
    const parser = new TypeParser(text.slice(match.index + match[0].length));
    const doc = parser.type();
    doc.description = proseOf(comment);
    doc.parents = match[2]?.split(',').map((parent) => parent.trim()) ?? [];
    types.set(name, doc);
  }
  return declarations;
}

function resolveImport(from: string, specifier: string): string {
  if (specifier.startsWith('.')) return join(dirname(from), specifier.replace(/\.js$/, '.d.ts'));
  const modules = from.slice(0, from.lastIndexOf('node_modules') + 'node_modules'.length);
  return `${join(modules, specifier)}.d.ts`;
}

/** The first paragraph of a comment that says something, as one line. */
function proseOf(comment: string): string {
  const body = comment
    .replace(/^\/\*\*|\*\/\s*$/g, '')
    .split('\n')
    .map((line) => line.replace(/^\s*\* ?/, '').trim())
    .join('\n')
    .replace(/<gateway:[^>]*>/g, '')
    .replaceAll('\\*', '*')
    .trim();
  const paragraphs = body.split(/\n\s*\n/).map((paragraph) => paragraph.replaceAll('\n', ' ').trim());
  return paragraphs.find((paragraph) => paragraph !== 'Optional.') ?? '';
}

class TypeParser {
  readonly #tokens: string[];
  #at = 0;

  constructor(text: string) {
    // A declaration ends long before this; the bound keeps a long file from being read for each of its types.
    this.#tokens = text.match(TOKEN) ?? [];
  }

  #next(): string {
    return this.#tokens[this.#at++] ?? '';
  }

  #accept(token: string): boolean {
    if (this.#tokens[this.#at] !== token) return false;
    this.#at++;
    return true;
  }

  type(): Doc {
    let doc = this.#primary();
    for (;;) {
      if (this.#accept('|')) {
        const other = this.#primary();
        if (doc.properties.size === 0 && doc.reference === '') doc = other;
      } else if (this.#accept('&')) {
        // Which members go together: the schema's oneOf says it better.
        this.#skipGroup();
      } else {
        return doc;
      }
    }
  }

  #skipGroup(): void {
    let depth = 0;
    do {
      const token = this.#next();
      if (token === '') return;
      if (token === '(') depth++;
      else if (token === ')') depth--;
    } while (depth > 0);
  }

  #primary(): Doc {
    const doc: Doc = { description: '', properties: new Map(), items: undefined, reference: '', parents: [] };
    const token = this.#next();
    if (token === '{') this.#members(doc);
    else if (token === 'Array' && this.#accept('<')) {
      doc.items = this.type();
      this.#accept('>');
    } else if (/^[A-Z]/.test(token)) doc.reference = token;
    while (this.#accept('[')) this.#accept(']');
    return doc;
  }

  #members(doc: Doc): void {
    let comment = '';
    for (let token = this.#next(); token !== '}' && token !== ''; token = this.#next()) {
      if (token.startsWith('/**')) {
        comment = token;
      } else if (token === '[') {
        while (this.#next() !== ']');
        this.#accept(':');
        doc.items = this.type();
        this.#accept(';');
      } else if (token.startsWith('"')) {
        this.#accept('?');
        this.#accept(':');
        const member = this.type();
        const prose = proseOf(comment);
        if (prose !== '') member.description = prose;
        doc.properties.set(JSON.parse(token) as string, member);
        comment = '';
        this.#accept(';');
      }
    }
  }
}

function lookUp(declarations: Declarations, name: string): { doc: Doc; within: Declarations } | undefined {
  const own = declarations.types.get(name);
  if (own !== undefined) return { doc: own, within: declarations };
  const from = declarations.imports.get(name);
  if (from === undefined) return undefined;
  const hash = from.indexOf('#');
  if (hash >= 0) return lookUp(load(from.slice(0, hash)), from.slice(hash + 1));
  const other = load(from);
  return lookUp(other, name);
}

/**
 * The schema with the descriptions of a declared type.
 * @param path the `.d.ts` file
 * @param name the interface in it
 */
export function describeSchema(schema: Schema, path: string, name: string): Schema {
  const found = lookUp(load(path), name);
  return found === undefined ? schema : withDoc(schema, found.doc, found.within);
}

function withDoc(schema: Schema, doc: Doc, within: Declarations): Schema {
  const target = doc.reference === '' ? undefined : lookUp(within, doc.reference);
  const shape = target === undefined ? doc : target.doc;
  const scope = target === undefined ? within : target.within;
  const description = doc.description === '' ? shape.description : doc.description;
  const out: Schema = description === '' ? { ...schema } : { description, ...schema };
  if (schema.properties !== undefined) {
    out.properties = Object.fromEntries(
      Object.entries(schema.properties).map(([key, child]) => {
        const member = memberOf(shape, scope, key);
        return [key, member === undefined ? child : withDoc(child, member.doc, member.within)];
      }),
    );
  }
  if (schema.items !== undefined && shape.items !== undefined) out.items = withDoc(schema.items, shape.items, scope);
  if (schema.additionalProperties !== undefined && shape.items !== undefined) {
    out.additionalProperties = withDoc(schema.additionalProperties, shape.items, scope);
  }
  return out;
}

/** A property of a type or of one it extends. */
function memberOf(shape: Doc, within: Declarations, key: string): { doc: Doc; within: Declarations } | undefined {
  const own = shape.properties.get(key);
  if (own !== undefined) return { doc: own, within };
  for (const name of shape.parents) {
    const parent = lookUp(within, name);
    const found = parent === undefined ? undefined : memberOf(parent.doc, parent.within, key);
    if (found !== undefined) return found;
  }
  return undefined;
}
