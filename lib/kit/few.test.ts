// SPDX-License-Identifier: Apache-2.0

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from '#lib/testkit/properties.ts';
import { FewByKey } from './few.ts';

test('few or many, they are sets by key', () => {
  const step = fc.record({
    add: fc.boolean(),
    key: fc.constantFrom('a', 'b'),
    one: fc.integer({ min: 0, max: 80 }).map(String),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 400 }), (steps) => {
      const few = new FewByKey<string>();
      const sets = new Map<string, Set<string>>();
      for (const { add, key, one } of steps) {
        const set = sets.get(key) ?? new Set();
        if (add) set.add(one);
        else set.delete(one);
        if (set.size > 0) sets.set(key, set);
        else sets.delete(key);
        if (add) few.add(key, one);
        else few.delete(key, one);
        const visited: string[] = [];
        few.each(key, (member) => visited.push(member));
        assert.deepEqual([few.of(key), visited], [[...set], [...set]]);
        assert.equal(few.has(key), set.size > 0);
      }
      assert.deepEqual([[...few.keys()].sort(), few.size], [[...sets.keys()].sort(), sets.size]);
    }),
  );
});
