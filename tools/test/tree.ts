// SPDX-License-Identifier: Apache-2.0
// The name of everything in the work tree as it is now, changed and new files included: what ran on one tree need not run on it again.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Git's hash of the work tree without what it ignores; '' outside a checkout, which equals nothing. */
export function workTree(root: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'ambit-tree-'));
  const git = (...args: readonly string[]): string | undefined => {
    const env = { ...process.env, GIT_INDEX_FILE: join(folder, 'index') };
    const { status, stdout } = spawnSync('git', args, { cwd: root, env, encoding: 'utf8' });
    return status === 0 ? stdout.trim() : undefined;
  };
  try {
    if (git('read-tree', 'HEAD') === undefined || git('add', '--all', '.') === undefined) return '';
    return git('write-tree') ?? '';
  } finally {
    rmSync(folder, { recursive: true });
  }
}
