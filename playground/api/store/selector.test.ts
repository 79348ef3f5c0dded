// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Labels, matchFields, matchLabelSelector, parseFieldSelector, parseLabelSelector } from './selector.ts';

const matches = (text: string, labels: Labels | undefined): boolean => {
  const parsed = parseLabelSelector(text);
  assert.ok(parsed.ok, text);
  return parsed.value(labels);
};

test('label selectors know equality, sets, presence and absence', () => {
  const labels = { a: '1', 'example.com/b': 'x' };
  for (const text of [
    '',
    'a=1',
    'a==1',
    'a!=2',
    'c!=2',
    'a',
    '!c',
    'a in (1, 2)',
    'a notin (2)',
    'c notin (2)',
    'a=1,example.com/b in (x,y),!c',
  ])
    assert.equal(matches(text, labels), true, text);
  for (const text of ['a=2', 'c', '!a', 'a in (2)', 'a notin (1,2)', 'a=1,c=1', 'c in (1)'])
    assert.equal(matches(text, labels), false, text);
  assert.equal(matches('a', undefined), false);
  assert.equal(parseLabelSelector('a=(').ok && parseLabelSelector('=x').ok, false);
});

test('selector objects require all of their expressions, and an empty one matches everything', () => {
  const selector = { matchLabels: { a: '1' }, matchExpressions: [{ key: 'b', operator: 'DoesNotExist' }] };
  assert.equal(matchLabelSelector(selector)({ a: '1' }), true);
  assert.equal(matchLabelSelector(selector)({ a: '1', b: '' }), false);
  assert.equal(matchLabelSelector({})(undefined), true);
  assert.equal(matchLabelSelector(undefined)({ a: '1' }), false);
});

test('field selectors compare text, and may be negated', () => {
  const terms = parseFieldSelector('metadata.name=a,status.phase!=Running');
  assert.ok(terms.ok);
  assert.equal(
    matchFields(terms.value, (path) => (path === 'metadata.name' ? 'a' : 'Pending')),
    true,
  );
  assert.equal(
    matchFields(terms.value, (path) => (path === 'metadata.name' ? 'a' : 'Running')),
    false,
  );
  assert.equal(parseFieldSelector('nonsense').ok, false);
});
