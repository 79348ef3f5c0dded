// SPDX-License-Identifier: Apache-2.0
import { equal, match } from 'node:assert/strict';
import { test } from 'node:test';
import type { TokenReview } from '#lib/kube/object.ts';
import { FakeClock } from '#lib/testkit/clock.ts';
import { fakeCluster } from '#lib/testkit/kube-client.ts';
import { Authenticator, judgeReview } from './authenticate.ts';
import type { Credentials } from './caller.ts';

type Status = NonNullable<TokenReview['status']>;

const GOOD: Status = {
  authenticated: true,
  audiences: ['istio-ca'],
  user: {
    username: 'system:serviceaccount:shop:cart',
    groups: ['system:serviceaccounts', 'system:authenticated'],
    extra: {
      'authentication.kubernetes.io/pod-name': ['cart-1'],
      'authentication.kubernetes.io/pod-uid': ['u1'],
    },
  },
};

function metadata(authorization = '', cluster = ''): Credentials {
  return { authorization, cluster, certificate: undefined };
}

async function setUp() {
  const cluster = await fakeCluster();
  const clock = new FakeClock();
  const options = { client: cluster.client, clock, audiences: ['istio-ca'], clusterId: 'Kubernetes' };
  return { ...cluster, clock, authenticator: new Authenticator({ ...options, trustDomain: () => 'cluster.local' }) };
}

test('a good token gives identity, pod name and UID', () => {
  const result = judgeReview(GOOD, ['istio-ca'], 'example.org');
  equal(result.kind === 'known' && result.caller.identity.uri, 'spiffe://example.org/ns/shop/sa/cart');
  equal(result.kind === 'known' && result.caller.pod?.uid, 'u1');
});

const BAD: [string, Status, RegExp][] = [
  ['not authenticated', { authenticated: false, error: 'token has expired' }, /token has expired/],
  ['of another audience', { ...GOOD, audiences: ['vault'] }, /for vault, not for istio-ca/],
  ['of a user', { ...GOOD, user: { ...GOOD.user, username: 'alice' } }, /"alice", which is no service account/],
  [
    'of an odd name',
    { ...GOOD, user: { ...GOOD.user, username: 'system:serviceaccount:a:b:c' } },
    /no service account/,
  ],
  ['without the group', { ...GOOD, user: { ...GOOD.user, groups: [] } }, /not in the group/],
];
for (const [name, status, pattern] of BAD) {
  test(`a token ${name} is refused with the reason`, () => {
    const result = judgeReview(status, ['istio-ca'], 'cluster.local');
    equal(result.kind, 'unknown');
    match(result.kind === 'unknown' ? result.reason : '', pattern);
  });
}

test('a call without a token, or of another cluster, is refused without asking anybody', async () => {
  const env = await setUp();
  await using _ = env;
  equal((await env.authenticator.authenticate(metadata())).kind, 'unknown');
  equal((await env.authenticator.authenticate(metadata('Basic abc'))).kind, 'unknown');
  const result = await env.authenticator.authenticate(metadata('Bearer t', 'elsewhere'));
  match(result.kind === 'unknown' ? result.reason : '', /cluster "elsewhere"/);
  equal(env.api.requests.length, 0);
});

test('many calls with one token are one review, and it is asked again soon', async () => {
  const env = await setUp();
  await using _ = env;
  env.api.tokens.set('t', GOOD);
  const ask = () => env.authenticator.authenticate(metadata('Bearer t', 'Kubernetes'));
  const results = await Promise.all(Array.from({ length: 8 }, ask));
  equal(
    results.every(({ kind }) => kind === 'known'),
    true,
  );
  equal(env.api.requests.length, 1);
  await env.clock.advance(6_000);
  env.api.tokens.delete('t');
  equal((await ask()).kind, 'unknown');
});

test('a refusal is not remembered', async () => {
  const env = await setUp();
  await using _ = env;
  equal((await env.authenticator.authenticate(metadata('Bearer t'))).kind, 'unknown');
  env.api.tokens.set('t', GOOD);
  equal((await env.authenticator.authenticate(metadata('Bearer t'))).kind, 'known');
});

test('an API server that does not answer is no verdict', async () => {
  const env = await setUp();
  await using _ = env;
  await env.api.stop();
  equal((await env.authenticator.authenticate(metadata('Bearer t'))).kind, 'unavailable');
});

test('a crowd with made-up tokens does not become a crowd at the API server', async () => {
  const env = await setUp();
  await using _ = env;
  const results = await Promise.all(
    Array.from({ length: 600 }, (_, i) => env.authenticator.authenticate(metadata(`Bearer t${i}`))),
  );
  equal(results.filter(({ kind }) => kind === 'unavailable').length, 600 - 32 - 512);
  equal(env.api.requests.length, 32 + 512);
});
