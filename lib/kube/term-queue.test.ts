// SPDX-License-Identifier: Apache-2.0
import { deepEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { createLogger } from '#lib/kit/log.ts';
import { FakeClock } from '#lib/testkit/clock.ts';
import { until } from '#lib/testkit/until.ts';
import type { Term } from './leader.ts';
import { TermQueue } from './term-queue.ts';

test('a term begins with all there is, and nothing is done before it or after', async () => {
  const done: string[] = [];
  const queue = new TermQueue({
    name: 'thing',
    clock: new FakeClock(),
    log: createLogger({ scope: 'q', level: 'off' }),
    concurrency: 1,
    reconcile: async (key) => void done.push(key),
  });
  const term = (end: AbortController): Term => ({ signal: end.signal, holds: () => true });
  queue.add('early');
  const [first, second] = [new AbortController(), new AbortController()];
  queue.lead(term(first), ['a', 'b']);
  queue.add('c');
  await until('its work', () => done.length === 3);
  first.abort();
  queue.add('between');
  queue.lead(term(second), ['d']);
  // The end of a term says nothing of the next one.
  first.signal.dispatchEvent(new Event('abort'));
  queue.add('e');
  await until('the next term’s', () => done.length === 5);
  second.abort();
  deepEqual(done, ['a', 'b', 'c', 'd', 'e']);
});
