// SPDX-License-Identifier: Apache-2.0

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from '#lib/testkit/properties.ts';
import { normalisePath } from './path-normalise.ts';
import type { PathNormalisation } from './waypoint.ts';

const CASES: readonly (readonly [string, string | undefined, string | undefined, string | undefined])[] = [
  // path, base, merge-slashes, decode-and-merge-slashes
  ['/', '/', '/', '/'],
  ['/a/b?x=../y', '/a/b?x=../y', '/a/b?x=../y', '/a/b?x=../y'],
  ['/a/./b', '/a/b', '/a/b', '/a/b'],
  ['/a/../b', '/b', '/b', '/b'],
  ['/../../b', '/b', '/b', '/b'],
  ['/a/b/..', '/a/', '/a/', '/a/'],
  ['/a/.', '/a/', '/a/', '/a/'],
  ['/a/%2e%2E/b', '/b', '/b', '/b'],
  ['/a\\b', '/a/b', '/a/b', '/a/b'],
  ['/a\\..\\b', '/b', '/b', '/b'],
  ['/a//b', '/a//b', '/a/b', '/a/b'],
  ['//a', '//a', '/a', '/a'],
  ['/a//../b', '/a/b', '/b', '/b'],
  ['/a%2fb', '/a%2fb', '/a%2fb', '/a/b'],
  ['/a/x%2F..%2fb', '/a/x%2F..%2fb', '/a/x%2F..%2fb', '/a/b'],
  ['/a%5c%5Cb', '/a%5c%5Cb', '/a%5c%5Cb', '/a/b'],
  ['/.hidden/..x', '/.hidden/..x', '/.hidden/..x', '/.hidden/..x'],
  ['/a%20b', '/a%20b', '/a%20b', '/a%20b'],
  ['*', '*', '*', '*'],
  ['a', undefined, undefined, undefined],
  ['', undefined, undefined, undefined],
  ['/a#b', undefined, undefined, undefined],
  ['/a%00', undefined, undefined, undefined],
];

test('paths are read in one way, by setting in more of their spellings', () => {
  for (const [path, base, merged, decoded] of CASES) {
    assert.equal(normalisePath(path, 'base'), base, path);
    assert.equal(normalisePath(path, 'merge-slashes'), merged, path);
    assert.equal(normalisePath(path, 'decode-and-merge-slashes'), decoded, path);
  }
  assert.equal(normalisePath('/a/../b', 'none'), '/a/../b');
});

test('what is normalised stays as it is, has no dots left, and no way above the root', () => {
  const part = fc.constantFrom('/', '.', '..', '%2e', '%2F', '\\', 'a', '//', '%5c', '?', '%');
  const how = fc.constantFrom<PathNormalisation>('base', 'merge-slashes', 'decode-and-merge-slashes');
  fc.assert(
    fc.property(fc.array(part, { maxLength: 12 }), how, (parts, setting) => {
      const once = normalisePath(`/${parts.join('')}`, setting);
      if (once === undefined) return;
      const [path = ''] = once.split('?');
      assert.ok(path.startsWith('/'));
      assert.ok(!path.split('/').some((element) => element === '.' || element === '..'));
      assert.ok(!path.includes('\\'));
      if (setting !== 'base') assert.ok(!path.includes('//'), once);
      if (setting === 'decode-and-merge-slashes') assert.doesNotMatch(path, /%2f|%5c/i);
      assert.equal(normalisePath(once, setting), once);
    }),
  );
});
