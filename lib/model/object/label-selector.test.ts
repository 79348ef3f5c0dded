// SPDX-License-Identifier: Apache-2.0

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseLabelSelector, selectorMatches } from './label-selector.ts';

const LABELS = { app: 'cart', tier: 'front' };

const CASES: readonly [object, boolean][] = [
  [{}, true],
  [{ matchLabels: { app: 'cart' } }, true],
  [{ matchLabels: { app: 'cart', tier: 'back' } }, false],
  [{ matchExpressions: [{ key: 'app', operator: 'In', values: ['cart', 'web'] }] }, true],
  [{ matchExpressions: [{ key: 'gone', operator: 'In', values: ['cart'] }] }, false],
  [{ matchExpressions: [{ key: 'app', operator: 'NotIn', values: ['cart'] }] }, false],
  [{ matchExpressions: [{ key: 'gone', operator: 'NotIn', values: ['cart'] }] }, true],
  [{ matchExpressions: [{ key: 'app', operator: 'Exists' }] }, true],
  [{ matchExpressions: [{ key: 'app', operator: 'DoesNotExist' }] }, false],
  [{ matchLabels: { app: 'cart' }, matchExpressions: [{ key: 'gone', operator: 'Exists' }] }, false],
];

test('pairs and expressions must all hold', () => {
  for (const [text, wanted] of CASES) {
    const selector = parseLabelSelector(text, 'selector');
    assert.equal(selector.ok && selectorMatches(selector.value, LABELS), wanted, JSON.stringify(text));
  }
});

test('a selector that is not understood is a problem, never one that selects', () => {
  for (const text of [
    null,
    [],
    'app=cart',
    { matchFields: {} },
    { matchLabels: { app: 1 } },
    { matchExpressions: {} },
    { matchExpressions: [{ operator: 'Exists' }] },
    { matchExpressions: [{ key: 'a', operator: 'Near' }] },
    { matchExpressions: [{ key: 'a', operator: 'In' }] },
    { matchExpressions: [{ key: 'a', operator: 'Exists', values: ['b'] }] },
  ]) {
    assert.equal(parseLabelSelector(text, 'selector').ok, false, JSON.stringify(text));
  }
});
