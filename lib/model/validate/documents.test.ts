// SPDX-License-Identifier: Apache-2.0
import { deepEqual, equal, match } from 'node:assert/strict';
import { test } from 'node:test';
import { parseDocuments } from './documents.ts';

test('several documents, lists and empty ones', () => {
  const { objects, problems } = parseDocuments({
    path: 'f',
    text: '# c\n---\na: 1\n---\n---\napiVersion: v1\nkind: List\nitems: [{b: 1}, {c: 1}]\n',
  });
  deepEqual(
    objects.map(({ object, placeOf }) => [placeOf('').line, Object.keys(object)[0]]),
    [
      [3, 'a'],
      [8, 'b'],
      [8, 'c'],
    ],
  );
  deepEqual(problems, []);
});

test('a text that is no YAML or no object is named by its line, and the others still count', () => {
  const { objects, problems } = parseDocuments({ path: 'f', text: 'a: 1\n---\nb: [1\n---\n- x\n---\nc: 1\n' });
  equal(objects.length, 2);
  deepEqual(
    problems.map(({ line }) => line),
    [4, 5],
  );
  match(problems[1]?.message ?? '', /is no object/);
});

test('aliases that would unfold without end are refused', () => {
  const bomb = [
    'a: &a [x,x,x,x,x,x,x,x,x]',
    ...'bcdefgh'.split('').map((name, i) => {
      const before = 'abcdefg'[i];
      return `${name}: &${name} [${Array(9).fill(`*${before}`).join(',')}]`;
    }),
  ].join('\n');
  equal(parseDocuments({ path: 'f', text: bomb }).problems.length, 1);
});
