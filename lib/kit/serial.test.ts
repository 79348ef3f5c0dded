// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Serial } from './serial.ts';

test('work for one key waits for what came before, and for another key does not', async () => {
  const serial = new Serial();
  const log: string[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  const first = serial.run('a', async () => {
    log.push('first begins');
    await promise;
    log.push('first ends');
  });
  const second = serial.run('a', async () => void log.push('second'));
  await serial.run('b', async () => void log.push('other key'));
  resolve();
  await Promise.all([first, second]);
  assert.deepEqual(log, ['first begins', 'other key', 'first ends', 'second']);
});

test('work that fails is told to whoever asked for it, and keeps nobody else', async () => {
  const serial = new Serial();
  const failed = serial.run('a', () => Promise.reject(new Error('no')));
  const next = serial.run('a', async () => 'yes');
  await assert.rejects(failed, { message: 'no' });
  assert.equal(await next, 'yes');
});
