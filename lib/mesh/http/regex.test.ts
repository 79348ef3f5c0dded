// SPDX-License-Identifier: Apache-2.0

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { boundBacktracking, literalPrefix, replacingRegex, wholeRegex } from './regex.ts';

function whole(source: string): RegExp {
  const regex = wholeRegex(source);
  assert.ok(typeof regex !== 'string', `${source} ${String(regex)}`);
  return regex;
}

test("RE2's syntax means here what it means there", () => {
  const cases: readonly (readonly [string, string, boolean])[] = [
    ['a|b', 'ab', false],
    ['(?i)abc', 'ABC', true],
    ['(?i:a)b', 'Ab', true],
    ['(?i:a)b', 'AB', false],
    ['(?P<year>\\d{4})', '2026', true],
    ['(?<year>\\d{4})', '2026', true],
    ['\\Qa.b*\\E+', 'a.b**', true],
    ['\\Qa.b\\E', 'axb', false],
    ['\\Aab\\z', 'ab', true],
    ['[[:alpha:]_]+', 'ab_', true],
    ['[^[:digit:]]+', 'ab1', false],
    ['[]a]+', ']a', true],
    ['[a\\]b]+', ']', true],
    ['/v[0-9]+/(items|things)', '/v1/items', true],
    ['.*', 'a\nb', false],
    ['(?s).*', 'a\nb', true],
  ];
  for (const [source, text, wanted] of cases) assert.equal(whole(source).test(text), wanted, `${source} on ${text}`);
});

test('what RE2 refuses is refused, with what is wrong', () => {
  const cases: readonly (readonly [string, RegExp])[] = [
    ['(?=a)', /look-around/],
    ['(?<!a)b', /look-around/],
    ['(a)\\1', /back-reference/],
    ['(', /no regular expression/],
    ['a**', /no regular expression/],
    ['[a', /without end/],
    ['a\\', /backslash/],
    ['a(?i)b', /in the middle/],
    ['\\pL', /\\p/],
  ];
  for (const [source, message] of cases) assert.match(String(wholeRegex(source)), message, source);
  assert.equal(typeof replacingRegex('a+'), 'object');
});

test('a path made to backtrack costs no more than its length', () => {
  boundBacktracking();
  const regex = whole('(a+)+(b+)+c');
  const began = performance.now();
  assert.equal(regex.test(`${'a'.repeat(200)}${'b'.repeat(200)}`), false);
  // Backtracking would take longer than the universe has lasted.
  assert.ok(performance.now() - began < 5000);
});

test('what every match begins with is found, and never more', () => {
  const cases: readonly (readonly [string, string])[] = [
    ['/api/v[0-9]+', '/api/v'],
    ['/apis?/x', '/api'],
    ['/a|/b', ''],
    ['(?i)/a', ''],
    ['/a{0,1}', '/'],
    ['/ab+', '/ab'],
    ['/plain', '/plain'],
    ['.*', ''],
  ];
  for (const [source, wanted] of cases) assert.equal(literalPrefix(source), wanted, source);
});
