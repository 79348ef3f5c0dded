// SPDX-License-Identifier: Apache-2.0
// The promise of the README: label a namespace, and its traffic is tunnelled. The demo checks every statement itself.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ROOT, tryRun } from '../harness/run.ts';

test('make demo: every statement about the mesh end to end holds, within two minutes', async () => {
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
  const [, checks, passed, seconds] = /(\d+) checks, (\d+) passed in (\d+) s/.exec(stdout) ?? [];
  assert.equal(checks, '14');
  assert.equal(passed, checks);
  assert.ok(Number(seconds) < 120, `took ${seconds} s`);
});
