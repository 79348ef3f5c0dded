// SPDX-License-Identifier: Apache-2.0

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { workload } from '#lib/testkit/mesh.ts';
import { request } from '#lib/testkit/routes.ts';
import type { HashKey } from '../http/traffic-policy.ts';
import { affinityOf, sessionHeader, sessionOf } from './affinity.ts';
import { hash32 } from './hash.ts';
import { Host } from './host.ts';

const KEY: HashKey = { kind: 'header', name: 'x-user', cookiePath: '', cookieTtlS: undefined, cookieAttributes: [] };
const COOKIE: HashKey = { ...KEY, kind: 'cookie', name: 'user' };

test('the key of consistent hashing: header, cookie, address, parameter; without one, anywhere', () => {
  const hash = (key: HashKey, line: string, headers = {}): number | undefined =>
    affinityOf(key, request(line, { headers }), Math.random).hash;
  assert.equal(hash(KEY, 'GET a/', { 'X-User': 'eve' }), hash32('eve'));
  assert.equal(hash(KEY, 'GET a/'), undefined);
  assert.equal(hash(COOKIE, 'GET a/', { cookie: 'x=1; user="eve"' }), hash32('eve'));
  assert.equal(hash({ ...KEY, kind: 'source-ip' }, 'GET a/'), hash32('10.0.0.9'));
  assert.equal(hash({ ...KEY, kind: 'query', name: 'u' }, 'GET a/?v=1&u=eve'), hash32('eve'));
  assert.equal(affinityOf(undefined, request('GET a/'), Math.random).hash, undefined);
});

test('a cookie with a lifetime is made when it is missing, one without is only read', () => {
  assert.deepEqual(
    affinityOf(COOKIE, request('GET a/'), () => 0.5),
    { hash: undefined, setCookie: '' },
  );
  const made = affinityOf(
    { ...COOKIE, cookieTtlS: 60, cookiePath: '/x', cookieAttributes: [{ name: 'SameSite', value: 'Lax' }] },
    request('GET a/'),
    () => 0.5,
  );
  assert.equal(made.setCookie, 'user="8000000080000000"; Max-Age=60; Path=/x; SameSite=Lax; HttpOnly');
  assert.equal(made.hash, hash32('8000000080000000'));
  const session = affinityOf({ ...COOKIE, cookieTtlS: 0 }, request('GET a/'), () => 0.5);
  assert.equal(session.setCookie, 'user="8000000080000000"; HttpOnly');
});

test('a session names backend and pod without telling who they are, and ends in time', () => {
  const settings = { kind: 'cookie', name: 's', path: '/', lifetimeS: 0, absoluteTimeoutMs: 1000 } as const;
  const host = new Host({ workload: workload({ name: 'secret-name' }), ports: [] }, 80, {}, 0);
  const [name, value] = sessionHeader(settings, 2, host, 5000);
  assert.equal(name, 'set-cookie');
  assert.doesNotMatch(value, /secret/);
  assert.match(value, /^s=2\.[0-9a-f]{16}\.3uw; Path=\/; HttpOnly$/);
  const back = request('GET a/', { headers: { cookie: `x=y; ${value.split(';')[0]}` } });
  assert.deepEqual(sessionOf(settings, back, 5999), { backend: 2, token: host.token, sinceMs: 5000 });
  assert.equal(sessionOf(settings, back, 6000), undefined);
  assert.equal(sessionOf(settings, request('GET a/', { headers: { cookie: 's=nonsense' } }), 0), undefined);
  const inHeader = { ...settings, kind: 'header', name: 'X-Session' } as const;
  const [header, text] = sessionHeader(inHeader, 0, host, 5000);
  assert.equal(header, 'x-session');
  assert.equal(sessionOf(inHeader, request('GET a/', { headers: { [header]: text } }), 5000)?.token, host.token);
});
