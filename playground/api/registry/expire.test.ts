// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '#lib/testkit/clock.ts';
import { memoryJournal } from '../store/journal.ts';
import { Store } from '../store/store.ts';
import { expireEvents } from './expire.ts';

const MINUTE_MS = 60_000;

test('an event is forgotten an hour after it last happened', async () => {
  const clock = new FakeClock();
  const store = new Store(memoryJournal);
  const events = store.collection('events');
  const put = (name: string, ageMs: number): void => {
    const lastTimestamp = new Date(clock.now() - ageMs).toISOString();
    events.put({ apiVersion: 'v1', kind: 'Event', metadata: { name, namespace: 'default' }, lastTimestamp }, undefined);
  };
  put('old', 59.5 * MINUTE_MS);
  put('new', 0);
  const stop = expireEvents(store, clock);
  await clock.advance(2 * MINUTE_MS);
  assert.deepEqual(
    events.list().map((entry) => entry.name),
    ['new'],
  );
  stop();
});
