// SPDX-License-Identifier: Apache-2.0
import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import { Gate } from './gate.ts';

test('so many at a time, so many wait, the rest are turned away', async () => {
  const gate = new Gate(2, 3);
  let inside = 0;
  let most = 0;
  const open = Promise.withResolvers<void>();
  const results = Array.from({ length: 7 }, (_, i) =>
    gate.run(async () => {
      most = Math.max(most, ++inside);
      await open.promise;
      inside--;
      return i;
    }),
  );
  open.resolve();
  deepEqual(await Promise.all(results), [0, 1, 2, 3, 4, undefined, undefined]);
  equal(most, 2);
});

test('a place is given back when the work fails', async () => {
  const gate = new Gate(1, 0);
  await gate.run(() => Promise.reject(new Error('no'))).catch(() => undefined);
  equal(await gate.run(async () => 'in'), 'in');
});
