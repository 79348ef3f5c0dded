// SPDX-License-Identifier: Apache-2.0
// What the certificate service gives, over real TLS connections, against a fake Kubernetes API.

import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { type Client, status as Code } from '@grpc/grpc-js';
import { Authority, createRoot } from '#lib/identity/authority.ts';
import { CART, certificateService, HOUR_MS, workload } from '#lib/testkit/certificate-service.ts';
import { issueServingCertificate } from './serving-certificate.ts';

function disposable(client: Client) {
  return { client, [Symbol.dispose]: () => client.close() };
}

test('a node proxy gets a certificate for an identity of its node, and the log says who got what', async () => {
  await using env = await certificateService();
  const chain = await env.ask({ csr: await env.csr(), validityDuration: 3600n, identity: CART }, 'zt');
  const leaf = new X509Certificate(chain[0]!);
  equal(leaf.subjectAltName, `URI:${CART}`);
  ok(leaf.verify(new X509Certificate(chain.at(-1)!).publicKey));
  ok(Math.abs(Date.parse(leaf.validTo) - Date.now() - HOUR_MS) < 60_000);
  const [line] = env.lines;
  match(line ?? '', /certificate issued/);
  match(
    line ?? '',
    new RegExp(`identity="${CART}".*caller="spiffe://cluster.local/ns/istio-system/sa/ztunnel".*serial=`),
  );
});

test('without impersonation the caller gets its own identity, whatever its request names', async () => {
  await using env = await certificateService();
  const chain = await env.ask({ csr: await env.csr('spiffe://cluster.local/ns/shop/sa/pay') }, 'cart');
  equal(new X509Certificate(chain[0]!).subjectAltName, `URI:${CART}`);
});

test("another node's identity is refused, and the log names caller and identity", async () => {
  await using env = await certificateService();
  const wanted = 'spiffe://cluster.local/ns/shop/sa/pay';
  const error = await env.refusal({ csr: await env.csr(), identity: wanted }, 'zt');
  equal(error.code, Code.UNAUTHENTICATED);
  equal(error.details, 'request impersonation authentication failure');
  match(env.lines[0] ?? '', /caller="spiffe:\/\/cluster.local\/ns\/istio-system\/sa\/ztunnel"/);
  match(env.lines[0] ?? '', new RegExp(`identity="${wanted}"`));
  match(env.lines[0] ?? '', /no pod of shop\/pay is on the caller’s node n1/);
});

test('a workload cannot ask for another identity', async () => {
  await using env = await certificateService();
  const error = await env.refusal({ csr: await env.csr(), identity: 'spiffe://cluster.local/ns/shop/sa/pay' }, 'cart');
  equal(error.code, Code.UNAUTHENTICATED);
  match(env.lines[0] ?? '', /shop\/cart is not a trusted node proxy/);
});

test('an unknown, expired or missing token is refused', async () => {
  await using env = await certificateService();
  env.api.tokens.set('old', { authenticated: false, error: 'token has expired' });
  for (const [token, reason] of [
    ['strange', /unknown token/],
    ['old', /token has expired/],
    [undefined, /no token/],
  ] as const) {
    const error = await env.refusal({ csr: await env.csr(), identity: CART }, token);
    equal(error.code, Code.UNAUTHENTICATED);
    equal(error.details, 'request authenticate failure');
    match(env.lines.at(-1) ?? '', reason);
    match(env.lines.at(-1) ?? '', new RegExp(CART));
  }
  match((await env.metrics.text()).body, /citadel_server_authentication_failure_count 3/);
});

test('an API server that does not answer makes the caller come back, not give up', async () => {
  await using env = await certificateService();
  await env.api.stop();
  equal((await env.refusal({ csr: await env.csr() }, 'cart')).code, Code.UNAVAILABLE);
});

test('a request that is no CSR, is forged or has an unsupported key is refused with the reason', async () => {
  await using env = await certificateService();
  const good = await env.csr();
  const bytes = Buffer.from(good.replace(/-----[^-]+-----|\s/g, ''), 'base64');
  bytes[bytes.length - 1]! ^= 1;
  const forged = `-----BEGIN CERTIFICATE REQUEST-----\n${bytes.toString('base64')}\n-----END CERTIFICATE REQUEST-----\n`;
  const { publicKey } = generateKeyPairSync('ed25519');
  const asKey = publicKey.export({ type: 'spki', format: 'pem' }).toString();
  for (const csr of ['', 'nonsense', forged, asKey, 'x'.repeat(100_000)]) {
    const error = await env.refusal({ csr }, 'cart');
    equal(error.code, Code.INVALID_ARGUMENT);
    match(error.details, /^csr: /);
  }
  match((await env.metrics.text()).body, /citadel_server_csr_parsing_err_count 5/);
});

test('more lifetime than allowed is refused', async () => {
  await using env = await certificateService();
  const error = await env.refusal({ csr: await env.csr(), validityDuration: 100_000_000n }, 'cart');
  equal(error.code, Code.INVALID_ARGUMENT);
  match(error.details, /at most 7776000 s/);
});

test('a caller with a certificate of the mesh renews it without a token, and cannot ask for another identity', async () => {
  await using env = await certificateService();
  using client = disposable(env.connect(undefined, await workload(env.authority, CART)));
  const chain = await env.ask({ csr: await env.csr() }, undefined, client.client);
  equal(new X509Certificate(chain[0]!).subjectAltName, `URI:${CART}`);
  const wanted = 'spiffe://cluster.local/ns/shop/sa/pay';
  const error = await env.refusal({ csr: await env.csr(), identity: wanted }, undefined, client.client);
  equal(error.code, Code.UNAUTHENTICATED);
  match(env.lines.at(-1) ?? '', new RegExp(`caller="${CART}".*identity="${wanted}".*not bound to a pod`));
});

test('a certificate of another mesh or another trust domain proves nothing', async () => {
  await using env = await certificateService();
  const stranger = await Authority.load(await createRoot({ organization: 'cluster.local', now: Date.now() }));
  using other = disposable(env.connect(undefined, await workload(stranger, CART)));
  equal((await env.refusal({ csr: await env.csr() }, undefined, other.client)).code, Code.UNAUTHENTICATED);
  using foreign = disposable(env.connect(undefined, await workload(env.authority, 'spiffe://other/ns/shop/sa/cart')));
  equal((await env.refusal({ csr: await env.csr() }, undefined, foreign.client)).code, Code.UNAUTHENTICATED);
  match(env.lines.at(-1) ?? '', /of another trust domain than cluster.local/);
});

test('a caller that asks without end is told to wait, and others are not', async () => {
  await using env = await certificateService();
  const csr = await env.csr();
  for (let i = 0; i < 20; i++) await env.ask({ csr }, 'cart');
  const error = await env.refusal({ csr }, 'cart');
  equal(error.code, Code.RESOURCE_EXHAUSTED);
  match(env.lines.at(-1) ?? '', new RegExp(`CA_RATE.*caller="${CART}"`));
  await env.ask({ csr, identity: CART }, 'zt');
});

test("istiod's own certificate can be replaced under running connections", async () => {
  await using env = await certificateService();
  await env.ask({ csr: await env.csr() }, 'cart');
  const names = ['istiod.istio-system.svc', 'new.example.org'];
  env.tls.replace(await issueServingCertificate(env.authority, names, Date.now()), env.authority.material.rootPem);
  await env.ask({ csr: await env.csr() }, 'cart');
  const fresh = env.connect('new.example.org');
  await new Promise<void>((resolve, reject) =>
    fresh.waitForReady(Date.now() + 60_000, (error) => (error ? reject(error) : resolve())),
  );
  fresh.close();
  deepEqual(env.lines.filter((line) => line.includes('issued')).length, 2);
});

test('a caller may name one of the outside signers of the domain that is set, and the default signs otherwise', async () => {
  await using env = await certificateService();
  await env.ask({ csr: await env.csr(), signer: 'fast' }, 'cart');
  await env.ask({ csr: await env.csr() }, 'cart');
  deepEqual(env.signers, ['example.com/fast', undefined]);
});
