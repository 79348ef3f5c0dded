// SPDX-License-Identifier: Apache-2.0
// Holds every import against the table in layers.json, and lets no files import each other: the direction of imports is a promise, not
// a habit.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { importCircles } from './import-circles.ts';
import { allImports, importsOf } from './imports.ts';

interface Layer {
  readonly imports: readonly string[] | 'lib' | '*';
  readonly packages: readonly string[] | '*';
}
const root = join(import.meta.dirname, '../..');
const table: { layers: Record<string, Layer>; ffi: string[] } = JSON.parse(
  readFileSync(join(import.meta.dirname, 'layers.json'), 'utf8'),
);
const names = Object.keys(table.layers);
const layerOf = (path: string): string | undefined =>
  names.find((name) => path === name || path.startsWith(`${name}/`));
const isSupport = (file: string): boolean => /\.(test|bench|fuzz)\.ts$/.test(file) || file.startsWith('lib/testkit/');
const mayImport = (layer: string, target: string): boolean => {
  const allowed = table.layers[layer]!.imports;
  if (target === layer || allowed === '*') return true;
  return allowed === 'lib' ? target.startsWith('lib/') && target !== 'lib/testkit' : allowed.includes(target);
};

test('every import points down the layer table', () => {
  const wrong: string[] = [];
  for (const { file, target } of allImports(root)) {
    if (isSupport(file)) continue;
    const layer = layerOf(file);
    assert.ok(layer, `${file} lies in no layer of tools/check/layers.json`);
    if (target.kind === 'project') {
      const to = layerOf(target.path);
      if (!to || !mayImport(layer, to)) wrong.push(`${file} (${layer}) imports ${target.path}`);
      else if (isSupport(target.path) && layer !== 'e2e' && layer !== 'tools')
        wrong.push(`${file} imports test support ${target.path}`);
    } else if (target.name === 'node:ffi') {
      if (!table.ffi.includes(layer)) wrong.push(`${file} imports node:ffi; only ${table.ffi.join(' and ')} may`);
    } else if (!target.name.startsWith('node:')) {
      const packages = table.layers[layer]!.packages;
      if (packages !== '*' && !packages.includes(target.name))
        wrong.push(`${file} (${layer}) imports package ${target.name}`);
    }
  }
  assert.deepEqual(wrong, []);
});

test('no files import each other, types included', () => {
  assert.deepEqual(importCircles(allImports(root)), []);
});

test('a circle of imports is found, and the way into it is not part of it', () => {
  const files = {
    'lib/kit/a.ts': `import { b } from './b.ts';`,
    'lib/kit/b.ts': `import type { C } from './c.ts';\nimport './leaf.ts';`,
    'lib/kit/c.ts': `export { b } from '#lib/kit/b.ts';`,
    'lib/kit/self.ts': `import type { Self } from './self.ts';`,
  };
  assert.deepEqual(importCircles(Object.entries(files).flatMap(([file, text]) => importsOf(file, text))), [
    ['lib/kit/b.ts', 'lib/kit/c.ts'],
    ['lib/kit/self.ts'],
  ]);
});

test('the import reader sees static, type, side-effect, re-exported and dynamic imports', () => {
  const text = `import a from 'a';\nimport type { B } from './b.ts';\nimport 'c/d';\nexport { e } from '#lib/kit/e.ts';\nconst f = await import('@g/h/i');`;
  assert.deepEqual(
    importsOf('lib/wire/x.ts', text).map(({ target }) => (target.kind === 'project' ? target.path : target.name)),
    ['a', 'lib/wire/b.ts', 'c', 'lib/kit/e.ts', '@g/h'],
  );
});
