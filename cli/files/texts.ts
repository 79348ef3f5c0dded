// SPDX-License-Identifier: Apache-2.0
// Texts out of files and folders.

import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { AmbitError } from '#lib/kit/error.ts';
import type { SourceText } from '#lib/model/validate/documents.ts';

const EXTENSIONS = ['.yaml', '.yml', '.json'];

/** Reads files, folders (their YAML and JSON files, deeply) and `-` for standard input. Throws FILE_UNREADABLE. */
export function readTexts(paths: readonly string[]): SourceText[] {
  return paths.flatMap(filesIn).map((path) => ({ path: path === '-' ? '<stdin>' : path, text: textOf(path) }));
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
