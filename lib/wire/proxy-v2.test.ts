// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from '#lib/testkit/properties.ts';
import { encodeProxyV2, type ProxyHeader, parseProxyV2, TLV_SOURCE_IDENTITY } from './proxy-v2.ts';

const v4: ProxyHeader = {
  addresses: { source: { ip: '10.0.0.7', port: 41_000 }, destination: { ip: '10.0.0.1', port: 80 } },
  tlvs: [{ type: TLV_SOURCE_IDENTITY, value: Buffer.from('spiffe://td/ns/a/sa/b') }],
};

test('a header is laid out as the specification draws it', () => {
  const bytes = encodeProxyV2({ ...v4, tlvs: [] });
  assert.equal(
    bytes.toString('hex'),
    '0d0a0d0a000d0a515549540a' + '2111' + '000c' + '0a000007' + '0a000001' + 'a028' + '0050',
  );
  const tlv = encodeProxyV2(v4).subarray(28);
  assert.equal(tlv.toString('latin1'), '\xd0\x00\x15spiffe://td/ns/a/sa/b');
});

test('sides of different families are written as IPv6', () => {
  const mixed = { source: { ip: '10.0.0.7', port: 1 }, destination: { ip: 'fd00::1', port: 2 } };
  const got = parseProxyV2(encodeProxyV2({ addresses: mixed, tlvs: [] }));
  assert.ok(got.kind === 'header');
  assert.deepEqual(got.header.addresses?.source, { ip: '::ffff:a00:7', port: 1 });
});

test('LOCAL has no addresses, and whatever stands there is skipped', () => {
  const got = parseProxyV2(Buffer.concat([encodeProxyV2({ addresses: null, tlvs: [] }), Buffer.from('GET')]));
  assert.deepEqual(got, { kind: 'header', header: { addresses: null, tlvs: [] }, length: 16 });
});

test('bad headers are named', () => {
  const good = encodeProxyV2(v4);
  const changed = (at: number, octet: number): string => {
    const bytes = Buffer.from(good);
    bytes[at] = octet;
    const got = parseProxyV2(bytes);
    return got.kind === 'invalid' ? got.reason : got.kind;
  };
  assert.match(changed(0, 0x0e), /signature/);
  assert.match(changed(12, 0x11), /version/);
  assert.match(changed(12, 0x22), /version/);
  assert.match(changed(13, 0x12), /only TCP/);
  assert.match(changed(14, 0xff), /above 4096/);
  assert.match(changed(15, 4), /addresses are cut/);
  assert.match(changed(15, 12 + 4), /TLV is cut/);
  assert.throws(
    () => encodeProxyV2({ addresses: { source: { ip: 'x', port: 1 }, destination: { ip: '::', port: 1 } }, tlvs: [] }),
    {
      code: 'PROXY_ADDRESS',
    },
  );
});

test('what is encoded is parsed again, and every beginning of it is incomplete', () => {
  const port = fc.integer({ min: 0, max: 65_535 });
  const family = fc.constantFrom(['10.1.2.3', '192.0.2.1'], ['fd00::1', '2001:db8::5:0:1']);
  const tlv = fc.record(
    {
      type: fc.integer({ min: 0, max: 255 }),
      value: fc.uint8Array({ maxLength: 40 }).map((b) => Buffer.from(b)),
    },
    { noNullPrototype: true },
  );
  fc.assert(
    fc.property(family, port, port, fc.array(tlv, { maxLength: 4 }), ([from, to], a, b, tlvs) => {
      const header: ProxyHeader = {
        addresses: { source: { ip: from!, port: a }, destination: { ip: to!, port: b } },
        tlvs,
      };
      const bytes = encodeProxyV2(header);
      assert.deepEqual(parseProxyV2(Buffer.concat([bytes, Buffer.from('x')])), {
        kind: 'header',
        header,
        length: bytes.length,
      });
      for (let end = 0; end < bytes.length; end++)
        assert.equal(parseProxyV2(bytes.subarray(0, end)).kind, 'incomplete');
    }),
  );
});
