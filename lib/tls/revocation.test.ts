// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { x509 } from '#lib/identity/x509.ts';
import { createTestCa, type TestCa } from '#lib/testkit/certificates.ts';
import { CART } from '#lib/testkit/tls-material.ts';
import { readCertificate } from '#lib/wire/certificate.ts';
import { looksLikeDer, readCrl } from '#lib/wire/crl.ts';
import { pemBlocks } from '#lib/wire/pem.ts';
import { type ChainLink, linksOf, Revocations } from './revocation.ts';

const HOUR_MS = 3_600_000;
const ca = await createTestCa();
const below = await ca.intermediate();
const direct = await ca.issue(CART);
const under = await below.issue(CART);

function links(...pems: string[]): ChainLink[] {
  return linksOf(
    pems
      .flatMap((pem) => pemBlocks(pem, 'CERTIFICATE'))
      .map((der) => {
        const facts = readCertificate(der);
        assert.ok(facts.ok);
        return facts.value;
      }),
  );
}

async function listsOf(by: TestCa, chains: readonly string[], options: Parameters<TestCa['revoke']>[1] = {}) {
  const der = pemBlocks(await by.revoke(chains, options), 'X509 CRL')[0]!;
  assert.ok(looksLikeDer(der));
  const list = readCrl(der);
  assert.ok(list.ok, list.ok ? '' : list.problems[0]!.message);
  return list.value;
}

const leaf = (chain: string): string => chain.slice(0, chain.indexOf('-----END CERTIFICATE-----') + 25);

test('a leaf that its issuer took back is revoked, others are not', async () => {
  const other = await ca.issue(CART);
  const revocations = new Revocations([await listsOf(ca, [direct.chainPem])]);
  assert.equal(revocations.revoked(links(direct.chainPem, ca.rootPem), Date.now()), true);
  assert.equal(revocations.revoked(links(other.chainPem, ca.rootPem), Date.now()), false);
});

test('the whole chain counts: an intermediate that the root took back takes its leaves along', async () => {
  const intermediate = under.chainPem.slice(under.chainPem.indexOf('-----BEGIN', 10));
  const byRoot = new Revocations([await listsOf(ca, [intermediate])]);
  assert.equal(byRoot.revoked(links(under.chainPem, ca.rootPem), Date.now()), true);
  const byIssuer = new Revocations([await listsOf(below, [leaf(under.chainPem)])]);
  assert.equal(byIssuer.revoked(links(under.chainPem, ca.rootPem), Date.now()), true);
});

test('no list of an issuer, and an expired one, say nothing', async () => {
  assert.equal(new Revocations([]).revoked(links(direct.chainPem, ca.rootPem), Date.now()), false);
  const of = await listsOf(ca, [direct.chainPem], { nextUpdate: new Date(Date.now() + HOUR_MS) });
  assert.equal(new Revocations([of]).revoked(links(direct.chainPem, ca.rootPem), Date.now() + 2 * HOUR_MS), false);
});

test('a list by the same name and another key is none of the issuer', async () => {
  const impostor = await createTestCa();
  const revocations = new Revocations([await listsOf(impostor, [direct.chainPem])]);
  assert.equal(revocations.revoked(links(direct.chainPem, ca.rootPem), Date.now()), false);
});

test('lists that tell a part only, and bytes that are no list, are refused with a reason', async () => {
  const delta = new x509.Extension('2.5.29.27', true, new Uint8Array([2, 1, 1]));
  const der = pemBlocks(await ca.revoke([], { extensions: [delta] }), 'X509 CRL')[0]!;
  const read = readCrl(der);
  assert.match(read.ok ? '' : read.problems[0]!.message, /critical extension 2.5.29.27/);
  for (let cut = 0; cut < der.length; cut += 7) assert.equal(readCrl(der.subarray(0, cut)).ok, false);
  assert.equal(readCrl(pemBlocks(ca.rootPem, 'CERTIFICATE')[0]!).ok, false);
  assert.equal(looksLikeDer(Buffer.from('-----BEGIN X509 CRL-----')), false);
});
