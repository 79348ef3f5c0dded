// SPDX-License-Identifier: Apache-2.0
import { deepEqual, equal, match } from 'node:assert/strict';
import { test } from 'node:test';
import { parseDocuments } from './documents.ts';

test('several documents, lists and empty ones', () => {
  const { objects, unreadable } = parseDocuments(
    'f',
    '# c\n---\na: 1\n---\n---\napiVersion: v1\nkind: List\nitems: [{b: 1}, {c: 1}]\n',
  );
  deepEqual(
    objects.map(({ line, object }) => [line, Object.keys(object)[0]]),
    [
      [3, 'a'],
      [6, 'b'],
      [6, 'c'],
    ],
  );
  deepEqual(unreadable, []);
});

test('a text that is no YAML or no object is named by its line, and the others still count', () => {
  const { objects, unreadable } = parseDocuments('f', 'a: 1\n---\nb: [1\n---\n- x\n---\nc: 1\n');
  equal(objects.length, 2);
  deepEqual(
    unreadable.map(({ line }) => line),
    [4, 5],
  );
  match(unreadable[1]?.message ?? '', /holds no object/);
});

test('aliases that would unfold without end are refused', () => {
  const bomb = [
    'a: &a [x,x,x,x,x,x,x,x,x]',
    ...'bcdefgh'.split('').map((name, i) => {
      const before = 'abcdefg'[i];
      return `${name}: &${name} [${Array(9).fill(`*${before}`).join(',')}]`;
    }),
  ].join('\n');
  equal(parseDocuments('f', bomb).unreadable.length, 1);
});
