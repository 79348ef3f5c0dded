// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from '#lib/testkit/properties.ts';
import {
  connectRequest,
  connectResponse,
  formatAddress,
  formatForwarded,
  newTraceparent,
  parseAuthority,
  parseForwarded,
  parseTraceparent,
} from './hbone.ts';

test('addresses and host names with a port are authorities', () => {
  assert.deepEqual(parseAuthority('10.0.0.1:80'), { kind: 'address', ip: '10.0.0.1', port: 80 });
  assert.deepEqual(parseAuthority('[fd00::1]:15008'), { kind: 'address', ip: 'fd00::1', port: 15_008 });
  assert.deepEqual(parseAuthority('Cart.shop.svc.cluster.local:8080'), {
    kind: 'hostname',
    hostname: 'cart.shop.svc.cluster.local',
    port: 8080,
  });
});

test('whatever else is refused', () => {
  const bad = ['', 'a', ':80', 'a:', 'a:0', 'a:65536', 'a:080', 'a:+1', '10.0.0.1', '[::1]', '::1:80', '[::1%lo]:80'];
  const odd = [
    '[10.0.0.1]:80',
    '010.0.0.1:80',
    '10.1:80',
    '0x7f000001:80',
    '2130706433:80',
    'a b:80',
    'a/b:80',
    'u@a:80',
  ];
  for (const text of [...bad, ...odd, 'a..b:80', '-a:80', `${'a'.repeat(254)}:80`, '[::1:80', '[]:80', 'a\0:80'])
    assert.equal(parseAuthority(text), undefined, text);
});

test('a formatted address is read back', () => {
  const ip = fc.oneof(fc.ipV4(), fc.ipV6());
  fc.assert(
    fc.property(ip, fc.integer({ min: 1, max: 65_535 }), (address, port) => {
      assert.deepEqual(parseAuthority(formatAddress(address, port)), { kind: 'address', ip: address, port });
    }),
  );
});

test('a tunnel is asked for with exactly the headers of HBONE', () => {
  const block = connectRequest({
    authority: '10.0.0.1:80',
    baggage: 'service.name=cart',
    forwardedFor: '10.0.0.7:41000',
    forwardedHost: 'cart.shop.svc.cluster.local',
    traceparent: newTraceparent(Buffer.alloc(24, 0xab)),
    forwardedNetwork: '',
  });
  assert.deepEqual([block.method, block.authority, block.scheme, block.path], ['CONNECT', '10.0.0.1:80', '', '']);
  assert.deepEqual(
    block.fields.map(({ name, value }) => [name, value]),
    [
      ['baggage', 'service.name=cart'],
      ['forwarded', 'for="10.0.0.7:41000";host=cart.shop.svc.cluster.local'],
      ['traceparent', `00-${'ab'.repeat(16)}-${'ab'.repeat(8)}-00`],
    ],
  );
  const inner = {
    authority: 'a:1',
    baggage: '',
    forwardedFor: '',
    forwardedHost: '',
    traceparent: '',
    forwardedNetwork: 'n',
  };
  assert.deepEqual(
    connectRequest(inner).fields.map(({ name }) => name),
    ['x-forwarded-network'],
  );
});

test('only success carries baggage', () => {
  assert.equal(connectResponse(200, 'a=b').get('baggage'), 'a=b');
  assert.equal(connectResponse(200, '').fields.length, 0);
  assert.equal(connectResponse(503, 'a=b').fields.length, 0);
});

test('forwarded is read: ours, quoted, unquoted, the first of several', () => {
  assert.deepEqual(parseForwarded(formatForwarded('[fd00::1]:80', 'a.b')), { for: '[fd00::1]:80', host: 'a.b' });
  assert.deepEqual(parseForwarded('For=1.2.3.4; HOST="x\\"y", for=9.9.9.9'), { for: '1.2.3.4', host: 'x"y' });
  assert.deepEqual(parseForwarded('for="a,b";host=c'), { for: 'a,b', host: 'c' });
  assert.deepEqual(parseForwarded(''), { for: '', host: '' });
});

test('traceparent is read as W3C Trace Context says', () => {
  const id = `${'1'.repeat(32)}-${'2'.repeat(16)}`;
  assert.deepEqual(parseTraceparent(`00-${id}-01`), { traceId: '1'.repeat(32), spanId: '2'.repeat(16), sampled: true });
  assert.equal(parseTraceparent(`01-${id}-02-more`)?.sampled, false);
  for (const bad of [`ff-${id}-00`, `00-${id}-00-x`, `00-${'0'.repeat(32)}-${'2'.repeat(16)}-00`, `00-${id}`, '', 'x'])
    assert.equal(parseTraceparent(bad), undefined, bad);
  assert.throws(() => newTraceparent(Buffer.alloc(23)), { code: 'TRACEPARENT_RANDOM' });
});
