// SPDX-License-Identifier: Apache-2.0
// docs/guide/settings.md says that it tells of all our own settings: whoever adds one hears of it here.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { sourceFiles } from './imports.ts';

const root = join(import.meta.dirname, '../..');
const PROGRAMS = /^(ztunnel|waypoint|istiod|cni|playground|lib\/proxy)\/(?!.*\.(test|bench|fuzz)\.ts$)/;
/** What is read: `read.integer('AMBIT_…'`, the name maybe on a line of its own. */
const READ = /\.(?:string|integer|boolean|duration|oneOf|list|optional|required)\(\s*'(AMBIT_[A-Z0-9_]+)'/g;

test('every setting of our own is told of, and none that nobody reads', () => {
  const read = new Set<string>();
  for (const file of sourceFiles(root).filter((one) => PROGRAMS.test(one))) {
    for (const [, name] of readFileSync(join(root, file), 'utf8').matchAll(READ)) read.add(name!);
  }
  const page = readFileSync(join(root, 'docs/guide/settings.md'), 'utf8');
  const rows = page.split('\n').filter((line) => line.startsWith('| `'));
  const told = rows.flatMap((row) =>
    [...row.split('|')[1]!.matchAll(/`(AMBIT_[A-Z0-9_]+)`/g)].map(([, name]) => name!),
  );
  assert.ok(read.size > 40, 'settings are found');
  assert.deepEqual([...new Set(told)].sort(), [...read].sort());
  assert.equal(new Set(told).size, told.length, 'each once');
});
