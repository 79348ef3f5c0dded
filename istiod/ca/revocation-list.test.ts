// SPDX-License-Identifier: Apache-2.0
import { deepEqual } from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { systemClock } from '#lib/kit/clock.ts';
import { createLogger } from '#lib/kit/log.ts';
import { until } from '#lib/testkit/until.ts';
import { followRevocationList } from './revocation-list.ts';

const list = (text: string) =>
  `-----BEGIN X509 CRL-----\n${Buffer.from(text).toString('base64')}\n-----END X509 CRL-----\n`;

test('a revocation list is read when it comes and when it changes, and what is none changes nothing', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'ambit-crl-'));
  const ending = new AbortController();
  const found: string[] = [];
  const lines: string[] = [];
  const log = createLogger({ scope: 'ca', write: (line) => lines.push(line) });
  const clock = { ...systemClock, sleep: (_ms: number, signal?: AbortSignal) => systemClock.sleep(5, signal) };
  const write = (text: string) => writeFileSync(join(folder, 'ca-crl.pem'), text);
  const done = followRevocationList({ folder, clock, log, onChange: (pem) => found.push(pem) }, ending.signal);
  try {
    write(list('one'));
    await until('the first', () => found.length === 1);
    write('no list');
    await until('a word about it', () => lines.some((line) => line.includes('holds no list')));
    write(list('two'));
    await until('the second', () => found.length === 2);
    deepEqual(found, [list('one'), list('two')]);
  } finally {
    ending.abort();
    await done;
    rmSync(folder, { recursive: true });
  }
});
