// SPDX-License-Identifier: Apache-2.0
// Ranges are checked before and after every call; nothing outside them is touched.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from '#lib/testkit/properties.ts';
import { Arena } from './arena.ts';
import { close, read, recv, send, write } from './calls.ts';
import { IoVector } from './iovec.ts';
import { pipe, receiveMessage, sendMessage, streamPair } from './message.ts';
import { createMemory } from './process.ts';

const SIZE = 4096;
const RED = 0xa5;
const wild = fc.oneof(
  fc.integer({ min: -8, max: SIZE + 8 }),
  fc.integer(),
  fc.constantFrom(-1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, Number.MAX_SAFE_INTEGER, Number.NaN, Infinity),
);

/** Runs a call with a range; the arena must be unchanged outside it, and an impossible range must be refused. */
function attack(name: string, call: (arena: Arena, offset: number, length: number) => number): void {
  const arena = Arena.allocate(SIZE);
  fc.assert(
    fc.property(wild, wild, (offset, length) => {
      arena.bytes.fill(RED);
      const valid = offset >= 0 && length >= 0 && offset + length <= SIZE;
      if (!valid) {
        assert.throws(() => call(arena, offset, length), { code: 'ARENA_RANGE' }, `${name}(${offset}, ${length})`);
        assert.ok(arena.bytes.every((byte) => byte === RED));
        return;
      }
      const n = call(arena, offset, length);
      assert.ok(n <= length, `${name} moved ${n} of ${length}`);
      for (let at = 0; at < SIZE; at++) {
        if ((at < offset || at >= offset + length) && arena.bytes[at] !== RED) assert.fail(`${name} touched ${at}`);
      }
    }),
    { numRuns: 400 },
  );
}

test('trap 4: no read, write or message leaves its range, whatever offset and length it is given', () => {
  const [a, b] = streamPair();
  const [reader, writer] = pipe();
  const source = Arena.allocate(SIZE);
  source.bytes.fill(0x11);
  const drain = Arena.allocate(1 << 18);
  const empty = (fd: number) => void read(fd, drain, 0, drain.size);
  attack('read', (arena, offset, length) => {
    send(a, source, 0, SIZE);
    const n = read(b, arena, offset, length);
    empty(b);
    return n;
  });
  attack('recv', (arena, offset, length) => {
    send(a, source, 0, SIZE);
    const n = recv(b, arena, offset, length, 0);
    empty(b);
    return n;
  });
  attack('receiveMessage', (arena, offset, length) => {
    sendMessage(a, source, 0, SIZE);
    const n = receiveMessage(b, arena, offset, length);
    empty(b);
    return n;
  });
  attack('send', (arena, offset, length) => {
    const n = send(a, arena, offset, length);
    empty(b);
    return n;
  });
  attack('write', (arena, offset, length) => {
    const n = write(writer, arena, offset, length);
    empty(reader);
    return n;
  });
  attack('readv', (arena, offset, length) => {
    const vector = ranges;
    vector.clear();
    vector.push(arena, offset, length);
    send(a, source, 0, SIZE);
    const n = vector.read(b);
    empty(b);
    return n;
  });
  for (const fd of [a, b, reader, writer]) close(fd);
});
const ranges = new IoVector(4);

test('trap 4: an arena outlives its ArrayBuffer, also when that is transferred away', () => {
  const arena = Arena.allocate(SIZE);
  const [a, b] = streamPair();
  const view = new Uint8Array(arena.bytes.buffer as ArrayBuffer);
  view[10] = 42;
  const moved = (arena.bytes.buffer as ArrayBuffer).transfer();
  assert.equal(send(a, arena, 10, 1), 1);
  const other = Arena.allocate(16);
  assert.equal(read(b, other, 0, 16), 1);
  assert.equal(other.bytes[0], 42, 'the call used the arena and not foreign memory');
  assert.ok(moved.byteLength === SIZE);
  close(a);
  close(b);
});

test('trap 4: pointers of multiples of the grain are the same objects each time', () => {
  const arena = Arena.allocate(1024, { grain: 16 });
  for (let offset = 0; offset <= 1024; offset++) {
    assert.equal(arena.at(offset), arena.pointer + BigInt(offset));
  }
});

test('strings for the kernel are ended, and may not hide a NUL', () => {
  const arena = Arena.allocate(8);
  assert.equal(arena.writeCString(0, '1234567'), 7);
  assert.equal(arena.bytes[7], 0);
  assert.throws(() => arena.writeCString(0, '12345678'), { code: 'ARENA_RANGE' });
  assert.throws(() => arena.writeCString(0, 'a\0b'), { code: 'ARENA_NUL' });
});

test('two maps of one memory show the same bytes, and its size is fixed', () => {
  const fd = createMemory('ambit-test', 10_000);
  const one = Arena.map(fd, 10_000, { writable: true });
  const two = Arena.map(fd, 10_000, { writable: false });
  one.bytes[9_999] = 7;
  assert.equal(two.bytes[9_999], 7);
  close(fd);
  assert.equal(two.bytes[9_999], 7);
});

test('an arena of no or impossible size is refused', () => {
  for (const size of [0, -1, 2 ** 31, 1.5, Number.NaN]) {
    assert.throws(() => Arena.allocate(size), { code: 'ARENA_RANGE' });
  }
});
