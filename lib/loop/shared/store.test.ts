// SPDX-License-Identifier: Apache-2.0
// The mesh store against a Map, with readers in other processes, and in slices.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { close } from '#lib/linux/calls.ts';
import { readOnlyDescriptor } from '#lib/linux/process.ts';
import fc from '#lib/testkit/properties.ts';
import { FOUND, MISSING, SAME, StoreReader } from './store-reader.ts';
import { feedStore, StoreWriter } from './store-writer.ts';

const SIZE = { maxRecords: 200, dataBytes: 1 << 20 };

function lookUp(reader: StoreReader, key: string): string | undefined {
  return reader.read(key)?.toString();
}

test('any sequence of puts and deletes reads as a Map would', () => {
  const change = fc.record({
    key: fc.nat(60),
    value: fc.option(fc.string({ maxLength: 200 }), { nil: undefined }),
    wait: fc.nat(3000),
  });
  fc.assert(
    fc.property(fc.array(change, { maxLength: 300 }), (changes) => {
      let now = 0;
      const writer = new StoreWriter(SIZE, () => now);
      const reader = StoreReader.open(writer.fd);
      const model = new Map<string, string>();
      for (const { key, value, wait } of changes) {
        now += wait;
        const name = `key-${key}`;
        if (value === undefined) assert.equal(writer.delete(name), model.delete(name));
        else {
          writer.put(name, Buffer.from(value));
          model.set(name, value);
        }
      }
      writer.commit();
      for (let key = 0; key <= 60; key++) assert.equal(lookUp(reader, `key-${key}`), model.get(`key-${key}`));
      const seen = new Map<string, string>();
      for (const [key, value] of reader.entries()) seen.set(key, value.toString());
      assert.deepEqual(new Map([...seen].sort()), new Map([...model].sort()));
      assert.equal(reader.records, model.size);
      close(writer.fd);
    }),
    { numRuns: 60 },
  );
});

test('a reader that holds a decoded value learns cheaply that it still holds', () => {
  const writer = new StoreWriter(SIZE);
  const reader = StoreReader.open(writer.fd);
  const key = Buffer.from('net/10.0.0.1');
  assert.equal(reader.get(key, key.length), MISSING);
  writer.put('net/10.0.0.1', Buffer.from('one'));
  assert.equal(reader.get(key, key.length), FOUND);
  const known = reader.recordVersion;
  writer.put('other', Buffer.from('x'));
  assert.equal(reader.get(key, key.length, known), SAME);
  writer.put('net/10.0.0.1', Buffer.from('two'));
  assert.equal(reader.get(key, key.length, known), FOUND);
  assert.equal(reader.value.toString('utf8', 0, reader.valueLength), 'two');
  const two = reader.recordVersion;
  const used = writer.usedBytes;
  writer.put('net/10.0.0.1', Buffer.from('two'));
  assert.equal(reader.get(key, key.length, two), SAME, 'the same value is the same record');
  assert.equal(writer.usedBytes, used);
  writer.put('net/10.0.0.1', Buffer.from('two'), true);
  assert.equal(reader.get(key, key.length, two), FOUND, 'unless it stands for others that changed');
  const version = reader.version;
  writer.commit();
  assert.notEqual(reader.version, version);
});

test('a full store refuses by name and keeps what it has', () => {
  const writer = new StoreWriter({ maxRecords: 3, dataBytes: 4096 });
  const reader = StoreReader.open(writer.fd);
  for (const key of ['a', 'b', 'c']) writer.put(key, Buffer.from(key));
  assert.throws(() => writer.put('d', Buffer.from('d')), { code: 'STORE_FULL' });
  assert.throws(() => writer.put('a', Buffer.alloc(100_000)), { code: 'STORE_FULL' });
  assert.equal(lookUp(reader, 'a'), 'a');
  assert.throws(() => writer.put('', Buffer.from('x')), { code: 'STORE_KEY' });
});

test('freed room is used again, but not before it has rested', () => {
  let now = 0;
  const writer = new StoreWriter(SIZE, () => now);
  for (let n = 0; n < 100; n++) writer.put('key', Buffer.alloc(500, n));
  const grown = writer.usedBytes;
  assert.ok(grown > 50_000, 'nothing was used again at once');
  now = 2001;
  for (let n = 0; n < 90; n++) writer.put('key', Buffer.alloc(500, n));
  assert.equal(writer.usedBytes, grown);
});

test('an index of many keys holds them all, and takes a deleted one out of any of its tables', () => {
  const writer = new StoreWriter({ maxRecords: 10_000, dataBytes: 4 << 20 });
  const reader = StoreReader.open(writer.fd);
  for (let n = 0; n < 10_000; n++) writer.put(`key-${n}`, Buffer.from(String(n)));
  for (let n = 0; n < 10_000; n += 3) assert.ok(writer.delete(`key-${n}`));
  for (let n = 0; n < 10_000; n++) assert.equal(lookUp(reader, `key-${n}`), n % 3 === 0 ? undefined : String(n));
  assert.equal([...reader.entries('key-')].length, reader.records);
  close(writer.fd);
});

test('keys that come and go take no more of the index than there are at a time', () => {
  const writer = new StoreWriter({ maxRecords: 100_000, dataBytes: 1 << 20 });
  for (let n = 0; n < 5000; n++) {
    writer.put(`pod-${n}`, Buffer.from('x'));
    if (n >= 20) assert.ok(writer.delete(`pod-${n - 20}`));
  }
  const { index } = writer.parts;
  const last = index.findLastIndex((word) => word !== 0);
  assert.ok(last >= 0 && last * 4 < 4096, `bytes up to ${last * 4} were written`);
  close(writer.fd);
});

test('trap 18: many changes are made in slices of the budget, with other work in between', async () => {
  const writer = new StoreWriter({ maxRecords: 30_000, dataBytes: 32 << 20 });
  // Processor time, not the clock's: the bound is about work, and other programs may be running.
  let slice = process.threadCpuUsage();
  const lengths: number[] = [];
  const changes = Array.from({ length: 20_000 }, (_, n) => ({ key: `uid/${n}`, value: Buffer.alloc(300, n) }));
  await feedStore(writer, changes, {
    budgetMs: 5,
    pause: () =>
      new Promise((resolve) => {
        const { user, system } = process.threadCpuUsage(slice);
        lengths.push((user + system) / 1000);
        setImmediate(() => {
          slice = process.threadCpuUsage();
          resolve();
        });
      }),
  });
  assert.equal(writer.records, 20_000);
  assert.ok(lengths.length >= 1, 'it was all one slice');
  const median = lengths.sort((a, b) => a - b)[lengths.length >> 1]!;
  assert.ok(median < 10, `the median slice took ${median} ms of processor time`);
});

test('trap 18: readers in other processes see whole values and no gaps while the store churns', async () => {
  const writer = new StoreWriter({ maxRecords: 200_000, dataBytes: 64 << 20 });
  // Keys that always exist, neighbours that come and go, so that index entries move under the readers, and ever more of them, so that the
  // index grows.
  for (let n = 0; n < 500; n++) writer.put(`stays/${n}`, Buffer.alloc(100 + n, n));
  const readOnly = readOnlyDescriptor(writer.fd);
  const script = fileURLToPath(new URL('../testdata/store-reader.ts', import.meta.url));
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', script], {
    stdio: ['ignore', 'pipe', 'inherit', readOnly],
  });
  close(readOnly);
  const exit = once(child, 'exit');
  let report = '';
  child.stdout!.on('data', (chunk) => (report += chunk));
  let round = 0;
  while (child.exitCode === null && child.signalCode === null) {
    for (let n = 0; n < 300; n++) {
      const key = `comes/${(round * 7 + n) % 1000}`;
      if (!writer.delete(key)) writer.put(key, Buffer.from(key.repeat(3)));
      if (n % 10 === 0) writer.put(`stays/${n}`, Buffer.alloc(100 + n, n));
    }
    for (let n = 0; n < 100 && writer.records < 150_000; n++) writer.put(`more/${round}/${n}`, Buffer.from('more'));
    writer.commit();
    round++;
    // Freed room rests for 2 s: however fast the machine, no more than 20 MB of it gather in that time.
    await delay(4);
  }
  const [code] = await exit;
  assert.equal(code, 0, report);
  const { lookups, longestMs, versions } = JSON.parse(report) as Record<string, number>;
  assert.ok(lookups! > 10_000 && versions! > 5, report);
  // No look-up goes in circles; one may have waited for the processor.
  assert.ok(longestMs! < 30_000, report);
});
