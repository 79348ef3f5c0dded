// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { commandLine, findImage, type ImageEntry } from './images.ts';

const map: ImageEntry[] = [
  { image: 'busybox', entrypoint: [], cmd: ['sh'] },
  { image: 'ambit/istiod', entrypoint: ['/p/bin/istiod'], commands: ['pilot-discovery'] },
  { image: 'example.org/*/echo:*', entrypoint: ['echo'] },
  { image: 'example.org/special/echo:*', entrypoint: ['special'] },
];
const found = (image: string): readonly string[] | undefined => findImage(map, image)?.entrypoint;

test('a pattern without a tag matches every tag and digest, and no longer name', () => {
  assert.deepEqual(found('busybox'), []);
  assert.deepEqual(found('busybox:1.36'), []);
  assert.deepEqual(found('busybox@sha256:abc'), []);
  assert.equal(found('busybox/other'), undefined);
  assert.equal(found('notbusybox'), undefined);
});

test('the most exact pattern wins', () => {
  assert.deepEqual(found('example.org/a/echo:v1'), ['echo']);
  assert.deepEqual(found('example.org/special/echo:v1'), ['special']);
});

test('command and args replace what the image has, as Kubernetes defines it', () => {
  const entry: ImageEntry = { image: 'x', entrypoint: ['entry'], cmd: ['default'] };
  assert.deepEqual(commandLine(entry, [], []), ['entry', 'default']);
  assert.deepEqual(commandLine(entry, [], ['a']), ['entry', 'a']);
  assert.deepEqual(commandLine(entry, ['c'], []), ['c']);
  assert.deepEqual(commandLine(entry, ['c'], ['a']), ['c', 'a']);
});

test('a command that means the entry point of the real image runs the local one', () => {
  assert.deepEqual(commandLine(map[1]!, ['/usr/local/bin/pilot-discovery', 'discovery'], ['-v']), [
    '/p/bin/istiod',
    'discovery',
    '-v',
  ]);
});

test('nothing to run is an error that names the image', () => {
  assert.throws(() => commandLine({ image: 'empty', entrypoint: [] }, [], []), /image empty has no entry point/);
});
