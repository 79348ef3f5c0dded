// SPDX-License-Identifier: Apache-2.0
// Shared memory from both sides: within a process through two maps, and with writers that are killed.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Counters } from './counters.ts';
import { LINE_KINDS, type LineKind, LogConsumer, LogProducer } from './log-ring.ts';
import { formatEvents, Recorder } from './recorder.ts';
import { createRegion, openRegion } from './region.ts';
import { Vitals } from './vitals.ts';

test('a counter region is seen by its reader, and is not taken for another kind', () => {
  const writer = Counters.create(100);
  const reader = Counters.open(writer.fd, { writable: false });
  const slot = writer.allocate();
  writer.add(slot, 3);
  writer.add(slot, 2 ** 40);
  assert.equal(reader.get(slot), 2 ** 40 + 3);
  assert.equal(writer.allocate(), slot + 1);
  assert.throws(() => Vitals.open(writer.fd, { writable: false }), { code: 'REGION_KIND' });
  while (writer.allocate() >= 0);
  assert.equal(writer.allocate(), -1);
});

test('counters that were given back are taken again from 0, runs by their length', () => {
  const counters = Counters.create(6);
  const pair = counters.allocateRun(2);
  const one = counters.allocate();
  counters.add(pair + 1, 7);
  counters.add(one, 1);
  counters.release(pair, 2);
  counters.release(one, 1);
  assert.equal(counters.allocateRun(2), pair);
  assert.deepEqual([counters.get(pair), counters.get(pair + 1)], [0, 0]);
  assert.equal(counters.allocate(), one);
  for (let n = 0; n < 1000; n++) counters.release(counters.allocateRun(3), 3);
  assert.equal(counters.allocateRun(3), 3);
  assert.equal(counters.allocate(), -1);
});

test('a descriptor that is no region is refused', () => {
  const region = createRegion('log', 4096);
  region.arena.view.setUint32(8, 99, true);
  assert.throws(() => openRegion('log', region.fd, { writable: true }), { code: 'REGION_KIND' });
});

test('the recorder keeps the last events, oldest first', () => {
  const writer = Recorder.create(16);
  const reader = Recorder.open(writer.fd, { writable: false });
  for (let n = 1; n <= 40; n++) writer.note(n, 16, n, -n);
  assert.deepEqual(
    reader.last(3).map(({ a, b }) => [a, b]),
    [
      [38, -38],
      [39, -39],
      [40, -40],
    ],
  );
  assert.equal(reader.last(100).length, 16);
  assert.equal(formatEvents(reader.last(1), { 16: 'accept' }), 'accept(40,-40,0)');
});

test('lines arrive in order through a ring that wraps many times', () => {
  const consumer = LogConsumer.create(4096);
  const producer = LogProducer.open(consumer.fd);
  const got: string[] = [];
  const take = (_kind: LineKind, line: Buffer) => void got.push(line.toString());
  for (let n = 0; n < 2000; n++) {
    assert.ok(producer.write(LINE_KINDS.access, `${n} ${'é'.repeat(n % 97)}`));
    if (n % 3 === 0) consumer.drain(take);
  }
  consumer.drain(take);
  assert.equal(got.length, 2000);
  for (const [n, line] of got.entries()) assert.equal(line, `${n} ${'é'.repeat(n % 97)}`);
  assert.equal(consumer.broken, 0);
});

test('trap 25: a flood of access lines is dropped and counted, and leaves room for deny lines', () => {
  const consumer = LogConsumer.create(8192);
  const producer = LogProducer.open(consumer.fd);
  let kept = 0;
  for (let n = 0; n < 1000; n++) if (producer.write(LINE_KINDS.access, `access ${n} ${'x'.repeat(50)}`)) kept++;
  assert.ok(kept > 50 && kept < 1000);
  assert.equal(consumer.droppedAccess, 1000 - kept);
  for (let n = 0; n < 8; n++) assert.ok(producer.write(LINE_KINDS.deny, `deny ${n}`));
  assert.equal(consumer.droppedDeny, 0);
  const got: string[] = [];
  consumer.drain((_kind, line) => void got.push(line.toString()));
  assert.equal(got.length, kept + 8);
  assert.equal(got.at(-1), 'deny 7');
});

test('a line over the limit is cut, and one of raw bytes passes', () => {
  const consumer = LogConsumer.create(1 << 16);
  const producer = LogProducer.open(consumer.fd);
  producer.write(LINE_KINDS.message, 'y'.repeat(20_000));
  producer.writeBytes(LINE_KINDS.message, Buffer.from('raw bytes'), 3);
  producer.write(LINE_KINDS.message, '');
  const got: string[] = [];
  consumer.drain((_kind, line) => void got.push(line.toString()));
  assert.deepEqual([got[0]!.length, got[1], got[2]], [8192, 'raw', '']);
});

test('trap 25: a ring that a stray write broke is emptied and counted, and works again', () => {
  const consumer = LogConsumer.create(4096);
  const producer = LogProducer.open(consumer.fd);
  producer.write(LINE_KINDS.access, 'one');
  const { arena } = openRegion('log', consumer.fd, { writable: true });
  arena.view.setInt32(64, 123_456, true);
  const got: string[] = [];
  const take = (_kind: LineKind, line: Buffer) => void got.push(line.toString());
  consumer.drain(take);
  assert.deepEqual([got, consumer.broken], [[], 1]);
  producer.write(LINE_KINDS.access, 'two');
  consumer.drain(take);
  assert.deepEqual(got, ['two']);
});

test('trap 25: a writer killed at any point leaves only whole lines in sequence', async () => {
  const script = fileURLToPath(new URL('../testdata/log-writer.ts', import.meta.url));
  for (let round = 0; round < 8; round++) {
    const consumer = LogConsumer.create(1 << 14);
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', script], {
      stdio: ['ignore', 'ignore', 'inherit', consumer.fd],
    });
    const exit = once(child, 'exit');
    const lines: string[] = [];
    const take = (_kind: LineKind, line: Buffer) => void lines.push(line.toString());
    const deadline = Date.now() + 60_000;
    // Kill after a different number of lines each time, while the writer is in full flow.
    while (lines.length < 50 + round * 997 && Date.now() < deadline) {
      if (consumer.drain(take) === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    child.kill('SIGKILL');
    await exit;
    consumer.drain(take, Number.MAX_SAFE_INTEGER);
    assert.ok(lines.length >= 50, 'the writer wrote');
    assert.equal(consumer.broken, 0);
    let last = -1;
    for (const line of lines) {
      const match = /^(\d+) (z*)$/.exec(line);
      assert.ok(match, `a torn line: ${line.slice(0, 80)}`);
      const number = Number(match[1]);
      assert.equal(match[2]!.length, number % 211);
      assert.ok(number > last, 'in order');
      last = number;
    }
  }
});
