// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { brokenPromises, namedTests } from './named-tests.ts';

const table = [
  '| # | rule | file | test |',
  '|---|---|---|---|',
  '| 2 | slots | `lib/a.test.ts` | stale<br>double |',
  '| 3 | `x` | later | – |',
].join('\n');

test('a row promises each test named beside its file', () => {
  assert.deepEqual(namedTests(table), [
    { file: 'lib/a.test.ts', name: 'stale' },
    { file: 'lib/a.test.ts', name: 'double' },
  ]);
});

test('a promise breaks when its test is missing, skipped or failing', () => {
  const ran = (name: string, passed: boolean, skipped = false) => ({ file: 'lib/a.test.ts', name, passed, skipped });
  assert.deepEqual(brokenPromises(namedTests(table), [ran('stale', true), ran('double', true)]), []);
  assert.deepEqual(brokenPromises(namedTests(table), [ran('stale', false), ran('double', true, true)]), [
    'lib/a.test.ts: "stale" failed',
    'lib/a.test.ts: "double" was skipped',
  ]);
  assert.deepEqual(brokenPromises(namedTests(table), [ran('stale', true)]), [
    'lib/a.test.ts: no test named "double" ran',
  ]);
});
