// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from '#lib/testkit/properties.ts';
import { HpackDecoder } from '../h2/hpack/decoder.ts';
import { HpackEncoder } from '../h2/hpack/encoder.ts';
import { FieldCache } from './field-cache.ts';

function fieldOf(cache: FieldCache, name: string, value: string) {
  const line = Buffer.from(`${name}: ${value}`, 'latin1');
  return cache.of(line, 0, name.length, name.length + 2, line.length);
}

test('a field is the same object when it comes again in whatever case of its name, and another otherwise', () => {
  const cache = new FieldCache();
  const first = fieldOf(cache, 'Content-Type', 'text/html');
  assert.equal(first.name, 'content-type');
  assert.equal(fieldOf(cache, 'content-type', 'text/html'), first);
  assert.notEqual(fieldOf(cache, 'content-type', 'text/HTML'), first);
  assert.equal(fieldOf(cache, 'x-long', 'y'.repeat(1000)).value.length, 1000);
});

test('secrets are not kept', () => {
  const cache = new FieldCache();
  for (const name of ['cookie', 'set-cookie', 'authorization'])
    assert.notEqual(fieldOf(cache, name, 'a=b'), fieldOf(cache, name, 'a=b'));
});

test('what encoders know of shared fields changes nothing of what their peers read', () => {
  const name = fc.constantFrom('date', 'server', 'x-own', 'x-other', 'content-length', 'accept-ranges', 'x-request-id');
  const value = fc.oneof(
    fc.constantFrom('', 'a', 'gzip, deflate', 'y'.repeat(100)),
    fc.integer({ min: 0, max: 300 }).map((n) => `value ${n}`),
  );
  const block = fc.record({
    connection: fc.nat({ max: 2 }),
    limit: fc.option(fc.constantFrom(0, 100, 4096)),
    fields: fc.array(fc.tuple(name, value), { maxLength: 20 }),
  });
  fc.assert(
    fc.property(fc.array(block, { maxLength: 40 }), (blocks) => {
      const cache = new FieldCache();
      const connections = [0, 1, 2].map(() => ({ encoder: new HpackEncoder(), decoder: new HpackDecoder() }));
      const buffer = Buffer.alloc(64 * 1024);
      for (const { connection, fields, limit } of blocks) {
        const { decoder, encoder } = connections[connection]!;
        if (limit !== null) {
          decoder.setLimit(limit);
          encoder.setPeerLimit(limit);
        }
        encoder.begin(buffer, 0);
        for (const [n, v] of fields) encoder.append(fieldOf(cache, n, v));
        const read: [string, string][] = [];
        const broken = decoder.decode(buffer, 0, encoder.finish(), { onField: (f) => read.push([f.name, f.value]) });
        assert.equal(broken, '');
        assert.deepEqual(read, fields);
      }
    }),
  );
});
