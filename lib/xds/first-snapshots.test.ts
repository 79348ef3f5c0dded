// SPDX-License-Identifier: Apache-2.0
import { deepEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '#lib/testkit/clock.ts';
import { FirstSnapshots, type Share } from './first-snapshots.ts';

const LARGE = 48 * 1024 * 1024;

/** Clients that are each sent `bytes` when they start. */
function clients(bytes: number, ...names: string[]) {
  const clock = new FakeClock();
  const snapshots = new FirstSnapshots(clock);
  const started: string[] = [];
  const shares = new Map<string, { readonly share: Share; readonly taken: () => void }>();
  for (const name of names) {
    snapshots.enter(() => {
      started.push(name);
      const share = snapshots.begin();
      shares.set(name, { share, taken: share.sending(bytes) });
    });
  }
  return { clock, started, shares };
}

test('small ones all start at once', () => {
  deepEqual(clients(LARGE / 10, 'a', 'b', 'c').started, ['a', 'b', 'c']);
});

test('of large ones the next starts when the one before has been taken, has gone, or has had its time', async () => {
  const { clock, shares, started } = clients(LARGE, 'a', 'b', 'c', 'd');
  deepEqual(started, ['a']);
  shares.get('a')?.taken();
  deepEqual(started, ['a', 'b']);
  shares.get('b')?.share.end();
  deepEqual(started, ['a', 'b', 'c']);
  await clock.advance(1_999);
  deepEqual(started, ['a', 'b', 'c']);
  await clock.advance(1);
  deepEqual(started, ['a', 'b', 'c', 'd']);
});

test('what is taken after the end counts no more', () => {
  const { shares, started } = clients(LARGE, 'a', 'b', 'c');
  const { share, taken } = shares.get('a')!;
  share.end();
  taken();
  share.end();
  share.sending(LARGE)();
  deepEqual(started, ['a', 'b']);
});
