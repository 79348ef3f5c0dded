// SPDX-License-Identifier: Apache-2.0

import assert from 'node:assert/strict';
import { isIP } from 'node:net';
import { test } from 'node:test';
import ipaddr from 'ipaddr.js';
import fc from '#lib/testkit/properties.ts';
import { Cidr, parseCidr } from './cidr.ts';
import { ipFromBytes, parseIp } from './ip.ts';

test('an address is written in its canonical form', () => {
  const cases: [string, string][] = [
    ['10.0.0.1', '10.0.0.1'],
    ['255.255.255.255', '255.255.255.255'],
    ['2001:DB8:0:0:0:0:0:1', '2001:db8::1'],
    ['::', '::'],
    ['::1', '::1'],
    ['1:0:0:2:0:0:0:3', '1:0:0:2::3'],
    ['1:0:2:3:4:5:6:7', '1:0:2:3:4:5:6:7'],
    ['fe80::', 'fe80::'],
    ['::ffff:10.1.2.3', '10.1.2.3'],
    ['64:ff9b::1.2.3.4', '64:ff9b::102:304'],
  ];
  for (const [text, canonical] of cases) assert.equal(parseIp(text)?.text, canonical);
});

test('text that two programs could read differently is no address', () => {
  for (const text of [
    '',
    '1.2.3',
    '01.2.3.4',
    '1.2.3.256',
    '1.2.3.4 ',
    '0x1.2.3.4',
    '1..2.3',
    '1.2.3.4.5',
    'fe80::1%eth0',
    ':::',
    'a',
  ]) {
    assert.equal(parseIp(text), undefined, text);
  }
});

test('any bytes survive the way through text, and agree with another parser', () => {
  const bytes = fc.oneof(
    fc.uint8Array({ minLength: 4, maxLength: 4 }),
    fc.uint8Array({ minLength: 16, maxLength: 16 }),
    fc.array(fc.constantFrom(0, 0, 0, 1, 255), { minLength: 16, maxLength: 16 }).map((list) => Uint8Array.from(list)),
  );
  fc.assert(
    fc.property(bytes, (input) => {
      const ip = ipFromBytes(input);
      assert.ok(ip);
      assert.ok(isIP(ip.text) === ip.family);
      assert.ok(parseIp(ip.text)?.equals(ip));
      assert.deepEqual([...ip.bytes()], ipaddr.process(ip.text).toByteArray());
    }),
  );
});

test('a range contains what another implementation says it contains', () => {
  const v4 = fc.uint8Array({ minLength: 4, maxLength: 4 });
  const v6 = fc.uint8Array({ minLength: 16, maxLength: 16 });
  const near = (bytes: Uint8Array) =>
    fc.tuple(fc.nat(bytes.length * 8), fc.nat(bytes.length * 8 - 1)).map(([length, flip]) => {
      const other = Uint8Array.from(bytes);
      other[flip >> 3] = other[flip >> 3]! ^ (128 >> (flip & 7));
      return { bytes, other, length };
    });
  fc.assert(
    fc.property(fc.oneof(v4.chain(near), v6.chain(near)), ({ bytes, other, length }) => {
      const range = ipFromBytes(bytes)!;
      const asked = ipFromBytes(other)!;
      if (range.family !== asked.family || (bytes.length === 16) !== (range.family === 6)) return;
      const parsed = ipaddr.parse(range.text);
      const want = ipaddr.parse(asked.text).match(parsed as never, length);
      assert.equal(new Cidr(range, length).contains(asked), want);
      assert.equal(parseCidr(`${range.text}/${length}`)?.contains(asked), want);
    }),
    { numRuns: 500 },
  );
});

test('a prefix that does not fit its family is refused', () => {
  for (const text of ['10.0.0.0/33', '::/129', '10.0.0.0/', '10.0.0.0/08', '10.0.0.0/-1', 'x/8', '10.0.0.0/8/8']) {
    assert.equal(parseCidr(text), undefined, text);
  }
  assert.throws(() => new Cidr(parseIp('10.0.0.1')!, 64), RangeError);
  assert.equal(parseCidr('10.1.2.3/8')?.toString(), '10.0.0.0/8');
  assert.equal(parseCidr('10.1.2.3')?.host, true);
});
