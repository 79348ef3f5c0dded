// SPDX-License-Identifier: Apache-2.0
// Tokens of requests, seen from both ends of the program: who may pass, and what the server is told of the client.
import assert from 'node:assert/strict';
import { generateKeyPairSync, sign } from 'node:crypto';
import { createServer, request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import { backendOf, WaypointProgram } from '#lib/testkit/waypoint.ts';

const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const ISSUER = 'https://issuer.example';

function token(claims: object): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const text = `${part({ alg: 'ES256' })}.${part({ iss: ISSUER, sub: 'eve', ...claims })}`;
  return `${text}.${sign('sha256', Buffer.from(text), { key: privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
}

let seen: IncomingHttpHeaders = {};
const server = createServer((request, response) => {
  seen = request.headers;
  response.end('ok');
});
let program: WaypointProgram;

before(async () => {
  await new Promise<void>((done) => server.listen(0, '0.0.0.0', () => done()));
  const path = (value: string): object => ({ path: { kind: 'KIND_SEGMENTS', value } });
  const ofAdmins = { http: { claims: [{ name: 'groups', value: { any: [{ value: 'admins' }] } }] } };
  const byHeader = { http: { headers: [{ name: 'x-user', value: { any: [{ value: 'root' }] } }] } };
  const inherited = { http: { headers: [{ name: 'constructor', value: { any: [{ value: 'root' }] } }] } };
  const byClaim = { http: { claims: [{ name: '__proto__', value: { any: [{ value: 'root' }] } }] } };
  const open = { http: { paths: { any: [{ kind: 'KIND_PREFIX', value: '/open' }] } } };
  program = await WaypointProgram.start({
    services: [{ name: 'app', ports: [(server.address() as AddressInfo).port] }],
    routes: [{ match: path(''), rule: { backends: [backendOf('app')] } }],
    more: {
      requestAuthentications: [
        {
          name: 'default/jwt',
          rules: [
            {
              issuer: ISSUER,
              jwks: JSON.stringify({ keys: [publicKey.export({ format: 'jwk' })] }),
              outputClaims: [
                { name: 'x-user', value: 'sub' },
                { name: 'x-inherited', value: 'toString' },
              ],
            },
          ],
        },
      ],
      accessPolicies: [
        {
          name: 'default/who',
          rules: [ofAdmins, byHeader, inherited, byClaim, open].map((match) => ({ clauses: [{ matches: [match] }] })),
        },
      ],
    },
  });
});
after(async () => {
  await program?.stop();
  server.close().closeAllConnections();
});

function ask(
  path: string,
  headers: Record<string, string>,
): Promise<{ status: number; body: string; challenge: string }> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(program.url(path), { headers, agent: false }, (answer) => {
      let body = '';
      answer.setEncoding('utf8').on('data', (part: string) => {
        body += part;
      });
      const challenge = answer.headers['www-authenticate'] ?? '';
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, body, challenge }));
    });
    request.on('error', reject).end();
  });
}

test('a good token lets in whom its claims let in, and the server learns of claims instead of the token', async () => {
  const admin = { authorization: `Bearer ${token({ groups: ['admins'] })}` };
  assert.equal((await ask('/admin', admin)).status, 200);
  assert.deepEqual([seen['x-user'], seen.authorization], ['eve', undefined]);
  const other = { authorization: `Bearer ${token({ groups: ['guests'] })}` };
  assert.deepEqual(await ask('/admin', other), { status: 403, body: 'RBAC: access denied', challenge: '' });
});

test('a bad token is refused with its reason, a missing one is left to policies', async () => {
  const bad = await ask('/open', { host: 'app.example', authorization: `Bearer ${token({ exp: 1 })}` });
  assert.deepEqual(bad, {
    status: 401,
    body: 'Jwt is expired',
    challenge: 'Bearer realm="http://app.example/open", error="invalid_token"',
  });
  assert.equal((await ask('/open', {})).status, 200);
  assert.equal((await ask('/admin', {})).status, 403);
});

test('a header that speaks for tokens cannot be forged, neither to policies nor to the server', async () => {
  assert.equal((await ask('/admin', { 'x-user': 'root' })).status, 403);
  assert.equal((await ask('/open', { 'x-user': 'root' })).status, 200);
  assert.equal(seen['x-user'], undefined);
});

test('claims and headers named as what objects inherit are there when they were sent, and only then', async () => {
  const bearer = (claims: string): Record<string, string> => ({
    authorization: `Bearer ${token(JSON.parse(claims) as object)}`,
  });
  assert.equal((await ask('/admin', bearer('{}'))).status, 403);
  assert.equal((await ask('/admin', bearer('{"__proto__": "root"}'))).status, 200);
  assert.equal(seen['x-inherited'], undefined);
  assert.equal((await ask('/admin', bearer('{"__proto__": {"groups": ["admins"]}}'))).status, 403);
  assert.equal((await ask('/open', bearer('{"toString": "kept", "scope": "a b"}'))).status, 200);
  assert.equal(seen['x-inherited'], 'kept');
  assert.equal((await ask('/admin', { toString: 'root', valueOf: 'x' })).status, 403);
  assert.equal((await ask('/admin', { constructor: 'root' })).status, 200);
  assert.equal(Object.hasOwn(seen, 'constructor'), true);
});
