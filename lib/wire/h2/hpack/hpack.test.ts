// SPDX-License-Identifier: Apache-2.0
// HPACK against the examples of RFC 7541 appendix C, against itself, and against what breaks a compression state.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from '#lib/testkit/properties.ts';
import { HpackDecoder } from './decoder.ts';
import { HpackEncoder } from './encoder.ts';
import { HeaderField } from './field.ts';
import { STATIC_LENGTH } from './static-table.ts';

type Pair = readonly [name: string, value: string];

class Collector {
  fields: HeaderField[] = [];
  onField(field: HeaderField): void {
    this.fields.push(field);
  }
}

function decode(decoder: HpackDecoder, block: Buffer): { error: string; pairs: Pair[]; fields: HeaderField[] } {
  const collector = new Collector();
  const error = decoder.decode(block, 0, block.length, collector);
  return { error, pairs: collector.fields.map(({ name, value }) => [name, value]), fields: collector.fields };
}

function encode(encoder: HpackEncoder, fields: readonly HeaderField[]): Buffer {
  const buffer = Buffer.alloc(fields.reduce((sum, f) => sum + HpackEncoder.bound(f.name, f.value), 20));
  encoder.begin(buffer, 0);
  for (const field of fields) encoder.field(field.name, field.value, field.sensitive);
  return buffer.subarray(0, encoder.finish());
}

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');
const bad = (block: string): string => decode(new HpackDecoder(), hex(block)).error;

// Requests and responses of appendix C: C.3 plain and C.4 Huffman, C.5 plain and C.6 Huffman with a table of 256.
const REQUESTS: readonly (readonly [plain: string, coded: string, fields: readonly Pair[], size: number])[] = [
  [
    '8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d',
    '8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff',
    [
      [':method', 'GET'],
      [':scheme', 'http'],
      [':path', '/'],
      [':authority', 'www.example.com'],
    ],
    57,
  ],
  [
    '8286 84be 5808 6e6f 2d63 6163 6865',
    '8286 84be 5886 a8eb 1064 9cbf',
    [
      [':method', 'GET'],
      [':scheme', 'http'],
      [':path', '/'],
      [':authority', 'www.example.com'],
      ['cache-control', 'no-cache'],
    ],
    110,
  ],
  [
    '8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65',
    '8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf',
    [
      [':method', 'GET'],
      [':scheme', 'https'],
      [':path', '/index.html'],
      [':authority', 'www.example.com'],
      ['custom-key', 'custom-value'],
    ],
    164,
  ],
];
const RESPONSES: readonly (readonly [coded: string, fields: readonly Pair[], size: number])[] = [
  [
    '4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3',
    [
      [':status', '302'],
      ['cache-control', 'private'],
      ['date', 'Mon, 21 Oct 2013 20:13:21 GMT'],
      ['location', 'https://www.example.com'],
    ],
    222,
  ],
  [
    '4883 640e ffc1 c0bf',
    [
      [':status', '307'],
      ['cache-control', 'private'],
      ['date', 'Mon, 21 Oct 2013 20:13:21 GMT'],
      ['location', 'https://www.example.com'],
    ],
    222,
  ],
  [
    '88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07',
    [
      [':status', '200'],
      ['cache-control', 'private'],
      ['date', 'Mon, 21 Oct 2013 20:13:22 GMT'],
      ['location', 'https://www.example.com'],
      ['content-encoding', 'gzip'],
      ['set-cookie', 'foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1'],
    ],
    215,
  ],
];

test('the requests of RFC 7541 C.3 and C.4 decode, and fill the table as said there', () => {
  const plain = new HpackDecoder();
  const coded = new HpackDecoder();
  for (const [plainHex, codedHex, fields, size] of REQUESTS) {
    assert.deepEqual(decode(plain, hex(plainHex)).pairs, fields);
    assert.deepEqual(decode(coded, hex(codedHex)).pairs, fields);
    assert.equal(plain.tableSize, size);
    assert.equal(coded.tableSize, size);
  }
});

test('the responses of RFC 7541 C.6 decode, with evictions from a table of 256 octets', () => {
  const decoder = new HpackDecoder(256);
  for (const [codedHex, fields, size] of RESPONSES) {
    assert.deepEqual(decode(decoder, hex(codedHex)).pairs, fields);
    assert.equal(decoder.tableSize, size);
  }
});

test('our encoder writes the requests of RFC 7541 C.4 octet for octet', () => {
  const encoder = new HpackEncoder();
  for (const [, codedHex, fields] of REQUESTS) {
    const block = encode(
      encoder,
      fields.map(([name, value]) => new HeaderField(name, value, false)),
    );
    assert.equal(block.toString('hex'), hex(codedHex).toString('hex'));
  }
});

test('what cannot be decoded is named', () => {
  assert.match(bad('80'), /index 0/);
  assert.match(bad('be'), /index 62/);
  assert.match(bad('ff ff ff ff ff 7f'), /too (long|large)/);
  assert.match(bad('ff 80 80 80 80 80 00'), /too long/);
  assert.match(bad('ff 80'), /integer runs over/);
  assert.match(bad('ff'), /integer runs over/);
  assert.match(bad('40 05 61'), /string runs over/);
  assert.match(bad('40'), /string should begin/);
  assert.match(bad('40 01 61'), /string should begin/);
  assert.match(bad('00 01 61 84 ff ff ff ff'), /Huffman/);
  assert.match(bad('3f e2 1f'), /above the limit/);
  assert.match(bad('82 20'), /size update after a field/);
});

test('a lowered table limit must be acknowledged by a size update', () => {
  const decoder = new HpackDecoder();
  assert.equal(decode(decoder, hex('40 01 61 01 62')).error, '');
  decoder.setLimit(100);
  assert.match(decode(decoder, hex('82')).error, /no table size update/);
  const obedient = new HpackDecoder();
  obedient.setLimit(100);
  assert.equal(decode(obedient, hex('3f 45 82')).error, '');
  assert.match(decode(obedient, hex('3f 46 82')).error, /above the limit/);
});

test('an entry larger than the table empties it and is still delivered', () => {
  const decoder = new HpackDecoder(64);
  assert.equal(decode(decoder, hex('40 01 61 01 62')).error, '');
  assert.equal(decoder.tableSize, 34);
  const long = Buffer.concat([hex('40 01 61 64'), Buffer.alloc(100, 0x62)]);
  assert.deepEqual(decode(decoder, long).pairs, [['a', 'b'.repeat(100)]]);
  assert.equal(decoder.tableSize, 0);
});

test('secrets are never indexed, by either side', () => {
  const encoder = new HpackEncoder();
  const decoder = new HpackDecoder();
  const fields = [new HeaderField('authorization', 'Bearer x', false), new HeaderField('x-token', 'y', true)];
  for (let i = 0; i < 3; i++) {
    const { error, fields: got } = decode(decoder, encode(encoder, fields));
    assert.equal(error, '');
    assert.deepEqual(
      got.map((field) => field.sensitive),
      [true, true],
    );
  }
  assert.equal(encoder.tableSize, 0);
  assert.equal(decoder.tableSize, 0);
});

test('a repeated header section shrinks to one octet a field', () => {
  const encoder = new HpackEncoder();
  const fields = [':authority', 'baggage', 'user-agent'].map((name) => new HeaderField(name, 'some value', false));
  assert.ok(encode(encoder, fields).length > 20);
  assert.equal(encode(encoder, fields).length, 3);
});

const octets = fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)) });
const name = fc.oneof(
  fc.constantFrom(':authority', ':path', 'cookie', 'baggage', 'x', 'content-type', 'set-cookie', 'date'),
  octets,
);
const field = fc
  .tuple(name, fc.oneof(fc.constantFrom('', '1', 'abc'), octets), fc.boolean())
  .map(([n, v, s]) => new HeaderField(n, v, s));
const step = fc.oneof(
  { weight: 5, arbitrary: fc.array(field, { maxLength: 12 }) },
  { weight: 1, arbitrary: fc.integer({ min: 0, max: 5000 }) },
);

test('whatever is encoded decodes to the same fields, through any changes of the table limit', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
      const encoder = new HpackEncoder();
      const decoder = new HpackDecoder(5000);
      let limit = 4096;
      for (const action of steps) {
        if (typeof action === 'number') {
          limit = Math.min(action, 4096);
          encoder.setPeerLimit(action);
          decoder.setLimit(action);
          continue;
        }
        const { error, pairs, fields } = decode(decoder, encode(encoder, action));
        assert.equal(error, '');
        assert.deepEqual(
          pairs,
          action.map((f) => [f.name, f.value]),
        );
        action.forEach((f, i) => {
          assert.ok(!f.sensitive || fields[i]!.sensitive);
        });
        assert.equal(decoder.tableSize, encoder.tableSize);
        assert.ok(encoder.tableSize <= limit);
      }
    }),
    { numRuns: 300 },
  );
});

test('the static table has 61 entries', () => {
  assert.equal(STATIC_LENGTH, 61);
});
