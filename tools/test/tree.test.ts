// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { readResults, writeResults } from './report.ts';
import { workTree } from './tree.ts';

test('results count for the very tree they ran on: not after a change, a new file, or outside a checkout', () => {
  const root = mkdtempSync(join(tmpdir(), 'ambit-checkout-'));
  try {
    assert.equal(workTree(root), '');
    const git = (...args: string[]) =>
      execFileSync('git', ['-c', 'user.name=t', '-c', 'user.email=t@t', ...args], { cwd: root });
    git('init', '-q');
    writeFileSync(join(root, '.gitignore'), 'ignored\n');
    writeFileSync(join(root, 'a'), '1');
    git('add', '.');
    git('commit', '-qm', 'first');
    const first = workTree(root);
    const kept = join(root, 'ignored');
    const results = [{ file: 'x.test.ts', name: 'works', passed: true, skipped: false }];
    writeResults(kept, first, results);
    assert.deepEqual(readResults(kept, workTree(root)), results);
    writeFileSync(join(root, 'b'), 'new');
    assert.deepEqual(readResults(kept, workTree(root)), []);
    rmSync(join(root, 'b'));
    assert.deepEqual(readResults(kept, workTree(root)), results);
    writeFileSync(join(root, 'a'), '2');
    assert.deepEqual(readResults(kept, workTree(root)), []);
    assert.deepEqual(readResults(kept, ''), []);
  } finally {
    rmSync(root, { recursive: true });
  }
});
