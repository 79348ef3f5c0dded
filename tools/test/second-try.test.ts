// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestResult } from './report.ts';
import { secondTry } from './second-try.ts';

const result = (file: string, name: string, passed: boolean): TestResult => ({ file, name, passed, skipped: false });

const first = {
  results: [result('a', 'one', true), result('b', 'two', false), result('b', 'three', true)],
  failed: ['b'],
};

test('a test that passes when run again counts as passed, and is named unsteady', () => {
  const run = secondTry(first, { results: [result('b', 'two', true), result('b', 'three', true)], failed: [] });
  assert.deepEqual(run.failed, []);
  assert.deepEqual(
    run.results.map(({ name, passed, unsteady }) => [name, passed, unsteady ?? false]),
    [
      ['one', true, false],
      ['two', true, true],
      ['three', true, false],
    ],
  );
});

test('a test that fails twice fails', () => {
  const again = [result('b', 'two', false), result('b', 'three', true)];
  const run = secondTry(first, { results: again, failed: ['b'] });
  assert.deepEqual(run.failed, ['b']);
  assert.deepEqual(
    run.results.filter(({ passed }) => !passed).map(({ name }) => name),
    ['two'],
  );
});

test('a file that breaks as a whole when run again fails', () => {
  assert.deepEqual(secondTry(first, { results: [], failed: ['b'] }).failed, ['b']);
});
