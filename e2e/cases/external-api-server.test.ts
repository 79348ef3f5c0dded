// SPDX-License-Identifier: Apache-2.0
// Nothing depends on being in one process with the API server: the demo's checks hold with one that was started on its own.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { stateRootOf } from '../../playground/config.ts';
import { statePaths } from '../../playground/state.ts';
import { eventually } from '../harness/eventually.ts';
import { background, ROOT, tryRun } from '../harness/run.ts';

const NODE = [process.execPath, '--disable-warning=ExperimentalWarning'] as const;

test('the demo’s checks pass against a separately started API server', async () => {
  await using stack = new AsyncDisposableStack();
  const folder = mkdtempSync(join(tmpdir(), 'ambit-api-'));
  stack.defer(() => rmSync(folder, { recursive: true, force: true }));
  const program = join(ROOT, 'playground/api/main.ts');
  // As on a cluster whose API server stands outside: it reaches nodes through a proxy that the nodes' side offers.
  const name = `external-${process.pid}`;
  const { network } = statePaths(stateRootOf(process.env), name);
  const words = ['--data', folder, '--listen', '127.0.0.1:0', '--cluster-network', network];
  const api = background(NODE[0], [NODE[1], program, ...words]);
  stack.defer(() => api.stop());
  const kubeconfig = join(folder, 'kubeconfig');
  await eventually(
    'the API server to answer',
    async () =>
      (
        await tryRun(join(ROOT, 'bin/ambit'), ['kubectl', 'get', '--raw', '/readyz'], {
          env: { KUBECONFIG: kubeconfig },
        })
      ).status === 0,
  );

  const { status, stdout, stderr } = await tryRun(
    NODE[0],
    [NODE[1], 'e2e/demo/main.ts', `--name=${name}`, '--kubeconfig', kubeconfig],
    {
      cwd: ROOT,
      env: { KEEP: '' },
      timeoutMs: 550_000,
    },
  );
  assert.equal(status, 0, `${stdout}\n${stderr}`);
  assert.match(stdout, /(\d+) checks, \1 passed/);
});
