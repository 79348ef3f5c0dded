// SPDX-License-Identifier: Apache-2.0
import { deepEqual, equal, match } from 'node:assert/strict';
import { test } from 'node:test';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { systemClock } from '#lib/kit/clock.ts';
import { formatProblem } from '#lib/kit/result.ts';
import { fakeCluster } from '#lib/testkit/kube-client.ts';
import { Authenticator } from './authenticate.ts';
import { OwnIssuer, readIssuerRule } from './issuer-rule.ts';

const ISSUER = 'https://tokens.example';

async function setUp() {
  const keys = await generateKeyPair('ES256');
  const jwks = { keys: [{ ...(await exportJWK(keys.publicKey)), alg: 'ES256' }] };
  const rule = readIssuerRule(JSON.stringify({ issuer: ISSUER, audiences: ['istio-ca'], jwks: JSON.stringify(jwks) }));
  if (!rule.ok) throw new Error('the rule cannot be read');
  const cluster = await fakeCluster();
  const trustDomain = () => 'cluster.local';
  const authenticator = new Authenticator({
    ...{ client: cluster.client, clock: systemClock, audiences: ['istio-ca'], clusterId: 'Kubernetes', trustDomain },
    ownIssuer: new OwnIssuer(rule.value, { clock: systemClock, trustDomain }),
  });
  const token = (claims: { sub?: string; iss?: string; aud?: string; exp?: string } = {}, by = keys) => {
    const { aud = 'istio-ca', exp = '5m', iss = ISSUER, sub = 'system:serviceaccount:vms:db' } = claims;
    const jwt = new SignJWT({}).setProtectedHeader({ alg: 'ES256' }).setSubject(sub).setIssuer(iss);
    return jwt.setAudience(aud).setExpirationTime(exp).sign(by.privateKey);
  };
  const ask = async (text: string) =>
    await authenticator.authenticate({ authorization: `Bearer ${text}`, cluster: '', certificate: undefined });
  return { ...cluster, ask, token, [Symbol.asyncDispose]: () => cluster[Symbol.asyncDispose]() };
}

test('a token of the issuer that is set proves its subject’s account, without asking the API server', async () => {
  await using env = await setUp();
  const found = await env.ask(await env.token());
  equal(found.kind === 'known' && found.caller.identity.uri, 'spiffe://cluster.local/ns/vms/sa/db');
  equal(found.kind === 'known' && found.caller.pod, undefined);
  equal(env.api.requests.length, 0);
});

test('one that is expired, forged, for others or of no account is refused with the reason', async () => {
  await using env = await setUp();
  const stranger = await generateKeyPair('ES256');
  const bad: [string, RegExp][] = [
    [await env.token({ exp: '-1m' }), /"exp" claim/],
    [await env.token({}, stranger), /signature/],
    [await env.token({ aud: 'vault' }), /"aud" claim/],
    [await env.token({ sub: 'db' }), /"db" is no service account/],
  ];
  for (const [token, reason] of bad) {
    const found = await env.ask(token);
    equal(found.kind, 'unknown');
    match(found.kind === 'unknown' ? found.reason : '', reason);
  }
});

test('tokens of others are the API server’s to judge', async () => {
  await using env = await setUp();
  const user = { username: 'system:serviceaccount:shop:cart', groups: ['system:serviceaccounts'] };
  const token = await env.token({ iss: 'https://kubernetes.default.svc' });
  env.api.tokens.set(token, { authenticated: true, audiences: ['istio-ca'], user });
  const found = await env.ask(token);
  equal(found.kind === 'known' && found.caller.identity.uri, 'spiffe://cluster.local/ns/shop/sa/cart');
});

test('a rule that cannot be obeyed is told with what it lacks', () => {
  const told = (text: string) => {
    const read = readIssuerRule(text);
    return read.ok ? '' : read.problems.map(formatProblem).join();
  };
  const issuer = ISSUER;
  const audiences = ['istio-ca'];
  match(told('{'), /JWT_RULE: is no JSON; write/);
  match(told('{"audiences":["a"]}'), /names no issuer/);
  match(told(JSON.stringify({ issuer, jwksUri: 'https://x/keys' })), /names no audiences/);
  for (const keys of [{}, { jwksUri: 'nonsense' }, { jwks: '{}' }, { jwks: 'x' }]) {
    match(told(JSON.stringify({ issuer, audiences, ...keys })), /names no keys/);
  }
  const read = readIssuerRule(JSON.stringify({ issuer, audiences, jwks_uri: 'https://x/keys' }));
  deepEqual(read.ok && read.value.jwksUri, 'https://x/keys');
});
