// SPDX-License-Identifier: Apache-2.0
// BackendTLSPolicies in a whole istiod, against a fake API: what they name is read, and their status says what became of them.
import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import type { GenericObject } from '#lib/kube/object.ts';
import { createTestCa } from '#lib/testkit/certificates.ts';
import { populate, startApp } from '#lib/testkit/istiod.ts';
import { fakeCluster } from '#lib/testkit/kube-client.ts';
import { until } from '#lib/testkit/until.ts';
import { nextPolicyStatus } from './policy-status.ts';

const POLICIES = '/apis/gateway.networking.k8s.io/v1/backendtlspolicies';
const CONFIG_MAPS = '/api/v1/configmaps';

interface Ancestor {
  readonly ancestorRef: object;
  readonly controllerName: string;
  readonly conditions: readonly {
    readonly type: string;
    readonly reason: string;
    readonly observedGeneration?: number;
  }[];
}

const POLICY: GenericObject = {
  metadata: { name: 'tls', namespace: 'shop', generation: 3, uid: 'uid-tls' },
  spec: {
    targetRefs: [{ group: '', kind: 'Service', name: 'cart' }],
    validation: { caCertificateRefs: [{ group: '', kind: 'ConfigMap', name: 'ca' }], hostname: 'cart.example' },
  },
};

test('a ConfigMap that a BackendTLSPolicy names is read as long as it is named, and its status follows', async () => {
  const ca = await createTestCa();
  const cluster = await fakeCluster();
  await using stack = new AsyncDisposableStack();
  stack.defer(() => cluster[Symbol.asyncDispose]());
  populate(cluster);
  cluster.api.put('/api/v1/services', {
    metadata: { name: 'cart', namespace: 'shop', uid: 'uid-cart' },
    spec: { clusterIP: '10.96.0.77', clusterIPs: ['10.96.0.77'], ports: [{ name: 'web', port: 80 }] },
  } as GenericObject);
  cluster.api.put(POLICIES, POLICY);
  const istiod = await startApp(cluster);
  stack.defer(() => istiod[Symbol.asyncDispose]());
  const told = (): string[] => {
    const status = cluster.api.find<GenericObject>(POLICIES, 'shop', 'tls')?.status;
    const ancestors = (status?.['ancestors'] ?? []) as readonly Ancestor[];
    return ancestors.flatMap(({ conditions, controllerName }) =>
      conditions.map(
        ({ observedGeneration, reason, type }) => `${controllerName} ${type} ${reason} ${observedGeneration}`,
      ),
    );
  };
  await until('the missing ConfigMap is told of', () => told().some((one) => one.includes('InvalidCACertificateRef')));
  cluster.api.put(CONFIG_MAPS, {
    metadata: { name: 'ca', namespace: 'shop' },
    data: { 'ca.crt': ca.rootPem },
  } as GenericObject);
  await until('it is accepted', () => told().some((one) => one.includes('Accepted Accepted')));
  deepEqual(told(), [
    'istio.io/mesh-controller Accepted Accepted 3',
    'istio.io/mesh-controller ResolvedRefs ResolvedRefs 3',
  ]);
  cluster.api.put(CONFIG_MAPS, { metadata: { name: 'ca', namespace: 'shop' }, data: {} } as GenericObject);
  await until('its loss is told of', () => told().some((one) => one.includes('NoValidCACertificate')));
});

test('other controllers’ words about a policy stay, and what says the same is not written again', () => {
  const theirs = { ancestorRef: { name: 'x' }, controllerName: 'example.com/other', conditions: [] };
  const ancestors = [
    {
      ref: { group: '', kind: 'Service', name: 'cart', namespace: 'shop' },
      gateway: false,
      conditions: [{ type: 'Accepted', status: true, reason: 'Accepted', message: '' }],
    },
  ];
  const object = { ...POLICY, status: { ancestors: [theirs] } };
  const status = nextPolicyStatus(object, { key: 'shop/tls', ancestors }, true, 0);
  const written = status?.['ancestors'] as readonly Ancestor[];
  deepEqual(
    written.map(({ controllerName }) => controllerName),
    ['example.com/other', 'ambit.dev/mesh-controller'],
  );
  equal(nextPolicyStatus({ ...object, status: status! }, { key: 'shop/tls', ancestors }, true, 9), undefined);
  deepEqual(nextPolicyStatus({ ...object, status: status! }, undefined, true, 9), { ancestors: [theirs] });
});
