// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Clock, systemClock } from '#lib/kit/clock.ts';
import { createLogger } from '#lib/kit/log.ts';
import { createTestCa } from '#lib/testkit/certificates.ts';
import { until } from '#lib/testkit/until.ts';
import { pemBlocks } from '#lib/wire/pem.ts';
import { RevocationFile } from './revocation-file.ts';

const ca = await createTestCa();
/** Waits a twentieth of the time. */
const hurried: Clock = { ...systemClock, after: (ms, fn) => systemClock.after(ms / 20, fn) };

test('lists are read from PEM and DER, may come later, change and go, and a broken one does not spoil the others', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'ambit-crl-'));
  const path = join(directory, 'crl.pem');
  const lines: string[] = [];
  const seen: number[] = [];
  const file = new RevocationFile({
    path,
    clock: hurried,
    log: createLogger({ scope: 'test', write: (line) => lines.push(line) }),
    onLists: (lists) => seen.push(lists.length),
  });
  try {
    await file.start();
    assert.deepEqual(seen, [0]);
    const pem = await ca.revoke([]);
    writeFileSync(path, `${pem}\n${pem}\n-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n`);
    await until('they are read', () => seen.at(-1) === 2);
    assert.match(lines.join(''), /a revocation list is not usable.*list=3/);
    writeFileSync(path, pemBlocks(pem, 'X509 CRL')[0]!);
    await until('the DER is read', () => seen.at(-1) === 1);
    rmSync(path);
    await until('nothing is left', () => seen.at(-1) === 0);
  } finally {
    file.close();
    rmSync(directory, { recursive: true });
  }
});
