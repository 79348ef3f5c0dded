// SPDX-License-Identifier: Apache-2.0
//
// Generates lib/proto/gen from lib/proto/*.proto with buf and the local protoc-gen-es plugin: no network, and
// the same bytes on every machine, so that a diff after `npm run gen` is a stale commit.

import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';

const MODULES = [{ path: 'lib/proto' }];

/**
 * Regenerates the TypeScript of every message.
 * @param root the repository's folder
 * @throws Error when buf rejects a file; its diagnostics are in the message
 */
export function generateProto(root: string): void {
  const bin = join(root, 'node_modules', '.bin');
  const config = {
    version: 'v2',
    plugins: [
      {
        local: join(bin, 'protoc-gen-es'),
        out: join(root, 'lib/proto/gen'),
        opt: ['target=ts', 'import_extension=ts', 'erasable_syntax=true'],
      },
    ],
  };
  // buf keeps a cache; a private one keeps the user's home out of the result.
  const scratch = mkdtempSync(join(tmpdir(), 'ambit-gen-'));
  try {
    const template = join(scratch, 'buf.gen.json');
    writeFileSync(template, JSON.stringify({ ...config, clean: true }));
    const workspace = JSON.stringify({ version: 'v2', modules: MODULES });
    const run = spawnSync(join(bin, 'buf'), ['generate', '--template', template, '--config', workspace], {
      cwd: root,
      encoding: 'utf8',
      env: { ...process.env, PATH: [bin, process.env['PATH']].join(delimiter), BUF_CACHE_DIR: join(scratch, 'cache') },
    });
    if (run.error) throw new Error(`buf could not be started: ${run.error.message}. Run npm ci.`);
    if (run.status !== 0) throw new Error(`buf rejected lib/proto:\n${run.stdout}${run.stderr}`);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}
