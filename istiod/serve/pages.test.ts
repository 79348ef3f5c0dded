// SPDX-License-Identifier: Apache-2.0
import { equal, match } from 'node:assert/strict';
import { test } from 'node:test';
import type { AdminRequest } from '#lib/kit/admin.ts';
import { systemClock } from '#lib/kit/clock.ts';
import { createMetrics } from '#lib/kit/metrics.ts';
import { Readiness } from '#lib/kit/readiness.ts';
import { fakeCluster } from '#lib/testkit/kube-client.ts';
import { Authenticator } from './authenticate.ts';
import { httpPages, isLoopback } from './pages.ts';

function request(remote: string, token?: string): AdminRequest {
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  return { method: 'GET', path: '/debug/mesh', query: new URLSearchParams(), headers, body: '', remote };
}

function account(namespace: string) {
  const user = { username: `system:serviceaccount:${namespace}:x`, groups: ['system:serviceaccounts'] };
  return { authenticated: true, audiences: ['istio-ca'], user };
}

async function setUp() {
  const cluster = await fakeCluster();
  cluster.api.tokens.set('ours', account('istio-system'));
  cluster.api.tokens.set('theirs', account('shop'));
  const readiness = new Readiness();
  const pages = httpPages({
    readiness,
    metrics: createMetrics(),
    beforeMetrics: () => undefined,
    authenticator: new Authenticator({
      client: cluster.client,
      clock: systemClock,
      audiences: ['istio-ca'],
      clusterId: 'Kubernetes',
      trustDomain: () => 'cluster.local',
    }),
    namespace: 'istio-system',
    version: '1',
    clusterId: 'Kubernetes',
    streams: () => [],
    pushAll: () => undefined,
    views: { mesh: () => ({ secret: true }) },
    changesBetween: () => undefined,
    configurationAt: () => undefined,
  });
  return { ...cluster, pages, readiness };
}

test('debug pages are for the pod itself and for identities of the system namespace', async () => {
  const env = await setUp();
  await using _ = env;
  const status = async (remote: string, token?: string) =>
    (await env.pages['/debug/mesh']!(request(remote, token))).status;
  for (const remote of ['127.0.0.1', '::1', '::ffff:127.0.0.1']) equal(await status(remote), 200);
  equal(await status('10.1.1.1', 'ours'), 200);
  equal(await status('10.1.1.1', 'theirs'), 403);
  equal(await status('10.1.1.1', 'forged'), 401);
  equal(await status('10.1.1.1'), 401);
  equal(await status('::ffff:10.1.1.1'), 401);
  await env.api.stop();
  equal(await status('10.1.1.1', 'other'), 503);
});

test('an address that only looks like loopback is not', () => {
  for (const remote of ['', '1127.0.0.1', '::2', '10.127.0.1']) equal(isLoopback(remote), false);
});

test('readiness needs no permission and names what is awaited', async () => {
  const env = await setUp();
  await using _ = env;
  const release = env.readiness.hold('xds caches');
  const waiting = await env.pages['/ready']!(request('10.1.1.1'));
  equal(waiting.status, 503);
  match(waiting.body, /pending: xds caches/);
  release();
  equal((await env.pages['/ready']!(request('10.1.1.1'))).status, 200);
});
