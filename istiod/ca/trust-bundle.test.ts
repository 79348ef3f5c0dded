// SPDX-License-Identifier: Apache-2.0
import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '#lib/kit/clock.ts';
import { createLogger } from '#lib/kit/log.ts';
import type { GenericObject } from '#lib/kube/object.ts';
import { type FakeCluster, fakeCluster } from '#lib/testkit/kube-client.ts';
import { until } from '#lib/testkit/until.ts';
import { TRUST_BUNDLE, TrustBundle } from './trust-bundle.ts';

const BUNDLES = '/apis/certificates.k8s.io/v1beta1/clustertrustbundles';
const LEASES = '/apis/coordination.k8s.io/v1/leases';
const log = createLogger({ scope: 'ca', level: 'off' });

/** `writers` gets the name of each replica that writes. */
function start({ api, client: real }: FakeCluster, identity = 'istiod-1', writers: string[] = []) {
  let root = 'ROOT 1';
  const apply: typeof real.apply = (...given) => {
    writers.push(identity);
    return real.apply(...given);
  };
  const client = new Proxy(real, {
    get: (of, name) => {
      const value: unknown = name === 'apply' ? apply : Reflect.get(of, name);
      return typeof value === 'function' ? value.bind(of) : value;
    },
  });
  const bundle = new TrustBundle({
    ...{ client, clock: systemClock, random: () => 0.5, log, namespace: 'istio-system', identity, leaseSeconds: 30 },
    ...{ goesFirst: () => true, content: () => root },
  });
  bundle.start();
  return {
    holds: () => api.find<GenericObject>(BUNDLES, '', TRUST_BUNDLE)?.spec?.['trustBundle'],
    rotate: (to: string) => {
      root = to;
      bundle.refresh();
    },
    [Symbol.asyncDispose]: () => bundle.stop(),
  };
}

const writes = ({ api }: FakeCluster) =>
  api.requests.filter(({ method, path }) => method === 'PATCH' && path.startsWith(BUNDLES)).length;

test('the root is a ClusterTrustBundle of its signer, and a new root reaches it', async () => {
  await using env = await fakeCluster();
  env.api.put(BUNDLES, { metadata: { name: 'another' } });
  await using bundle = start(env);
  await until('the bundle', () => bundle.holds() === 'ROOT 1');
  deepEqual(env.api.find<GenericObject>(BUNDLES, '', TRUST_BUNDLE)?.spec, {
    signerName: 'istio.io/istiod-ca',
    trustBundle: 'ROOT 1',
  });
  bundle.rotate('ROOT 2');
  await until('the new root', () => bundle.holds() === 'ROOT 2');
});

test('a bundle that is right is not written, one that somebody changed or deleted is put back', async () => {
  await using env = await fakeCluster();
  const right = { signerName: 'istio.io/istiod-ca', trustBundle: 'ROOT 1' };
  env.api.put(BUNDLES, { metadata: { name: TRUST_BUNDLE }, spec: right });
  await using bundle = start(env);
  await until('the lease', () => env.api.find(LEASES, 'istio-system', 'ambit-clustertrustbundle-controller'));
  equal(writes(env), 0);
  env.api.put(BUNDLES, { metadata: { name: TRUST_BUNDLE }, spec: { ...right, trustBundle: 'forged' } });
  await until('the repair', () => bundle.holds() === 'ROOT 1');
  env.api.remove(BUNDLES, '', TRUST_BUNDLE);
  await until('the return', () => bundle.holds() === 'ROOT 1');
});

test('of two replicas one writes the bundle', async () => {
  await using env = await fakeCluster();
  const writers: string[] = [];
  await using one = start(env, 'istiod-1', writers);
  await until('the bundle', () => one.holds() === 'ROOT 1');
  await using two = start(env, 'istiod-2', writers);
  two.rotate('ROOT OF TWO');
  one.rotate('ROOT 2');
  await until('the new root', () => one.holds() === 'ROOT 2');
  // Once each, or again before the own writing was seen.
  deepEqual([...new Set(writers)], ['istiod-1']);
});
