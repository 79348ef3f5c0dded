// SPDX-License-Identifier: Apache-2.0
// The Huffman code: known code words, round trips, and the three ways to end badly.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from '#lib/testkit/properties.ts';
import { decodedBound, huffmanDecode, huffmanEncode, huffmanLength } from './huffman.ts';

function decode(bytes: Buffer): string | undefined {
  const target = Buffer.alloc(decodedBound(bytes.length));
  const size = huffmanDecode(bytes, 0, bytes.length, target);
  return size < 0 ? undefined : target.toString('latin1', 0, size);
}

function encode(text: string): Buffer {
  const target = Buffer.alloc(huffmanLength(text));
  assert.equal(huffmanEncode(text, target, 0), target.length);
  return target;
}

test('texts of RFC 7541 appendix C have the code words given there', () => {
  const rows: readonly (readonly [string, string])[] = [
    ['www.example.com', 'f1e3c2e5f23a6ba0ab90f4ff'],
    ['no-cache', 'a8eb10649cbf'],
    ['custom-key', '25a849e95ba97d7f'],
    ['https://www.example.com', '9d29ad171863c78f0b97c8e9ae82ae43d3'],
    ['Mon, 21 Oct 2013 20:13:22 GMT', 'd07abe941054d444a8200595040b8166e084a62d1bff'],
  ];
  for (const [text, code] of rows) {
    assert.equal(encode(text).toString('hex'), code);
    assert.equal(decode(Buffer.from(code, 'hex')), text);
  }
});

test('every octet alone, and every pair of octets, survives', () => {
  for (let a = 0; a < 256; a++) {
    assert.equal(decode(encode(String.fromCharCode(a))), String.fromCharCode(a));
    for (let b = 0; b < 256; b++) {
      const text = String.fromCharCode(a, b);
      assert.equal(decode(encode(text)), text);
    }
  }
});

test('any octets survive, and take the length that was announced', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      const text = Buffer.from(bytes).toString('latin1');
      assert.equal(decode(encode(text)), text);
    }),
  );
});

test('what decodes at all decodes to what encodes to the same octets', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      const text = decode(Buffer.from(bytes));
      if (text !== undefined) assert.deepEqual(encode(text), Buffer.from(bytes));
    }),
    { numRuns: 5000 },
  );
});

test('padding that is too long, or of zeros, and end-of-string are refused', () => {
  assert.equal(decode(Buffer.from('1fff', 'hex')), undefined); // 'a' and 11 bits of padding
  assert.equal(decode(Buffer.from('18', 'hex')), undefined); // 'a' and zeros
  assert.equal(decode(Buffer.from('3fffffff', 'hex').fill(0xff, 0, 1)), undefined);
  assert.equal(decode(Buffer.from('fffffffc', 'hex')), undefined);
});

test('text that is not octets has no length', () => {
  assert.equal(huffmanLength('\u0100'), -1);
});
