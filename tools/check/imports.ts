// SPDX-License-Identifier: Apache-2.0
// Reads every import of the project's own sources, so that the layer table can be held against them.
import { globSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';

/** One import statement: who wrote it and what it names, project paths resolved from the root. */
export interface Import {
  readonly file: string;
  readonly target:
    | { readonly kind: 'project'; readonly path: string }
    | { readonly kind: 'package'; readonly name: string };
}

const FOLDERS = ['lib', 'ztunnel', 'waypoint', 'istiod', 'cni', 'cli', 'playground', 'e2e', 'tools'];
const IMPORT = /^\s*(?:import|export)\b(?:[^'";]*?\bfrom)?\s*['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]\s*\)/gm;

/** Every TypeScript file of the project below `root`, generated ones left out. */
export function sourceFiles(root: string): string[] {
  return FOLDERS.flatMap((folder) => globSync(`${folder}/**/*.ts`, { cwd: root }))
    .filter((file) => !file.startsWith('lib/proto/gen/') && !file.includes('node_modules/'))
    .sort();
}

/** The imports of one file's text. */
export function importsOf(file: string, text: string): Import[] {
  return [...text.matchAll(IMPORT)].map((match) => ({ file, target: resolveTarget(file, (match[1] ?? match[2])!) }));
}

/** The imports of every project file below `root`. */
export function allImports(root: string): Import[] {
  return sourceFiles(root).flatMap((file) => importsOf(file, readFileSync(join(root, file), 'utf8')));
}

function resolveTarget(file: string, specifier: string): Import['target'] {
  if (specifier.startsWith('#lib/')) return { kind: 'project', path: `lib/${specifier.slice(5)}` };
  if (specifier.startsWith('.')) return { kind: 'project', path: normalize(join(dirname(file), specifier)) };
  const parts = specifier.split('/');
  return { kind: 'package', name: specifier.startsWith('@') ? parts.slice(0, 2).join('/') : parts[0]! };
}
