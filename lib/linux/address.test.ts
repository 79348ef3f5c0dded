// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { isIP } from 'node:net';
import { test } from 'node:test';
import fc from '#lib/testkit/properties.ts';
import { Endpoint, readSockaddr, writeSockaddr } from './address.ts';
import { Arena } from './arena.ts';
import { parseIp } from './ip-text.ts';

const arena = Arena.allocate(64);

test('an endpoint survives the way through a sockaddr, IPv4, IPv6 and mapped', () => {
  fc.assert(
    fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), fc.nat(65_535), fc.boolean(), (ip, port, v6) => {
      const endpoint = Endpoint.parse(ip, port);
      fc.pre(endpoint !== undefined);
      const length = writeSockaddr(arena, 8, endpoint!, v6);
      assert.equal(length, endpoint!.isV4 && !v6 ? 16 : 28);
      const back = new Endpoint();
      assert.equal(readSockaddr(arena, 8, back), 0);
      assert.ok(back.equals(endpoint!));
      assert.equal(String(back), String(endpoint));
    }),
  );
});

test('text and words agree with each other and with what Node takes for an address', () => {
  fc.assert(
    fc.property(
      fc.oneof(fc.ipV4(), fc.ipV6(), fc.string({ unit: fc.constantFrom(...'0123456789abcf:.'), maxLength: 24 })),
      (text) => {
        const endpoint = Endpoint.parse(text);
        assert.equal(endpoint !== undefined, isIP(text) !== 0, text);
        if (endpoint) assert.ok(Endpoint.parse(endpoint.ip())!.sameIp(endpoint));
      },
    ),
    { numRuns: 2000 },
  );
});

for (const [text, canonical] of [
  ['10.0.0.1', '10.0.0.1'],
  ['::ffff:10.0.0.1', '10.0.0.1'],
  ['::ffff:a00:1', '10.0.0.1'],
  ['::', '::'],
  ['::1', '::1'],
  ['FD00:0:0:0:0:0:0:1', 'fd00::1'],
  ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
  ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'],
  ['1::8', '1::8'],
] as const) {
  test(`${text} is written as ${canonical}`, () => assert.equal(Endpoint.parse(text)!.ip(), canonical));
}

test('what is not an address is not taken for one', () => {
  for (const text of [
    '',
    '1.2.3',
    '01.2.3.4',
    '256.1.1.1',
    '1.2.3.4.5',
    ':::',
    '1::2::3',
    'fe80::1%eth0',
    '1:2:3:4:5:6:7:8:9',
    '::ffff:1.2.3',
  ]) {
    assert.equal(parseIp(text), undefined, text);
  }
});

test('loopback, any and brackets', () => {
  assert.ok(Endpoint.parse('127.3.2.1')!.isLoopback && Endpoint.parse('::1')!.isLoopback);
  assert.ok(!Endpoint.parse('10.0.0.1')!.isLoopback);
  assert.ok(Endpoint.parse('0.0.0.0')!.isAny && Endpoint.parse('::')!.isAny && !Endpoint.parse('::1')!.isAny);
  assert.equal(String(Endpoint.parse('fd00::1', 80)), '[fd00::1]:80');
});
