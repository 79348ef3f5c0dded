// SPDX-License-Identifier: Apache-2.0
import { deepStrictEqual, ok } from 'node:assert/strict';
import { test } from 'node:test';
import fc from '#lib/testkit/properties.ts';
import { textOf } from './text-of.ts';

test('a value from outside is named whatever it is, its own toString never called', () => {
  const ring: unknown[] = [];
  ring.push(ring);
  const values = ['a', 1, null, undefined, { toString: '' }, { toJSON: 1 }, Object.create(null), ring, 10n];
  deepStrictEqual(values.map(textOf), [
    'a',
    '1',
    'null',
    'undefined',
    '{"toString":""}',
    '{"toJSON":1}',
    '{}',
    'object',
    'bigint',
  ]);
  fc.assert(
    fc.property(fc.anything({ withNullPrototype: true, withBigInt: true }), (value) => ok(textOf(value).length <= 80)),
  );
});
