// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { environmentOf, expand, fieldValue, homeOf, type Placement } from './environment.ts';
import type { Container, PodObject } from './pod.ts';
import { parseQuantity } from './quantity.ts';

const placement: Placement = {
  nodeName: 'node-1',
  hostIps: ['172.18.0.11', 'fd00:172:18::b'],
  podIps: ['10.244.1.2', 'fd00:10:244:1::2'],
  allocatable: { cpu: '2', memory: '1Gi' },
};
const pod = (container: Partial<Container> = {}): PodObject => ({
  metadata: { name: 'p', namespace: 'shop', uid: 'u-1', labels: { app: 'web' } },
  spec: { serviceAccountName: 'web', containers: [{ name: 'main', ...container }] },
});
const envOf = (
  container: Partial<Container>,
  data: Record<string, Record<string, string>> = {},
): Record<string, string> => {
  const object = pod(container);
  return environmentOf(object, object.spec.containers[0]!, placement, {}, (kind, name) => data[`${kind}/${name}`]);
};

test('references to earlier variables are expanded, unknown ones and escaped ones stay', () => {
  assert.equal(expand('$(A)-$(B)-$$(A)-$A', { A: '1' }), '1-$(B)-$(A)-$A');
});

test('a pod tells name, labels, addresses and node', () => {
  const asked = [
    'metadata.name',
    "metadata.labels['app']",
    "metadata.annotations['none']",
    'status.podIPs',
    'status.hostIP',
    'spec.nodeName',
  ];
  assert.deepEqual(
    asked.map((path) => fieldValue(pod(), path, placement)),
    ['p', 'web', '', '10.244.1.2,fd00:10:244:1::2', '172.18.0.11', 'node-1'],
  );
  assert.throws(() => fieldValue(pod(), 'spec.hat', placement), /unsupported fieldPath "spec.hat"/);
});

test('later sources win, and a prefix is put before each key', () => {
  const env = envOf(
    {
      envFrom: [{ configMapRef: { name: 'a' } }, { prefix: 'S_', secretRef: { name: 'b' } }],
      env: [{ name: 'X', value: 'own' }],
    },
    { 'ConfigMap/a': { X: '1', Y: '2' }, 'Secret/b': { X: '3' } },
  );
  assert.deepEqual(env, { X: 'own', Y: '2', S_X: '3' });
});

test('a missing source is named, unless it is optional', () => {
  const ref = { name: 'none', key: 'k' };
  assert.throws(
    () => envOf({ env: [{ name: 'X', valueFrom: { secretKeyRef: ref } }] }),
    /couldn't find key k in Secret none in namespace shop/,
  );
  assert.deepEqual(envOf({ env: [{ name: 'X', valueFrom: { secretKeyRef: { ...ref, optional: true } } }] }), {});
});

test('a resource is told in its divisor, a limit that is not set as what the node offers', () => {
  const env = envOf({
    resources: { limits: { cpu: '250m' } },
    env: [
      { name: 'CPU', valueFrom: { resourceFieldRef: { resource: 'limits.cpu', divisor: '1m' } } },
      { name: 'WHOLE', valueFrom: { resourceFieldRef: { resource: 'limits.cpu' } } },
      { name: 'MEM', valueFrom: { resourceFieldRef: { resource: 'limits.memory', divisor: '1Mi' } } },
    ],
  });
  assert.deepEqual(env, { CPU: '250', WHOLE: '1', MEM: '1024' });
});

test('quantities are read with every suffix, and nonsense is refused', () => {
  assert.deepEqual(['1', '100m', '1.5', '2Ki', '3M', '1e3'].map(parseQuantity), [1, 0.1, 1.5, 2048, 3e6, 1000]);
  assert.throws(() => parseQuantity('lots'), /"lots" is no quantity/);
});

test('a user without an entry of its own has no home that it may not read', () => {
  assert.equal(homeOf(0), '/root');
  assert.equal(homeOf(1337), '/');
});
