// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { createTestCa } from '#lib/testkit/certificates.ts';
import fc from '#lib/testkit/properties.ts';
import { readCertificate } from './certificate.ts';
import { children, DER, DerError, expectElement, latin1, readElement, readOid, readTime } from './der.ts';
import { decodePem, encodePem, pemBlocks } from './pem.ts';

test("a certificate's facts agree with Node's own reading of it", async () => {
  const ca = await createTestCa();
  const { chainPem } = await ca.issue([
    { type: 'url', value: 'spiffe://cluster.local/ns/a/sa/b' },
    { type: 'dns', value: 'istiod.istio-system.svc' },
    { type: 'ip', value: '10.0.0.1' },
  ]);
  for (const pem of [chainPem, ca.rootPem]) {
    const der = pemBlocks(pem, 'CERTIFICATE')[0]!;
    const read = readCertificate(der);
    assert.ok(read.ok);
    const node = new X509Certificate(pem);
    assert.equal(read.value.serial, node.serialNumber.toLowerCase());
    assert.equal(read.value.notBefore, Date.parse(node.validFrom));
    assert.equal(read.value.notAfter, Date.parse(node.validTo));
    assert.equal(read.value.ca, node.ca);
    assert.deepEqual(Buffer.from(read.value.publicKey), node.publicKey.export({ type: 'spki', format: 'der' }));
    assert.deepEqual(read.value.extendedKeyUsage, node.keyUsage);
  }
  const read = readCertificate(pemBlocks(chainPem, 'CERTIFICATE')[0]!);
  assert.ok(read.ok);
  assert.deepEqual(read.value.uris, ['spiffe://cluster.local/ns/a/sa/b']);
  assert.deepEqual(read.value.dnsNames, ['istiod.istio-system.svc']);
  assert.equal(read.value.otherNames, 1);
});

test('bytes behind a certificate, and a cut one, are refused', async () => {
  const der = pemBlocks((await createTestCa()).rootPem, 'CERTIFICATE')[0]!;
  assert.equal(readCertificate(new Uint8Array([...der, 0])).ok, false);
  for (let length = 0; length < der.length; length++) assert.equal(readCertificate(der.subarray(0, length)).ok, false);
});

test('lengths must be definite, minimal and inside their container', () => {
  const refused = (...bytes: number[]): void => {
    assert.throws(() => readElement(new Uint8Array(bytes), 0, bytes.length), DerError, bytes.join(' '));
  };
  refused(0x30);
  refused(0x30, 0x80, 0, 0);
  refused(0x30, 0x81, 0x01, 0);
  refused(0x30, 0x82, 0x00, 0x80);
  refused(0x30, 0x02, 0x00);
  refused(0x30, 0x85, 0, 0, 0, 0, 1);
  refused(0x30, 0x84, 0xff, 0xff, 0xff, 0xff);
  refused(0x1f, 0x01, 0x00);
  const nested = new Uint8Array([0x30, 0x03, 0x04, 0x02, 0x01]);
  assert.throws(() => children(nested, readElement(nested, 0, 5)), DerError);
  assert.throws(() => expectElement(nested, 0, 5, DER.set), DerError);
});

test('any bytes are read or refused, never worse', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      assert.equal(typeof readCertificate(bytes).ok, 'boolean');
    }),
  );
});

test('object identifiers and times read as their standards say', () => {
  const oid = (...bytes: number[]): string =>
    readOid(new Uint8Array(bytes), { tag: DER.oid, start: 0, end: bytes.length });
  assert.equal(oid(0x55, 0x1d, 0x11), '2.5.29.17');
  assert.equal(oid(0x2b, 6, 1, 5, 5, 7, 3, 2), '1.3.6.1.5.5.7.3.2');
  assert.equal(oid(0x88, 0x37), '2.999');
  assert.throws(() => oid(0x55, 0x80), DerError);
  assert.throws(() => oid(), DerError);
  const time = (tag: number, text: string): number => readTime(Buffer.from(text), { tag, start: 0, end: text.length });
  assert.equal(time(DER.utcTime, '491231235959Z'), Date.UTC(2049, 11, 31, 23, 59, 59));
  assert.equal(time(DER.utcTime, '500101000000Z'), Date.UTC(1950, 0, 1));
  assert.equal(time(DER.generalizedTime, '20500101000000Z'), Date.UTC(2050, 0, 1));
  assert.throws(() => time(DER.utcTime, '4912312359Z'), DerError);
  assert.throws(() => time(DER.generalizedTime, '20500101000000+0100'), DerError);
  assert.equal(latin1(new Uint8Array([0x61, 0, 0x62]), 0, 3), 'a\0b');
});

test('PEM blocks are found among other text and survive the way back', () => {
  const der = new Uint8Array(100).map((_, i) => i);
  const text = `comment\n${encodePem('CERTIFICATE', der)}between\n${encodePem('PRIVATE KEY', der)}`;
  assert.deepEqual(
    decodePem(text).map(({ label }) => label),
    ['CERTIFICATE', 'PRIVATE KEY'],
  );
  assert.deepEqual(pemBlocks(text, 'CERTIFICATE')[0], der);
  assert.equal(Math.max(...text.split('\n').map(({ length }) => length)), 64);
});
