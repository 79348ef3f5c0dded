// SPDX-License-Identifier: Apache-2.0
// Kubernetes objects out of files: YAML or JSON, several documents in one, lists taken apart. What cannot be read is a
// problem with file and line, not an exception.

import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { LineCounter, parseAllDocuments } from 'yaml';
import { AmbitError } from '#lib/kit/error.ts';

const EXTENSIONS = ['.yaml', '.yml', '.json'];

/** One object and where it begins. */
export interface FileObject {
  readonly file: string;
  readonly line: number;
  readonly object: Record<string, unknown>;
}

/** A text that holds no object. */
export interface Unreadable {
  readonly file: string;
  readonly line: number;
  readonly message: string;
}

export interface Documents {
  readonly objects: readonly FileObject[];
  readonly unreadable: readonly Unreadable[];
}

/** Reads files, folders (their YAML and JSON files, deeply) and `-` for standard input. Throws FILE_UNREADABLE. */
export function readDocuments(paths: readonly string[]): Documents {
  const all = paths.flatMap(filesIn).map((file) => parseDocuments(file === '-' ? '<stdin>' : file, textOf(file)));
  return { objects: all.flatMap(({ objects }) => objects), unreadable: all.flatMap(({ unreadable }) => unreadable) };
}

/** Takes one text apart. */
export function parseDocuments(file: string, text: string): Documents {
  const lines = new LineCounter();
  const objects: FileObject[] = [];
  const unreadable: Unreadable[] = [];
  for (const document of parseAllDocuments(text, { lineCounter: lines })) {
    const [error] = document.errors;
    // The range of a document begins behind its `---`.
    const start = document.contents?.range?.[0] ?? document.range[0];
    const { line } = lines.linePos(error === undefined ? start : error.pos[0]);
    if (error !== undefined) {
      unreadable.push({ file, line, message: error.message.split('\n')[0]?.replace(/ at line .*$/, '') ?? '' });
      continue;
    }
    try {
      const value: unknown = document.toJS();
      if (value === null || value === undefined) continue;
      for (const object of flatten(value)) {
        if (typeof object === 'object' && object !== null && !Array.isArray(object)) {
          objects.push({ file, line, object: object as Record<string, unknown> });
        } else
          unreadable.push({
            file,
            line,
            message: 'holds no object: a Kubernetes object is a map with apiVersion and kind',
          });
      }
    } catch (cause) {
      // Too many aliases, for one.
      unreadable.push({ file, line, message: String(cause instanceof Error ? cause.message : cause) });
    }
  }
  return { objects, unreadable };
}

/** The items of a `List`, or the value itself. */
function flatten(value: unknown): unknown[] {
  if (typeof value !== 'object' || value === null) return [value];
  const { apiVersion, items, kind } = value as { apiVersion?: unknown; items?: unknown; kind?: unknown };
  return apiVersion === 'v1' && kind === 'List' && Array.isArray(items) ? items : [value];
}

function filesIn(path: string): string[] {
  if (path === '-') return [path];
  try {
    if (!statSync(path).isDirectory()) return [path];
    return readdirSync(path, { recursive: true, encoding: 'utf8' })
      .filter((name) => EXTENSIONS.some((extension) => name.endsWith(extension)))
      .sort()
      .map((name) => join(path, name));
  } catch (cause) {
    throw new AmbitError('FILE_UNREADABLE', `cannot read ${path}`, { cause });
  }
}

function textOf(path: string): string {
  try {
    return readFileSync(path === '-' ? 0 : path, 'utf8');
  } catch (cause) {
    throw new AmbitError('FILE_UNREADABLE', `cannot read ${path}`, { cause });
  }
}
