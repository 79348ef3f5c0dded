// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { publishFiles, type VolumeFile } from './files.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'ambit-files-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const file = (path: string, text: string, mode = 0o644): VolumeFile => ({ path, data: Buffer.from(text), mode });

test('a volume is switched to its new version in one step', () => {
  assert.equal(publishFiles(dir, [file('a', '1'), file('sub/b', '2', 0o400)]), true);
  const before = readlinkSync(join(dir, '..data'));
  assert.equal(readFileSync(join(dir, 'sub/b'), 'utf8'), '2');
  assert.equal(statSync(join(dir, 'sub/b')).mode & 0o777, 0o400);
  assert.equal(publishFiles(dir, [file('a', 'one'), file('c', '3')]), true);
  assert.notEqual(readlinkSync(join(dir, '..data')), before);
  assert.equal(readFileSync(join(dir, 'a'), 'utf8'), 'one');
  assert.deepEqual(
    readdirSync(dir).filter((name) => !name.startsWith('..')),
    ['a', 'c'],
  );
  assert.equal(existsSync(join(dir, before)), false);
});

test('the same content changes nothing, so that nobody who watches wakes up', () => {
  publishFiles(dir, [file('a', '1')]);
  const before = readlinkSync(join(dir, '..data'));
  assert.equal(publishFiles(dir, [file('a', '1')]), false);
  assert.equal(readlinkSync(join(dir, '..data')), before);
  assert.equal(publishFiles(dir, [file('a', '1', 0o600)]), true);
});

test('a path that leaves the volume is refused', () => {
  for (const path of ['../a', '/a', 'x/../../a', '']) {
    assert.throws(() => publishFiles(dir, [file(path, '1')]), /leaves its volume/);
  }
});
