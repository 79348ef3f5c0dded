// SPDX-License-Identifier: Apache-2.0
// Texts named on the command line: files, folders (their YAML and JSON files, deeply), and `-` for standard input.

import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { AmbitError } from '#lib/kit/error.ts';

const EXTENSIONS = ['.yaml', '.yml', '.json'];

export interface Text {
  readonly path: string;
  readonly text: string;
}

/** Reads them all; throws FILE_UNREADABLE naming the one that cannot be read. */
export function readTexts(paths: readonly string[]): Text[] {
  return paths.flatMap((path) => {
    try {
      return filesIn(path).map((file) => ({ path: file === '-' ? '<stdin>' : file, text: textOf(file) }));
    } catch (cause) {
      throw new AmbitError('FILE_UNREADABLE', `cannot read ${path}`, { cause });
    }
  });
}

function filesIn(path: string): string[] {
  if (path === '-' || !statSync(path).isDirectory()) return [path];
  return readdirSync(path, { recursive: true, encoding: 'utf8' })
    .filter((name) => EXTENSIONS.some((extension) => name.endsWith(extension)))
    .sort()
    .map((name) => join(path, name));
}

function textOf(path: string): string {
  return readFileSync(path === '-' ? 0 : path, 'utf8');
}
