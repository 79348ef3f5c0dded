// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { planCluster } from '../fabric/plan.ts';
import { fitted } from './fitted.ts';
import { readManifests } from './install.ts';

const folder = (name: string) => readManifests(join(import.meta.dirname, '../../manifests', name));
const manifests = [...folder('playground'), ...folder('install')];

test('a cluster alone gets the manifests as they are', () => {
  assert.deepEqual(fitted(manifests, planCluster(2), { name: 'one', members: ['one'] }), manifests);
});

test('each of several clusters has its id in every program that asks for it, and its own DNS address', () => {
  const members = ['one', 'one-2'];
  const text = JSON.stringify(fitted(manifests, planCluster(2, 2), { name: 'one-2', members }));
  const ids = [...text.matchAll(/"(\w*CLUSTER_ID)","value":"([^"]+)"/g)].map(([, name, value]) => [name, value]);
  assert.deepEqual(
    ids.filter(([, value]) => value !== 'one-2'),
    [],
  );
  assert.ok(ids.some(([name]) => name === 'CLUSTER_ID') && ids.some(([name]) => name === 'ISTIO_META_CLUSTER_ID'));
  assert.match(text, /"clusterIPs":\["10\.97\.0\.10","fd00:10:97::a"\]/);
});

test('clusters of one machine have no address in common', () => {
  const plans = [1, 2, 3, 4].map((number) => planCluster(2, number));
  const ranges = plans.flatMap((plan) => [...plan.fabricCidrs, ...plan.podCidrs, ...plan.serviceCidrs]);
  assert.equal(new Set(ranges).size, ranges.length);
  for (const plan of plans) {
    for (const node of plan.nodes) {
      const [v4 = '', v6 = ''] = node.podCidrs;
      assert.ok(v4.startsWith(plan.podCidrs[0].slice(0, -'0.0/16'.length)), v4);
      assert.ok(v6.startsWith(plan.podCidrs[1].slice(0, -'::/48'.length)), v6);
    }
  }
});
