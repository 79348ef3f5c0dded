// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from '#lib/testkit/properties.ts';
import { type Enrolled, Roster } from './roster.ts';

class Member implements Enrolled {
  place = -1;
}

test('a roster holds what a set would, whatever is added and deleted, also twice', () => {
  const steps = fc.array(fc.tuple(fc.boolean(), fc.nat(20)), { maxLength: 200 });
  fc.assert(
    fc.property(steps, (list) => {
      const members = Array.from({ length: 21 }, () => new Member());
      const [roster, set] = [new Roster<Member>(), new Set<Member>()];
      for (const [add, at] of list) {
        const one = members[at]!;
        if (add) {
          roster.add(one);
          set.add(one);
        } else assert.equal(roster.delete(one), set.delete(one));
      }
      assert.equal(roster.size, set.size);
      assert.deepEqual(new Set(roster.all()), set);
      for (const one of members) assert.equal(roster.has(one), set.has(one));
    }),
  );
});

test('a walk in parts visits everybody who stays, whoever comes and goes meanwhile', () => {
  const steps = fc.array(
    fc.tuple(fc.constantFrom('add', 'delete', 'walk'), fc.nat(20), fc.integer({ min: 1, max: 5 })),
    {
      maxLength: 100,
    },
  );
  fc.assert(
    fc.property(steps, (list) => {
      const members = Array.from({ length: 21 }, () => new Member());
      const roster = new Roster<Member>();
      for (const one of members.slice(0, 12)) roster.add(one);
      const stayed = new Set(roster.all());
      const visited = new Set<Member>();
      let from = roster.size - 1;
      for (const [what, at, most] of list) {
        const one = members[at]!;
        if (what === 'add') roster.add(one);
        else if (what === 'delete') {
          roster.delete(one);
          stayed.delete(one);
        } else from = roster.walk(from, most, (each) => visited.add(each));
      }
      while (from >= 0) from = roster.walk(from, 3, (each) => visited.add(each));
      for (const one of stayed) assert.ok(visited.has(one));
    }),
  );
});

test('who is visited may leave, and take others along', () => {
  const roster = new Roster<Member>();
  const members = Array.from({ length: 6 }, () => new Member());
  for (const one of members) roster.add(one);
  const visited = new Set<Member>();
  const end = roster.walk(roster.size - 1, Number.POSITIVE_INFINITY, (one) => {
    visited.add(one);
    roster.delete(one);
    roster.delete(members[0]!);
  });
  assert.equal(end, -1);
  assert.equal(roster.size, 0);
  assert.equal(visited.size, 5);
});
