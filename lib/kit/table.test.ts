// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { own, table } from './table.ts';

const INHERITED = ['constructor', 'toString', 'hasOwnProperty', '__proto__'];

test('a table knows the names it was made with and no others', () => {
  const made = table({ http: 1 });
  assert.equal(made['http'], 1);
  for (const name of INHERITED) assert.equal(made[name], undefined, name);
});

test('a map from outside is asked for what it holds itself, whatever the name', () => {
  assert.equal(own(undefined, 'app'), undefined);
  assert.equal(own({ app: 'cart' }, 'app'), 'cart');
  for (const name of INHERITED) {
    assert.equal(own({}, name), undefined, name);
    assert.equal(own(JSON.parse(`{"${name}": "x"}`) as Record<string, string>, name), 'x', name);
  }
});
