// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from '#lib/testkit/properties.ts';
import { ipOctets, ipText } from './ip-octets.ts';

test('texts become octets, and octets the canonical text', () => {
  const rows: readonly (readonly [text: string, hex: string, canonical?: string])[] = [
    ['10.0.255.1', '0a00ff01'],
    ['::', '00'.repeat(16)],
    ['::1', `${'00'.repeat(15)}01`],
    ['fd00:0:0:1::2', 'fd000000000000010000000000000002', 'fd00:0:0:1::2'],
    ['2001:DB8::', `20010db8${'00'.repeat(12)}`, '2001:db8::'],
    ['::ffff:1.2.3.4', `${'00'.repeat(10)}ffff01020304`, '::ffff:102:304'],
    ['1:0:2:3:4:5:6:7', '00010000000200030004000500060007'],
    ['1:2:3:4:5:6:7::', '00010002000300040005000600070000', '1:2:3:4:5:6:7:0'],
  ];
  for (const [text, hex, canonical] of rows) {
    assert.equal(Buffer.from(ipOctets(text)!).toString('hex'), hex);
    assert.equal(ipText(Buffer.from(hex, 'hex')), canonical ?? text);
  }
});

test('what is no address has no octets', () => {
  for (const text of ['', '1.2.3', '1.2.3.256', '01.2.3.4', 'fe80::1%eth0', ':::', '1::2::3', 'a', '[::1]'])
    assert.equal(ipOctets(text), undefined, text);
});

test('any octets survive their text', () => {
  const octets = fc.oneof(...[4, 16].map((length) => fc.uint8Array({ minLength: length, maxLength: length })));
  fc.assert(fc.property(octets, (bytes) => assert.deepEqual(ipOctets(ipText(bytes)), bytes)));
});
