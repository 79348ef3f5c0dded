// SPDX-License-Identifier: Apache-2.0
//
// Objects in YAML or JSON text, with the line each of their fields stands on. Read as kubectl reads it: several
// documents, Lists taken apart, YAML 1.1 words for true and false, dates as text.

import { type Document, LineCounter, type ParsedNode, parseAllDocuments } from 'yaml';
import type { KubeObject } from '../object/object.ts';

/** Kinds among those we read whose objects lie in no namespace. */
export const CLUSTER_SCOPED: ReadonlySet<string> = new Set(['Namespace', 'Node', 'GatewayClass']);

export interface SourceText {
  readonly path: string;
  readonly text: string;
}

export interface TextPlace {
  readonly file: string;
  /** From 1. */
  readonly line: number;
}

export interface ParsedObject {
  readonly object: KubeObject;
  /** Where a field stands, or the nearest thing above it that exists. */
  placeOf(field: string): TextPlace;
}

export interface SyntaxProblem extends TextPlace {
  readonly message: string;
}

export interface ParsedFile {
  readonly objects: readonly ParsedObject[];
  readonly problems: readonly SyntaxProblem[];
}

type PathPart = string | number;

export function parseDocuments({ path, text }: SourceText): ParsedFile {
  const lineCounter = new LineCounter();
  const documents = parseAllDocuments(text, {
    version: '1.1',
    lineCounter,
    customTags: (tags) => tags.filter((tag) => typeof tag === 'string' || tag.tag !== 'tag:yaml.org,2002:timestamp'),
    uniqueKeys: true,
    prettyErrors: false,
  });
  if (!Array.isArray(documents)) return { objects: [], problems: [] };
  const objects: ParsedObject[] = [];
  const problems: SyntaxProblem[] = [];
  const lineAt = (offset: number): number => lineCounter.linePos(offset).line;
  for (const document of documents as Document.Parsed<ParsedNode>[]) {
    for (const error of document.errors) {
      problems.push({ file: path, line: lineAt(error.pos[0]), message: plainMessage(error.message) });
    }
    if (document.errors.length > 0) continue;
    const read = plainValue(document);
    if (!read.ok) {
      problems.push({ file: path, line: lineAt(document.contents?.range[0] ?? 0), message: read.message });
      continue;
    }
    const { value } = read;
    if (value === null || value === undefined) continue;
    const placeOf =
      (prefix: readonly PathPart[]) =>
      (field: string): TextPlace => ({ file: path, line: lineAt(offsetOf(document, [...prefix, ...partsOf(field)])) });
    if (typeof value !== 'object' || Array.isArray(value)) {
      problems.push({
        file: path,
        line: placeOf([])('').line,
        message: 'is no object: expected apiVersion, kind, metadata',
      });
      continue;
    }
    const items = (value as { readonly kind?: unknown; readonly items?: unknown }).items;
    const { kind } = value as { readonly kind?: unknown };
    if (typeof kind === 'string' && kind.endsWith('List') && Array.isArray(items)) {
      items.forEach((item: unknown, i) => {
        objects.push({ object: item as KubeObject, placeOf: placeOf(['items', i]) });
      });
    } else {
      objects.push({ object: value as KubeObject, placeOf: placeOf([]) });
    }
  }
  return { objects, problems };
}

/** The document's value. An alias without anchor, or aliases that multiply without end, only show here. */
function plainValue(
  document: Document.Parsed<ParsedNode>,
): { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly message: string } {
  try {
    return { ok: true, value: document.toJS() as unknown };
  } catch (error) {
    return { ok: false, message: error instanceof Error ? error.message : String(error) };
  }
}

function plainMessage(message: string): string {
  return message.split('\n')[0]?.replace(/ at line \d+, column \d+:?$/, '') ?? message;
}

/** `spec.rules[0].from` and `metadata.labels[istio.io/rev]` as parts. */
export function partsOf(field: string): PathPart[] {
  const parts: PathPart[] = [];
  for (const [, name, bracket] of field.matchAll(/([^.[\]]+)|\[([^\]]*)\]/g)) {
    if (name !== undefined) parts.push(name);
    else if (bracket !== undefined) parts.push(/^\d+$/.test(bracket) ? Number(bracket) : bracket);
  }
  return parts;
}

/** Start of the node at a path, or of the deepest node above it. */
function offsetOf(document: Document.Parsed<ParsedNode>, parts: readonly PathPart[]): number {
  for (let length = parts.length; length > 0; length--) {
    const node = document.getIn(parts.slice(0, length), true) as
      | { range?: readonly [number, number, number] }
      | undefined;
    const start = node?.range?.[0];
    if (start !== undefined) return start;
  }
  return document.contents?.range?.[0] ?? 0;
}
