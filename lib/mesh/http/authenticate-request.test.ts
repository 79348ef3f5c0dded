// SPDX-License-Identifier: Apache-2.0

import assert from 'node:assert/strict';
import { createHmac, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { test } from 'node:test';
import { request } from '#lib/testkit/routes.ts';
import { type AuthenticationVerdict, JwtAuthenticator, refusalDetails } from './authenticate-request.ts';
import type { RequestFields } from './request.ts';
import type { JwtRule } from './request-authentication.ts';

const NOW_S = 1_800_000_000;
const RULE: JwtRule = {
  issuer: 'https://issuer',
  audiences: [],
  jwks: '',
  fromHeaders: [],
  fromParams: [],
  fromCookies: [],
  outputPayloadHeader: '',
  outputClaims: [],
  forwardOriginal: false,
  spaceDelimitedClaims: [],
};

const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const ed = generateKeyPairSync('ed25519');
const SECRET = Buffer.from('0123456789abcdef0123456789abcdef');

function jwk(key: KeyObject, fields: object = {}): object {
  return { ...key.export({ format: 'jwk' }), ...fields };
}

const JWKS = JSON.stringify({
  keys: [
    jwk(ec.publicKey, { kid: 'ec' }),
    jwk(rsa.publicKey, { kid: 'rsa' }),
    jwk(ed.publicKey, { kid: 'ed' }),
    { kty: 'oct', kid: 'secret', k: SECRET.toString('base64url') },
    { kty: 'Mystery' },
  ],
});

function part(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

type Sign = (data: Buffer) => Buffer;

const byEc: Sign = (data) => sign('sha256', data, { key: ec.privateKey, dsaEncoding: 'ieee-p1363' });

function token(claims: object = {}, header: object = { alg: 'ES256', kid: 'ec' }, by: Sign = byEc): string {
  const text = `${part(header)}.${part({ iss: 'https://issuer', sub: 'eve', exp: NOW_S + 10, ...claims })}`;
  return `${text}.${by(Buffer.from(text)).toString('base64url')}`;
}

function ask(
  rules: readonly Partial<JwtRule>[],
  fields: RequestFields,
  line = 'GET h/p',
  nowS = NOW_S,
): AuthenticationVerdict {
  const all = rules.map((rule) => ({ ...RULE, jwks: JWKS, ...rule }));
  return new JwtAuthenticator([{ name: 'a/b', services: [], rules: all }]).authenticate(request(line, fields), nowS);
}

function bearer(text: string): RequestFields {
  return { headers: { authorization: `Bearer ${text}` } };
}

function outcome(verdict: AuthenticationVerdict): string {
  return verdict.kind === 'pass' ? `pass ${String(verdict.claims?.['sub'])}` : `${verdict.status} ${verdict.reason}`;
}

test('signatures of every kind of key', () => {
  const cases: readonly (readonly [object, Sign])[] = [
    [{ alg: 'ES256', kid: 'ec' }, byEc],
    [{ alg: 'ES256' }, byEc],
    [{ alg: 'RS256', kid: 'rsa' }, (data) => sign('sha256', data, rsa.privateKey)],
    [{ alg: 'RS512', kid: 'rsa' }, (data) => sign('sha512', data, rsa.privateKey)],
    [{ alg: 'PS384', kid: 'rsa' }, (data) => sign('sha384', data, { key: rsa.privateKey, padding: 6, saltLength: 48 })],
    [{ alg: 'EdDSA', kid: 'ed' }, (data) => sign(null, data, ed.privateKey)],
    [{ alg: 'HS256', kid: 'secret' }, (data) => createHmac('sha256', SECRET).update(data).digest()],
  ];
  for (const [header, by] of cases)
    assert.equal(outcome(ask([{}], bearer(token({}, header, by)))), 'pass eve', JSON.stringify(header));
});

test('a token that is missing passes, one that is bad does not, each for its reason', () => {
  const good = token();
  const [head, payload] = good.split('.') as [string, string];
  const publicPem = Buffer.from(rsa.publicKey.export({ format: 'pem', type: 'spki' }));
  const cases: readonly (readonly [Partial<JwtRule>, string, string])[] = [
    [{}, 'no.token', '401 Jwt is not in the form of Header.Payload.Signature'],
    [{}, `!.${payload}.x`, '401 Jwt header is an invalid Base64url input or an invalid JSON'],
    [{}, token({}, { alg: 'none' }), '401 Jwt header [alg] field value is invalid'],
    [{}, token({}, { alg: 'ES256', crit: ['x'] }), '401 Jwt header [alg] field value is invalid'],
    [{}, `${head}.%%.x`, '401 Jwt payload is an invalid Base64 or an invalid JSON'],
    [{}, `${head}.${payload}.%%`, '401 Jwt signature is an invalid Base64'],
    [{}, `${head}.${payload}.${Buffer.alloc(64).toString('base64url')}`, '401 Jwt verification fails'],
    [{}, token({ iss: 'https://other' }), '401 Jwt issuer is not configured'],
    [{}, token({ exp: NOW_S - 61 }), '401 Jwt is expired'],
    [{}, token({ exp: NOW_S - 59 }), 'pass eve'],
    [{}, token({ nbf: NOW_S + 61 }), '401 Jwt not yet valid'],
    [{ audiences: ['a'] }, token({ aud: ['b'] }), '403 Audiences in Jwt are not allowed'],
    [{ audiences: ['a'] }, token({ aud: ['b', 'a'] }), 'pass eve'],
    [{ audiences: ['a'] }, token({ aud: 'a' }), 'pass eve'],
    [{ jwks: '' }, good, '401 Jwks remote fetch is failed'],
    [{ jwks: '{"keys":[]}' }, good, "401 Jwks doesn't have any valid public key"],
    [{}, token({}, { alg: 'ES256', kid: 'else' }), "401 Jwks doesn't have key to match kid or alg from Jwt"],
    // The public key as an HMAC secret: the oldest trick.
    [
      {},
      token({}, { alg: 'HS256', kid: 'rsa' }, (data) => createHmac('sha256', publicPem).update(data).digest()),
      "401 Jwks doesn't have key to match kid or alg from Jwt",
    ],
  ];
  for (const [rule, text, wanted] of cases) assert.equal(outcome(ask([rule], bearer(text))), wanted, text);
  assert.equal(outcome(ask([{}], {})), 'pass undefined');
});

test('a refusal tells the client where and why', () => {
  const verdict = ask([{}], bearer('x.y'), 'GET shop.org/a?b');
  assert.equal(
    verdict.kind === 'refuse' && verdict.wwwAuthenticate,
    'Bearer realm="http://shop.org/a", error="invalid_token"',
  );
  assert.equal(refusalDetails('Jwt is expired'), 'jwt_authn_access_denied{Jwt_is_expired}');
});

test('places: by default Authorization and access_token, else those of the rule alone', () => {
  const good = token();
  assert.equal(outcome(ask([{}], {}, `GET h/p?access_token=${good}`)), 'pass eve');
  const own = { fromHeaders: [{ name: 'X-Token', value: 'JWT ' }], fromParams: ['t'], fromCookies: ['c'] };
  assert.equal(outcome(ask([own], { headers: { 'x-token': `JWT ${good}` } })), 'pass eve');
  assert.equal(outcome(ask([own], {}, `GET h/p?t=${good}`)), 'pass eve');
  assert.equal(outcome(ask([own], { headers: { cookie: `c=${good}` } })), 'pass eve');
  assert.equal(outcome(ask([own], bearer(good))), 'pass undefined');
});

test('of several rules the one of the token decides', () => {
  const rules = [{ issuer: 'https://a' }, {}, { issuer: 'https://z', jwks: '' }];
  assert.equal(outcome(ask(rules, bearer(token()))), 'pass eve');
  assert.equal(outcome(ask(rules, bearer(token({ iss: 'https://z' })))), '401 Jwks remote fetch is failed');
  assert.equal(outcome(ask(rules, bearer(token({ iss: 'https://q' })))), '401 Jwt issuer is not configured');
});

test('what goes on: claims and payload in headers of ours, the token unless kept, no forged ones', () => {
  const rule = {
    outputPayloadHeader: 'X-Payload',
    outputClaims: [
      { name: 'X-Sub', value: 'sub' },
      { name: 'x-level', value: 'realm.level' },
      { name: 'x-list', value: 'list' },
      { name: 'x-none', value: 'none' },
    ],
  };
  const text = token({ realm: { level: 3 }, list: ['a'] });
  const changes = (fields: RequestFields, more: Partial<JwtRule> = {}): unknown => {
    const verdict = ask([{ ...rule, ...more }], fields);
    return verdict.kind === 'pass' ? verdict.requestHeaders : undefined;
  };
  assert.deepEqual(changes(bearer(text)), {
    set: [
      { name: 'x-payload', value: text.split('.')[1] },
      { name: 'x-sub', value: 'eve' },
      { name: 'x-level', value: '3' },
      { name: 'x-list', value: Buffer.from('["a"]').toString('base64url') },
    ],
    add: [],
    remove: ['authorization', 'x-none'],
  });
  assert.deepEqual(changes({ headers: { 'x-sub': 'forged' } }), {
    set: [],
    add: [],
    remove: ['x-payload', 'x-sub', 'x-level', 'x-list', 'x-none'],
  });
  const kept = ask([{ forwardOriginal: true }], bearer(text));
  assert.equal(kept.kind === 'pass' && kept.requestHeaders, undefined);
});

test('words in claims are lists, for conditions to ask', () => {
  const verdict = ask(
    [{ spaceDelimitedClaims: ['roles'] }],
    bearer(token({ scope: 'read write', roles: 'a b', other: 'a b' })),
  );
  assert.ok(verdict.kind === 'pass');
  assert.deepEqual(
    [verdict.claims?.['scope'], verdict.claims?.['roles'], verdict.claims?.['other']],
    [['read', 'write'], ['a', 'b'], 'a b'],
  );
});

test('a preflight carries no token, and a remembered token expires', () => {
  const headers = { origin: 'https://x', 'access-control-request-method': 'GET', authorization: 'Bearer x.y' };
  assert.equal(outcome(ask([{}], { headers }, 'OPTIONS h/')), 'pass undefined');
  const one = new JwtAuthenticator([{ name: 'a/b', services: [], rules: [{ ...RULE, jwks: JWKS }] }]);
  const asked = request('GET h/', bearer(token()));
  assert.equal(outcome(one.authenticate(asked, NOW_S)), 'pass eve');
  assert.equal(outcome(one.authenticate(asked, NOW_S)), 'pass eve');
  assert.equal(outcome(one.authenticate(asked, NOW_S + 71)), '401 Jwt is expired');
});
