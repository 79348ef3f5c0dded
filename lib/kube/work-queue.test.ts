// SPDX-License-Identifier: Apache-2.0
import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import { createLogger } from '#lib/kit/log.ts';
import { FakeClock } from '#lib/testkit/clock.ts';
import { KubeError } from './error.ts';
import { WorkQueue } from './work-queue.ts';

function setUp(reconcile: (key: string) => Promise<void>, concurrency = 1) {
  const clock = new FakeClock();
  const lines: string[] = [];
  const log = createLogger({ scope: 'q', level: 'debug', write: (line) => lines.push(line) });
  return { clock, lines, queue: new WorkQueue({ name: 'thing', clock, log, concurrency, reconcile }) };
}

test('a key named many times while it is worked on is worked on once more', async () => {
  const gate = Promise.withResolvers<void>();
  const runs: string[] = [];
  const { queue } = setUp(async (key) => {
    runs.push(key);
    await gate.promise;
  });
  for (let i = 0; i < 5; i++) queue.add('a');
  gate.resolve();
  await queue.whenIdle();
  deepEqual(runs, ['a', 'a']);
});

test('a key is never worked on twice at the same time, others are', async () => {
  let running = 0;
  let most = 0;
  const byKey = new Map<string, number>();
  const { queue } = setUp(async (key) => {
    equal(byKey.get(key) ?? 0, 0);
    byKey.set(key, 1);
    most = Math.max(most, ++running);
    await new Promise((resolve) => setImmediate(resolve));
    running--;
    byKey.set(key, 0);
  }, 3);
  for (let i = 0; i < 30; i++) queue.add(`k${i % 6}`);
  await queue.whenIdle();
  equal(most, 3);
});

test('a failure is tried again with growing patience, and said aloud once', async () => {
  let failures = 0;
  const { clock, lines, queue } = setUp(async () => {
    if (++failures < 5) throw new Error('no luck');
  });
  queue.add('a');
  await clock.advance(90);
  equal(failures, 1);
  await clock.advance(20);
  equal(failures, 2);
  await clock.advance(10_000);
  equal(failures, 5);
  equal(lines.filter((line) => line.includes('\twarn\t')).length, 1);
  equal(queue.depth, 0);
});

test('while the server is away a key is tried every few seconds, so that its return is seen soon', async () => {
  let runs = 0;
  const { clock, queue } = setUp(async () => {
    runs++;
    throw new KubeError('KUBE_UNREACHABLE', 'nobody is there', { status: 0 });
  });
  queue.add('a');
  await clock.advance(3_600_000);
  const before = runs;
  await clock.advance(3_000);
  equal(runs, before + 1);
  queue.stop();
});

test('naming a key that waits for its retry tries it at once', async () => {
  let runs = 0;
  const { queue } = setUp(async () => {
    if (++runs === 1) throw new Error('first');
  });
  queue.add('a');
  await queue.whenIdle();
  queue.add('a');
  await queue.whenIdle();
  equal(runs, 2);
});
