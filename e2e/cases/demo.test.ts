// SPDX-License-Identifier: Apache-2.0
// The promise of the README: label a namespace, and its traffic is tunnelled. The demo checks every statement itself.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ROOT, tryRun } from '../harness/run.ts';

test('make demo: every statement about the mesh end to end holds', async () => {
  const { status, stdout, stderr } = await tryRun(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', 'e2e/demo/main.ts'],
    {
      cwd: ROOT,
      env: { KEEP: '' },
      timeoutMs: 550_000,
    },
  );
  assert.equal(status, 0, `${stdout}\n${stderr}`);
  const [, checks, passed] = /(\d+) checks, (\d+) passed/.exec(stdout) ?? [];
  assert.equal(checks, '14');
  assert.equal(passed, checks);
});
