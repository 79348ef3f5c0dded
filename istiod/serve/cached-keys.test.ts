// SPDX-License-Identifier: Apache-2.0
import { equal, match } from 'node:assert/strict';
import { test } from 'node:test';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { createLogger } from '#lib/kit/log.ts';
import type { Pod } from '#lib/kube/object.ts';
import { FakeClock } from '#lib/testkit/clock.ts';
import { fakeCluster } from '#lib/testkit/kube-client.ts';
import { until } from '#lib/testkit/until.ts';
import { Authenticator } from './authenticate.ts';
import { CachedKeys } from './cached-keys.ts';

const ISSUER = 'https://kubernetes.default.svc.cluster.local';
const HOUR_MS = 3_600_000;
const CART: Pod = {
  metadata: { namespace: 'shop', name: 'cart-1', uid: 'u1' },
  spec: { serviceAccountName: 'cart', nodeName: 'n1' },
};

interface Claims {
  readonly audience?: string;
  readonly seconds?: number;
  readonly uid?: string;
  readonly account?: string;
  readonly bound?: boolean;
}

async function setUp(maxSilenceMs = 12 * HOUR_MS) {
  const cluster = await fakeCluster();
  const { privateKey, publicKey } = await generateKeyPair('RS256');
  const jwk = { ...(await exportJWK(publicKey)), kid: 'k1', alg: 'RS256', use: 'sig' };
  cluster.api.documents.set('/.well-known/openid-configuration', { issuer: ISSUER });
  cluster.api.documents.set('/openid/v1/jwks', { keys: [jwk] });
  const clock = new FakeClock(Date.now());
  const options = { client: cluster.client, clock, audiences: ['istio-ca'], trustDomain: () => 'cluster.local' };
  const cachedKeys = new CachedKeys({
    ...options,
    log: createLogger({ scope: 'auth', level: 'off' }),
    pod: (namespace, name) => (namespace === 'shop' && name === 'cart-1' ? CART : undefined),
    maxSilenceMs,
  });
  const authenticator = new Authenticator({ ...options, clusterId: 'Kubernetes', cachedKeys });
  const token = (claims: Claims = {}, key = privateKey) => {
    const { account = 'cart', audience = 'istio-ca', bound = true, seconds = 24 * 3600, uid = 'u1' } = claims;
    const pod = bound ? { pod: { name: 'cart-1', uid } } : {};
    const now = Math.floor(clock.now() / 1000);
    return new SignJWT({ 'kubernetes.io': { namespace: 'shop', serviceaccount: { name: account }, ...pod } })
      .setProtectedHeader({ alg: 'RS256', kid: 'k1' })
      .setIssuer(ISSUER)
      .setAudience(audience)
      .setExpirationTime(now + seconds)
      .sign(key);
  };
  const judge = async (text: string) =>
    await authenticator.authenticate({ authorization: `Bearer ${text}`, cluster: '', certificate: undefined });
  return { ...cluster, clock, cachedKeys, judge, token };
}

test('while the API server is away a good token still proves its pod’s identity, for a bounded time', async () => {
  await using env = await setUp();
  await env.cachedKeys.refresh();
  await env.api.stop();
  const result = await env.judge(await env.token());
  equal(result.kind === 'known' && result.caller.identity.uri, 'spiffe://cluster.local/ns/shop/sa/cart');
  equal(result.kind === 'known' && result.caller.pod?.uid, 'u1');
  await env.clock.advance(11 * HOUR_MS);
  equal((await env.judge(await env.token())).kind, 'known');
  await env.clock.advance(2 * HOUR_MS);
  const late = await env.judge(await env.token());
  equal(late.kind, 'unavailable');
  match(late.kind === 'unavailable' ? late.reason : '', /silent for 46800 s/);
});

test('without the API server a forged, expired, foreign or unbound token is refused with the reason', async () => {
  await using env = await setUp();
  await env.cachedKeys.refresh();
  await env.api.stop();
  const { privateKey: stranger } = await generateKeyPair('RS256');
  const cases: [string, RegExp][] = [
    [await env.token({}, stranger), /signature verification failed/],
    [await env.token({ seconds: -60 }), /"exp" claim timestamp check failed/],
    [await env.token({ audience: 'other' }), /unexpected "aud" claim value/],
    [await env.token({ uid: 'u0' }), /pod shop\/cart-1 \(u0\) is not known/],
    [await env.token({ account: 'pay' }), /does not run as pay/],
    [await env.token({ bound: false }), /not bound to a pod/],
    ['nonsense', /Invalid Compact JWS/],
  ];
  for (const [token, reason] of cases) {
    const result = await env.judge(token);
    equal(result.kind, 'unknown');
    match(result.kind === 'unknown' ? result.reason : '', reason);
  }
});

test('where certificates live for minutes the keys are read often enough to last half a life', async () => {
  await using env = await setUp(60_000);
  const stop = new AbortController();
  const running = env.cachedKeys.run(stop.signal);
  const reads = (): number => env.api.requests.filter(({ path }) => path === '/openid/v1/jwks').length;
  for (let read = 1; read <= 5; read++) {
    await until('the keys', () => reads() === read && env.clock.waiting > 0);
    await env.clock.advance(15_000);
  }
  stop.abort();
  await running;
  // The last word came 15 s ago at most: at least 45 s are left.
  await env.api.stop();
  await env.clock.advance(44_000);
  equal((await env.judge(await env.token())).kind, 'known');
  await env.clock.advance(17_000);
  equal((await env.judge(await env.token())).kind, 'unavailable');
});

test('before the keys have been read once nobody is judged without the API server', async () => {
  await using env = await setUp();
  await env.api.stop();
  equal((await env.judge(await env.token())).kind, 'unavailable');
});

test('while the API server answers, its word counts and not the cached keys', async () => {
  await using env = await setUp();
  await env.cachedKeys.refresh();
  const result = await env.judge(await env.token());
  equal(result.kind, 'unknown');
  match(result.kind === 'unknown' ? result.reason : '', /unknown token/);
});
