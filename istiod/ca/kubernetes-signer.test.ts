// SPDX-License-Identifier: Apache-2.0
import { equal, match, ok, rejects } from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { Authority, createRoot } from '#lib/identity/authority.ts';
import { checkCsr, createCsr } from '#lib/identity/csr.ts';
import { generateKey } from '#lib/identity/key.ts';
import { systemClock } from '#lib/kit/clock.ts';
import { createLogger } from '#lib/kit/log.ts';
import { Informer } from '#lib/kube/informer.ts';
import { CERTIFICATE_SIGNING_REQUEST } from '#lib/kube/kind.ts';
import type { Condition, GenericObject } from '#lib/kube/object.ts';
import { fakeCluster } from '#lib/testkit/kube-client.ts';
import { KubernetesSigner } from './kubernetes-signer.ts';

const REQUESTS = '/apis/certificates.k8s.io/v1/certificatesigningrequests';
const CART = 'spiffe://cluster.local/ns/shop/sa/cart';
const HOUR_MS = 3_600_000;

/** A signer outside that signs whatever istiod has approved, or answers as the test wants. */
async function setUp(answer?: Condition) {
  const cluster = await fakeCluster();
  const authority = await Authority.load(await createRoot({ organization: 'outside', now: Date.now() }));
  const seen: GenericObject[] = [];
  const outside = new Informer<GenericObject>({
    client: cluster.client,
    kind: CERTIFICATE_SIGNING_REQUEST,
    clock: systemClock,
    random: Math.random,
    log: createLogger({ scope: 'outside', level: 'off' }),
  });
  const sign = async (object: GenericObject): Promise<void> => {
    const conditions = (object.status?.['conditions'] ?? []) as readonly Condition[];
    if (!conditions.some(({ type }) => type === 'Approved') || object.status?.['certificate'] !== undefined) return;
    seen.push(object);
    const csr = await checkCsr(Buffer.from(String(object.spec?.['request']), 'base64').toString());
    if (!csr.ok) throw new Error('the request cannot be read');
    const { publicKey, uris } = csr.value;
    const chain = await authority.sign({ publicKey, uris, ttlMs: HOUR_MS }, Date.now());
    const status =
      answer === undefined
        ? { conditions, certificate: Buffer.from(chain.join('')).toString('base64') }
        : { conditions: [...conditions, answer] };
    cluster.api.put(REQUESTS, { ...object, status });
  };
  outside.subscribe((changes) => {
    for (const change of changes) if (change.op === 'set') void sign(change.object);
  });
  outside.start();
  const signer = new KubernetesSigner({
    client: cluster.client,
    clock: systemClock,
    signerName: 'example.com/mesh',
    rootPem: authority.material.rootPem,
  });
  const ask = async (uris: readonly string[], csrUri = CART, signerName?: string) => {
    const keys = await generateKey();
    const csrPem = await createCsr(csrUri, keys);
    return await signer.sign({
      publicKey: keys.publicKey,
      uris,
      ttlMs: HOUR_MS,
      csrPem,
      csrUris: [csrUri],
      ...(signerName && { signerName }),
    });
  };
  return {
    ...cluster,
    ask,
    authority,
    seen,
    async [Symbol.asyncDispose]() {
      outside.stop();
      await cluster[Symbol.asyncDispose]();
    },
  };
}

test('a request is approved, signed outside and cleaned up, and the chain ends in the signer’s root', async () => {
  await using env = await setUp();
  const chain = await env.ask([CART]);
  equal(chain.length, 2);
  equal(new X509Certificate(chain[0]!).subjectAltName, `URI:${CART}`);
  ok(new X509Certificate(chain[0]!).verify(new X509Certificate(chain[1]!).publicKey));
  const [request] = env.seen;
  equal(request?.spec?.['signerName'], 'example.com/mesh');
  equal(request?.spec?.['expirationSeconds'], 3600);
  equal(env.api.all(REQUESTS).length, 0);
});

test('a request that names something else than what was judged never reaches the signer', async () => {
  await using env = await setUp();
  await rejects(env.ask(['spiffe://cluster.local/ns/shop/sa/pay']), { code: 'CA_SIGNER' });
  equal(env.seen.length, 0);
});

test('a signer that refuses is named with its reason', async () => {
  await using env = await setUp({ type: 'Failed', status: 'True', message: 'not today' });
  await rejects(env.ask([CART]), (error: Error) => {
    match(error.message, /signer example.com\/mesh: Failed: not today/);
    return true;
  });
});

test('of several signers outside the one that is named signs, and a refusal names it', async () => {
  await using env = await setUp();
  await env.ask([CART], CART, 'example.com/other');
  equal(env.seen[0]?.spec?.['signerName'], 'example.com/other');
  await using refusing = await setUp({ type: 'Denied', status: 'True', message: 'no' });
  await rejects(refusing.ask([CART], CART, 'example.com/other'), /signer example.com\/other: Denied: no/);
});
