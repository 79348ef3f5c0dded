// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { createTestCa } from '#lib/testkit/certificates.ts';
import { connect, createPair } from '#lib/testkit/tls-pair.ts';
import { TlsContext } from '#lib/tls/context.ts';
import { readCertificate } from '#lib/wire/certificate.ts';
import { decodePem, encodePem, pemBlocks } from '#lib/wire/pem.ts';
import { Authority, createRoot } from './authority.ts';
import { checkCsr, createCsr } from './csr.ts';
import { generateKey, keyToPem } from './key.ts';
import { createTestAuthority } from './test-authority.ts';

const NOW = Date.UTC(2026, 5, 1);
const HOUR_MS = 3_600_000;
const CART = 'spiffe://cluster.local/ns/shop/sa/cart';

test('a root is self-signed, ECDSA P-256, named after its trust domain, and lives ten years', async () => {
  const root = await createRoot({ organization: 'cluster.local', now: NOW });
  const certificate = new X509Certificate(root.certificatePem);
  assert.ok(certificate.ca && certificate.checkIssued(certificate) && certificate.verify(certificate.publicKey));
  assert.equal(certificate.subject, 'O=cluster.local');
  assert.equal(certificate.publicKey.asymmetricKeyDetails?.namedCurve, 'prime256v1');
  assert.equal(Date.parse(certificate.validTo), NOW + 3650 * 24 * HOUR_MS);
});

test('a leaf has one critical URI name, both uses, two minutes of clock skew and a 128-bit serial', async () => {
  const root = await createRoot({ organization: 'cluster.local', now: NOW });
  const authority = await Authority.load(root);
  const keys = await generateKey();
  const [leaf, ...rest] = await authority.sign({ publicKey: keys.publicKey, uris: [CART], ttlMs: 24 * HOUR_MS }, NOW);
  assert.deepEqual(rest, [root.rootPem]);
  const certificate = new X509Certificate(leaf!);
  assert.ok(certificate.verify(new X509Certificate(root.certificatePem).publicKey));
  const facts = readCertificate(pemBlocks(leaf!, 'CERTIFICATE')[0]!);
  assert.ok(facts.ok);
  assert.deepEqual(facts.value.uris, [CART]);
  assert.deepEqual(facts.value.extendedKeyUsage, ['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2']);
  assert.equal(facts.value.ca, false);
  assert.equal(facts.value.notBefore, NOW - 120_000);
  assert.equal(facts.value.notAfter, NOW + 24 * HOUR_MS);
  assert.equal(facts.value.serial.length, 32);
  assert.equal(certificate.subject ?? '', '');
  const der = Buffer.from(pemBlocks(leaf!, 'CERTIFICATE')[0]!).toString('hex');
  // subjectAltName (2.5.29.17) followed by critical TRUE.
  assert.ok(der.includes('0603551d110101ff'));
});

test('a leaf never outlives its signer, and an expired signer refuses', async () => {
  const authority = await Authority.load(await createRoot({ organization: 'x', now: NOW, ttlMs: HOUR_MS }));
  const { publicKey } = await generateKey();
  const [leaf] = await authority.sign({ publicKey, uris: [CART], ttlMs: 24 * HOUR_MS }, NOW);
  assert.equal(Date.parse(new X509Certificate(leaf!).validTo), NOW + HOUR_MS);
  await assert.rejects(authority.sign({ publicKey, uris: [CART], ttlMs: 1 }, NOW + HOUR_MS), { code: 'CA_EXPIRED' });
});

test('an intermediate puts itself into the chain, and OpenSSL verifies it', async () => {
  const ca = await createTestCa();
  const below = await ca.intermediate();
  const material = {
    certificatePem: below.root.toString('pem'),
    keyPem: below.keyPem,
    chainPem: '',
    rootPem: ca.rootPem,
  };
  const authority = await Authority.load(material);
  const keys = await generateKey();
  const [leaf, middle, roots] = await authority.sign(
    { publicKey: keys.publicKey, uris: [CART], ttlMs: HOUR_MS },
    Date.now(),
  );
  const context = (): TlsContext =>
    TlsContext.create({ certificateChainPem: leaf! + middle!, privateKeyPem: keyPem, rootsPem: roots!, alpn: 'h2' });
  const keyPem = await keyToPem(keys.privateKey);
  using pair = createPair(context(), context());
  connect(pair);
  const peer = pair.server.peer();
  assert.ok(peer.ok);
  assert.equal(peer.value.uri, CART);
});

test('material that does not belong together is refused', async () => {
  const [one, two] = await Promise.all([1, 2].map((n) => createRoot({ organization: `${n}`, now: NOW })));
  await assert.rejects(Authority.load({ ...one!, keyPem: two!.keyPem }), /key does not match/);
  await assert.rejects(Authority.load({ ...one!, keyPem: 'nonsense' }), { code: 'KEY_UNREADABLE' });
  await assert.rejects(Authority.load({ ...one!, certificatePem: 'nonsense' }), { code: 'CA_MATERIAL' });
  await assert.rejects(Authority.load({ ...one!, rootPem: '' }), /no certificate/);
  const leaf = await (await createTestCa()).issue(CART);
  await assert.rejects(
    Authority.load({ certificatePem: leaf.chainPem, keyPem: leaf.keyPem, chainPem: '', rootPem: leaf.chainPem }),
    /no CA/,
  );
});

test('a request carries the URI and passes the check of who holds the key', async () => {
  const keys = await generateKey();
  const pem = await createCsr(CART, keys);
  const checked = await checkCsr(pem);
  assert.ok(checked.ok);
  assert.equal(checked.value.hasCommonName, false);
  const der = pemBlocks(pem, 'CERTIFICATE REQUEST')[0]!;
  assert.ok(Buffer.from(der).includes(CART));
  const authority = await Authority.load(await createRoot({ organization: 'x', now: NOW }));
  const [leaf] = await authority.sign({ publicKey: checked.value.publicKey, uris: [CART], ttlMs: HOUR_MS }, NOW);
  const spki = Buffer.from(await crypto.subtle.exportKey('spki', keys.publicKey));
  assert.deepEqual(new X509Certificate(leaf!).publicKey.export({ type: 'spki', format: 'der' }), spki);
});

test('requests that are damaged, swollen or no requests are refused with a reason', async () => {
  const pem = await createCsr(CART, await generateKey());
  const der = Uint8Array.from(decodePem(pem)[0]!.der);
  der[der.length - 3]! ^= 1;
  const refusal = async (text: string): Promise<string> => {
    const result = await checkCsr(text);
    assert.ok(!result.ok);
    return result.problems[0]!.message;
  };
  assert.match(await refusal(encodePem('CERTIFICATE REQUEST', der)), /signature|readable/);
  assert.match(await refusal('hello'), /not readable/);
  assert.match(await refusal(''), /not readable/);
  assert.match(await refusal('x'.repeat(100_000)), /over the limit/);
  assert.match(await refusal((await createTestCa()).rootPem), /not readable/);
});

test('keys of other programs sign too: SEC1, PKCS#1 and P-384', async () => {
  const { signingKeyFromPem } = await import('./key.ts');
  const ec = (namedCurve: string, type: 'sec1' | 'pkcs8'): string =>
    generateKeyPairSync('ec', { namedCurve }).privateKey.export({ type, format: 'pem' }) as string;
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
  assert.equal((await signingKeyFromPem(ec('P-256', 'sec1'))).algorithm.hash, 'SHA-256');
  assert.equal((await signingKeyFromPem(ec('P-384', 'pkcs8'))).algorithm.hash, 'SHA-384');
  const pkcs1 = rsa.export({ type: 'pkcs1', format: 'pem' }) as string;
  assert.equal((await signingKeyFromPem(pkcs1)).algorithm.name, 'RSASSA-PKCS1-v1_5');
  await assert.rejects(signingKeyFromPem(ec('P-521', 'pkcs8')), /cannot sign here/);
});

test('test authorities of two processes trust each other’s leaves', async () => {
  const [one, two] = [await createTestAuthority(), await createTestAuthority()];
  const make = async (authority: Authority): Promise<TlsContext> => {
    const keys = await generateKey();
    const [leaf, roots] = await authority.sign({ publicKey: keys.publicKey, uris: [CART], ttlMs: HOUR_MS }, Date.now());
    return TlsContext.create({
      certificateChainPem: leaf!,
      privateKeyPem: await keyToPem(keys.privateKey),
      rootsPem: roots!,
      alpn: 'h2',
    });
  };
  using pair = createPair(await make(one), await make(two));
  connect(pair);
  assert.ok(pair.server.peer().ok && pair.client.peer().ok);
});
