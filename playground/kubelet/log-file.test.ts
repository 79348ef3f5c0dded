// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { LogFile, parseCri, readLog, showLine } from './log-file.ts';
import { readPodLog } from './server/log-reader.ts';

let dir: string;
let now = Date.parse('2026-01-01T00:00:00Z');
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'ambit-log-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const open = (): LogFile => new LogFile(join(dir, '0.log'), () => now);
const text = (query = ''): string[] =>
  readPodLog(join(dir, '0.log'), new URLSearchParams(query), now).map((line) => line.text);

test('chunks become lines, and what has no newline is kept as it is', () => {
  const log = open();
  log.write('stdout', Buffer.from('one\ntw'));
  log.write('stderr', Buffer.from('err\n'));
  log.write('stdout', Buffer.from('o\nrest'));
  log.close();
  assert.deepEqual(text(), ['one\n', 'err\n', 'two\n', 'rest']);
});

test('the end, the beginning and the size of a log can be asked for', () => {
  const log = open();
  log.write('stdout', Buffer.from('1\n2\n'));
  now += 60_000;
  log.write('stdout', Buffer.from('3\n'));
  log.close();
  assert.deepEqual(text('tailLines=2'), ['2\n', '3\n']);
  assert.deepEqual(text('tailLines=0'), []);
  assert.deepEqual(text('sinceSeconds=30'), ['3\n']);
  assert.deepEqual(text('limitBytes=4'), ['1\n', '2\n']);
  assert.match(showLine(readLog(join(dir, '0.log'))[0]!, true), /^2026-01-01T00:00:00\.000Z 1\n$/);
});

test('a follower gets every later line and the end, one who taps gets the bytes as they come', () => {
  const log = open();
  const lines: (string | undefined)[] = [];
  const chunks: string[] = [];
  log.follow((line) => lines.push(line?.text));
  log.tap((_stream, chunk) => chunks.push(chunk.toString()));
  log.write('stdout', Buffer.from('a'));
  log.write('stdout', Buffer.from('b\n'));
  log.close();
  assert.deepEqual(lines, ['ab\n', undefined]);
  assert.deepEqual(chunks, ['a', 'b\n']);
});

test('a log that grows too large is rotated once, and read as one', () => {
  const log = open();
  const line = Buffer.from(`${'x'.repeat(1000)}\n`);
  for (let i = 0; i < 9000; i++) log.write('stdout', line);
  log.write('stdout', Buffer.from('last\n'));
  log.close();
  assert.ok(existsSync(join(dir, '0.log.1')));
  assert.equal(text('tailLines=1')[0], 'last\n');
  assert.equal(text().length, 9001);
});

test('a line that is no log line is left out', () => {
  assert.equal(parseCri('nonsense'), undefined);
  assert.equal(parseCri('t stdout F text')?.text, 'text\n');
});
