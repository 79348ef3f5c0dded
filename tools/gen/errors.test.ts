// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { errorsOf } from './errors.ts';

test('code, message and advice are read off the source, insertions shown as dots', () => {
  const text =
    "throw new AmbitError('CNI_PLUGIN', `no plugin \"${type}\" in ${dirs.join(', ')}`, {\n  cause,\n  advice: 'install it; then retry',\n});\nnew KubeError('KUBE_GONE', reason);";
  assert.deepEqual(errorsOf('a.ts', text), [
    { code: 'CNI_PLUGIN', message: 'no plugin "…" in …', advice: 'install it; then retry', file: 'a.ts' },
    { code: 'KUBE_GONE', message: '…', advice: '', file: 'a.ts' },
  ]);
});
