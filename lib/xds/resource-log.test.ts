// SPDX-License-Identifier: Apache-2.0
import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import fc from '#lib/testkit/properties.ts';
import { ADDRESS_TYPE, makeEntry } from './resource.ts';
import { ResourceLog } from './resource-log.ts';

const entry = (name: string, value: number) => makeEntry({ typeUrl: ADDRESS_TYPE, name, value: Uint8Array.of(value) });

test('a client that applies every difference holds exactly what the log holds, however often it looks', () => {
  const step = fc.record({
    name: fc.constantFrom('a', 'b', 'c', 'd', 'e'),
    value: fc.nat(3),
    remove: fc.boolean(),
    look: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 400 }), (steps) => {
      const log = new ResourceLog();
      const held = new Map<string, string>();
      let seen = 0;
      const look = () => {
        const difference = log.since(seen);
        if (difference === undefined) throw new Error('forgotten');
        for (const name of difference.removed) held.delete(name);
        for (const { name, version } of difference.changed) held.set(name, version);
        seen = log.generation;
      };
      for (const { name, value, remove, look: now } of steps) {
        log.update(remove ? [] : [entry(name, value)], remove ? [name] : []);
        if (now) look();
      }
      look();
      const expected = Object.fromEntries([...log.entries()].map(({ name, version }) => [name, version]));
      deepEqual(Object.fromEntries(held), expected);
    }),
  );
});

test('a resource that changed ten times is told once, in its newest state', () => {
  const log = new ResourceLog();
  for (let i = 0; i < 10; i++) log.update([entry('a', i)], []);
  deepEqual(
    log.since(0)?.changed.map(({ version }) => version),
    [entry('a', 9).version],
  );
});

test('an update without a difference is no generation', () => {
  const log = new ResourceLog();
  equal(log.update([entry('a', 1)], []), true);
  equal(log.update([entry('a', 1)], ['b']), false);
  equal(log.generation, 1);
});

test('removals beyond the limit are forgotten, and a client older than that is told so', () => {
  const log = new ResourceLog(10);
  for (let i = 0; i < 100; i++) {
    log.update([entry(`n${i}`, 1)], []);
    log.update([], [`n${i}`]);
  }
  equal(log.since(0), undefined);
  deepEqual(log.since(log.generation), { changed: [], removed: [] });
});

test('memory of a name that changes for ever stays small', () => {
  const log = new ResourceLog();
  for (let i = 0; i < 5000; i++) log.update([entry('a', i % 251)], []);
  equal(log.since(0)?.changed.length, 1);
});
