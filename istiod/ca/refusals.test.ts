// SPDX-License-Identifier: Apache-2.0
// Who gets no certificate, over real TLS connections and gRPC: each refusal is a line that names the caller, or who it
// says it is, and the identity it asked for.

import { equal, match } from 'node:assert/strict';
import { test } from 'node:test';
import { status as Code } from '@grpc/grpc-js';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { createLogger } from '#lib/kit/log.ts';
import { CART, certificateService } from '#lib/testkit/certificate-service.ts';
import { FakeClock } from '#lib/testkit/clock.ts';
import { CachedKeys } from '../serve/cached-keys.ts';

const ISSUER = 'https://kubernetes.default.svc';
const PAY = 'spiffe://cluster.local/ns/shop/sa/pay';
const ZTUNNEL = 'spiffe://cluster.local/ns/istio-system/sa/ztunnel';
const LIFE_MS = 24 * 3_600_000;

/** Tokens of `zt-1`, as the cluster signs them. */
async function signer() {
  const { privateKey, publicKey } = await generateKeyPair('ES256');
  const jwk = { ...(await exportJWK(publicKey)), kid: 'k', alg: 'ES256', use: 'sig' };
  const bound = {
    namespace: 'istio-system',
    serviceaccount: { name: 'ztunnel' },
    pod: { name: 'zt-1', uid: 'uid-zt-1' },
  };
  const token = async (now: number, seconds = 3600): Promise<string> =>
    await new SignJWT({ 'kubernetes.io': bound })
      .setProtectedHeader({ alg: 'ES256', kid: 'k' })
      .setSubject('system:serviceaccount:istio-system:ztunnel')
      .setIssuer(ISSUER)
      .setAudience('istio-ca')
      .setExpirationTime(Math.floor(now / 1000) + seconds)
      .sign(privateKey);
  return { jwk, token };
}

for (const { name, token, identity, caller, reason } of [
  {
    name: 'a wrong token',
    token: async () => await (await signer()).token(Date.now()),
    identity: CART,
    caller: 'caller="unknown" claims="system:serviceaccount:istio-system:ztunnel, pod zt-1"',
    reason: /the token is not valid: unknown token/,
  },
  {
    name: 'an expired token',
    token: async () => await (await signer()).token(Date.now(), -60),
    identity: CART,
    caller: 'caller="unknown" claims="system:serviceaccount:istio-system:ztunnel, pod zt-1"',
    reason: /the token is not valid: token has expired/,
  },
  {
    name: 'another node’s token',
    token: async () => 'zt-2',
    identity: CART,
    caller: `caller="${ZTUNNEL}" pod="zt-2"`,
    reason: /no pod of shop\/cart is on the caller’s node n2/,
  },
  {
    name: 'a request for an identity that is not on the caller’s node',
    token: async () => 'zt',
    identity: PAY,
    caller: `caller="${ZTUNNEL}" pod="zt-1"`,
    reason: /no pod of shop\/pay is on the caller’s node n1/,
  },
] as const) {
  test(`${name} is refused, and the log has both names`, async () => {
    await using env = await certificateService();
    const shown = await token();
    if (name === 'an expired token') env.api.tokens.set(shown, { authenticated: false, error: 'token has expired' });
    const error = await env.refusal({ csr: await env.csr(identity), identity }, shown);
    equal(error.code, Code.UNAUTHENTICATED);
    equal(env.lines.length, 1);
    const [line = ''] = env.lines;
    match(line, /certificate refused/);
    equal(line.includes(caller), true, line);
    equal(line.includes(`identity="${identity}"`), true, line);
    match(line, reason);
  });
}

test('without the API server certificates are given for half a certificate’s life, and then callers are told to come back', async () => {
  const { jwk, token } = await signer();
  const clock = new FakeClock(Date.now());
  let keys: CachedKeys | undefined;
  await using env = await certificateService({
    clock,
    cachedKeys: ({ api, client }) => {
      api.documents.set('/.well-known/openid-configuration', { issuer: ISSUER });
      api.documents.set('/openid/v1/jwks', { keys: [jwk] });
      keys = new CachedKeys({
        ...{ client, clock, audiences: ['istio-ca'], trustDomain: () => 'cluster.local' },
        log: createLogger({ scope: 'auth', level: 'off' }),
        pod: (_, name) => env.pods.get('istio-system', name),
        maxSilenceMs: LIFE_MS / 2,
      });
      return keys;
    },
  });
  await keys?.refresh();
  await env.api.stop();
  const request = { csr: await env.csr(), identity: CART };
  await env.ask(request, await token(clock.now()));
  // An expired token is told from a good one without the API server, too.
  const expired = await env.refusal(request, await token(clock.now(), -60));
  equal(expired.code, Code.UNAUTHENTICATED);
  match(env.lines.at(-1) ?? '', /exp.* claim timestamp check failed/);
  await clock.advance(LIFE_MS / 2 - 1_000);
  await env.ask(request, await token(clock.now()));
  await clock.advance(2_000);
  const late = await env.refusal(request, await token(clock.now()));
  equal(late.code, Code.UNAVAILABLE);
  match(env.lines.at(-1) ?? '', /CA_AUTH_UNAVAILABLE.*pod zt-1.*identity=.*silent for 43201 s/);
});
