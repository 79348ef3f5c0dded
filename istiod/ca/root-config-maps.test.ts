// SPDX-License-Identifier: Apache-2.0
import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '#lib/kit/clock.ts';
import { createLogger } from '#lib/kit/log.ts';
import { Informer } from '#lib/kube/informer.ts';
import { CONFIG_MAP, NAMESPACE } from '#lib/kube/kind.ts';
import type { ConfigMap } from '#lib/kube/object.ts';
import { fakeCluster } from '#lib/testkit/kube-client.ts';
import { until } from '#lib/testkit/until.ts';
import { RootConfigMaps } from './root-config-maps.ts';

const NAMESPACES = '/api/v1/namespaces';
const MAPS = '/api/v1/configmaps';
const NAME = 'istio-ca-root-cert';
const log = createLogger({ scope: 'ca', level: 'off' });

async function setUp() {
  const cluster = await fakeCluster();
  for (const name of ['shop', 'kube-system', 'kube-public']) cluster.api.put(NAMESPACES, { metadata: { name } });
  const common = { client: cluster.client, clock: systemClock, random: () => 0.5, log };
  const namespaces = new Informer({ ...common, kind: NAMESPACE });
  const configMaps = new Informer({
    ...common,
    kind: CONFIG_MAP,
    selection: { fieldSelector: `metadata.name=${NAME}` },
  });
  let root = 'ROOT 1';
  const maps = new RootConfigMaps({
    ...common,
    namespace: 'istio-system',
    leaseSeconds: 30,
    identity: 'istiod-1',
    name: NAME,
    namespaces,
    configMaps,
    content: () => root,
    goesFirst: () => true,
  });
  namespaces.start();
  configMaps.start();
  await Promise.all([namespaces.whenSynced(), configMaps.whenSynced()]);
  maps.start();
  const rootIn = (namespace: string) => cluster.api.find<ConfigMap>(MAPS, namespace, NAME)?.data?.['root-cert.pem'];
  return {
    ...cluster,
    maps,
    /** What the watch has brought back of a namespace's map. */
    seen: (namespace: string) => configMaps.get(`${namespace}/${NAME}`)?.data?.['root-cert.pem'],
    rootIn,
    rotate: (to: string) => {
      root = to;
      maps.refresh();
    },
    writes: () => cluster.api.requests.filter(({ method }) => method === 'PATCH').length,
    async [Symbol.asyncDispose]() {
      await maps.stop();
      namespaces.stop();
      configMaps.stop();
      await cluster[Symbol.asyncDispose]();
    },
  };
}

test('every namespace gets the root, a new one too, and those that forbid writing are left alone', async () => {
  await using env = await setUp();
  await until('the first ones', () => env.rootIn('shop') === 'ROOT 1' && env.rootIn('kube-system') === 'ROOT 1');
  env.api.put(NAMESPACES, { metadata: { name: 'later' } });
  await until('the new one', () => env.rootIn('later') === 'ROOT 1');
  equal(env.rootIn('kube-public'), undefined);
});

test('a map that somebody changed or deleted is put back, and nothing is written while it is right', async () => {
  await using env = await setUp();
  await until('the map', () => env.rootIn('shop') === 'ROOT 1' && env.rootIn('kube-system') === 'ROOT 1');
  env.api.put(MAPS, { metadata: { name: NAME, namespace: 'shop' }, data: { 'root-cert.pem': 'forged' } } as ConfigMap);
  await until('the repair', () => env.rootIn('shop') === 'ROOT 1');
  env.api.remove(MAPS, 'shop', NAME);
  await until('the return', () => env.rootIn('shop') === 'ROOT 1' && env.seen('shop') === 'ROOT 1');
  const before = env.writes();
  env.maps.refresh();
  env.api.put(NAMESPACES, { metadata: { name: 'shop', labels: { a: 'b' } } });
  env.api.put(NAMESPACES, { metadata: { name: 'last' } });
  await until('the last one', () => env.rootIn('last') === 'ROOT 1');
  deepEqual(env.writes() - before, 1);
});

test('a new root reaches every namespace', async () => {
  await using env = await setUp();
  await until('the map', () => env.rootIn('shop') === 'ROOT 1');
  env.rotate('ROOT 2');
  await until('the new root', () => env.rootIn('shop') === 'ROOT 2' && env.rootIn('kube-system') === 'ROOT 2');
});

test('with nothing to put into them no map is written, and another key and lease serve another content', async () => {
  await using cluster = await fakeCluster();
  cluster.api.put(NAMESPACES, { metadata: { name: 'shop' } });
  const common = { client: cluster.client, clock: systemClock, random: () => 0.5, log };
  const namespaces = new Informer({ ...common, kind: NAMESPACE });
  const configMaps = new Informer({ ...common, kind: CONFIG_MAP });
  let list: string | undefined;
  const maps = new RootConfigMaps({
    ...{ ...common, namespace: 'istio-system', leaseSeconds: 30, identity: 'istiod-1', name: 'istio-ca-crl' },
    ...{ namespaces, configMaps, content: () => list, key: 'ca-crl.pem', lease: 'lists', goesFirst: () => true },
  });
  for (const informer of [namespaces, configMaps]) informer.start();
  await Promise.all([namespaces.whenSynced(), configMaps.whenSynced()]);
  maps.start();
  const lease = () => cluster.api.find('/apis/coordination.k8s.io/v1/leases', 'istio-system', 'lists');
  await until('its lease', () => lease() !== undefined);
  equal(cluster.api.requests.filter(({ method }) => method === 'PATCH').length, 0);
  list = 'LIST';
  maps.refresh();
  await until('the list', () => cluster.api.find(MAPS, 'shop', 'istio-ca-crl') !== undefined);
  equal(cluster.api.find<ConfigMap>(MAPS, 'shop', 'istio-ca-crl')?.data?.['ca-crl.pem'], 'LIST');
  await maps.stop();
  for (const informer of [namespaces, configMaps]) informer.stop();
});
