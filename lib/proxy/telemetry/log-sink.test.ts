// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { LogSink } from './log-sink.ts';

function sink(): { out: string[]; room: { bytes: number }; log: LogSink } {
  const out: string[] = [];
  const room = { bytes: Number.POSITIVE_INFINITY };
  const log = new LogSink((bytes) => {
    const taken = Math.min(bytes.length, room.bytes);
    if (taken > 0) out.push(bytes.toString('utf8', 0, taken));
    return taken;
  });
  return { out, room, log };
}

test('lines of one moment are one write', async () => {
  const { out, log } = sink();
  for (const text of ['one\n', 'two ü\n', 'three\n']) log.line(Buffer.from(text));
  assert.deepEqual(out, []);
  await setImmediate();
  assert.deepEqual(out, ['one\ntwo ü\nthree\n']);
});

test('what is not taken waits for the next line, in order, and too much of it is dropped and counted', () => {
  const { out, room, log } = sink();
  room.bytes = 3;
  log.line(Buffer.from('first\n'));
  log.flush();
  assert.deepEqual(out.splice(0), ['fir']);
  room.bytes = 0;
  const line = Buffer.alloc(1024, 'x');
  for (let n = 0; n < 5000; n++) log.line(line);
  assert.equal(log.dropped, 5000 - Math.floor(((4 << 20) - 'st\n'.length) / 1024));
  room.bytes = Number.POSITIVE_INFINITY;
  log.flush();
  const text = out.join('');
  assert.ok(text.startsWith('st\nxxx'));
  assert.equal(text.length, 'st\n'.length + 1024 * (5000 - log.dropped));
  log.line(Buffer.from('last\n'));
  log.flush();
  assert.equal(out.at(-1), 'last\n');
});
