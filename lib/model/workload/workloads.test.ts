// SPDX-License-Identifier: Apache-2.0

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Workload } from '#lib/mesh/workload.ts';
import { kubeService, namespace, node, type PodText, pod, slice, testModel } from '#lib/testkit/model.ts';
import type { KubeObject, Meta } from '../object/object.ts';

function workload(text: PodText, ...others: KubeObject[]): Workload | undefined {
  const { model } = testModel([pod('cart-1', { ips: ['10.0.0.1'], ...text }), ...others]);
  return model.workloads.get('Kubernetes//Pod/shop/cart-1');
}

test('a pod counts from its first address to its end', () => {
  assert.ok(workload({}));
  assert.ok(workload({ phase: 'Pending' }));
  assert.equal(workload({ ips: [] }), undefined);
  assert.equal(workload({ phase: 'Succeeded' }), undefined);
  assert.equal(workload({ phase: 'Failed' }), undefined);
});

test('a pod is healthy when ready and not on its way out', () => {
  assert.equal(workload({})?.healthy, true);
  assert.equal(workload({ ready: false })?.healthy, false);
  assert.equal(workload({ meta: { deletionTimestamp: '2026-01-01T00:00:00Z' } })?.healthy, false);
});

test('only the annotation of the agent, or a tunnel of its own, makes a pod speak HBONE', () => {
  const mode = { 'istio.io/dataplane-mode': 'ambient' };
  assert.equal(workload({ captured: true })?.protocol, 'hbone');
  assert.equal(workload({ captured: false, labels: mode })?.protocol, 'none');
  const native = workload({ captured: false, labels: { 'networking.istio.io/tunnel': 'http' } });
  assert.deepEqual([native?.protocol, native?.nativeTunnel], ['hbone', true]);
});

const owned = (kind: string, name: string): Partial<Meta> => ({
  generateName: `${name}-`,
  ownerReferences: [{ apiVersion: 'apps/v1', kind, name, controller: true }],
});

const OWNERS: readonly [string, string, Record<string, string>, string][] = [
  ['ReplicaSet', 'cart-7d5f', { 'pod-template-hash': '7d5f' }, 'cart'],
  ['ReplicaSet', 'cart-7d5f', { 'rollouts-pod-template-hash': '7d5f' }, 'cart'],
  ['ReplicaSet', 'bare', {}, 'bare'],
  ['StatefulSet', 'db', {}, 'db'],
  ['Job', 'report-29100000', {}, 'report'],
  ['Job', 'report-7', {}, 'report-7'],
  ['ReplicationController', 'web-3', { deploymentconfig: 'web' }, 'web'],
  ['ReplicaSet', 'cart-7d5f', { 'pod-template-hash': '7d5f', 'service.istio.io/workload-name': 'said' }, 'said'],
];

for (const [kind, name, labels, want] of OWNERS) {
  test(`a pod of ${kind} ${name} with ${JSON.stringify(labels)} belongs to ${want}`, () => {
    assert.equal(workload({ meta: { ...owned(kind, name), labels } })?.workloadName, want);
  });
}

test('canonical name and revision follow their labels in order', () => {
  const of = (labels: Record<string, string>) => {
    const one = workload({ labels });
    return [one?.canonicalName, one?.canonicalRevision];
  };
  assert.deepEqual(of({}), ['cart-1', 'latest']);
  assert.deepEqual(of({ app: 'a', version: 'v1' }), ['a', 'v1']);
  assert.deepEqual(of({ app: 'a', 'app.kubernetes.io/name': 'b', 'app.kubernetes.io/version': 'v2' }), ['b', 'v2']);
  assert.deepEqual(
    of({ 'service.istio.io/canonical-name': 'c', 'service.istio.io/canonical-revision': 'v3', app: 'a' }),
    ['c', 'v3'],
  );
});

test('place and network come from the Node and the root Namespace', () => {
  const one = workload(
    { node: 'n1' },
    node('n1', { 'topology.kubernetes.io/region': 'r', 'topology.kubernetes.io/zone': 'z' }),
    namespace('istio-system', { labels: { 'topology.istio.io/network': 'net1' } }),
  );
  assert.deepEqual([one?.locality, one?.network, one?.node], [{ region: 'r', zone: 'z', subzone: '' }, 'net1', 'n1']);
});

test('a Namespace may forbid the shortcut between pods of one node', () => {
  const of = (value: string) =>
    workload({}, namespace('shop', { annotations: { 'ambit.dev/same-node': value } }))?.sameNodeTunnel;
  assert.deepEqual([of('tunnel'), of('join')], [true, false]);
});

test('a Namespace asks by a label for metrics of its requests', () => {
  const of = (value: string) =>
    workload({}, namespace('shop', { labels: { 'ambit.dev/http-metrics': value } }))?.httpMetrics;
  assert.deepEqual(
    [of('enabled'), of('disabled'), workload({}, namespace('shop', {}))?.httpMetrics],
    [true, false, false],
  );
});

function ports(text: PodText, ...services: KubeObject[]): unknown {
  return [...(workload(text, ...services)?.services ?? [])].map(([key, list]) => [
    key.replace('.shop.svc.cluster.local', ''),
    Object.fromEntries(list.map((one) => [one.servicePort, one.targetPort])),
  ]);
}

test('a pod stands behind the services that select it, with its own ports', () => {
  const app = { app: 'cart' };
  assert.deepEqual(
    ports(
      { labels: app, ports: { http: 8080 } },
      kubeService('number', { selector: app, ports: [{ port: 80, targetPort: 9000 }] }),
    ),
    [['shop/number', { 80: 9000 }]],
  );
  assert.deepEqual(
    ports(
      { labels: app, ports: { http: 8080 } },
      kubeService('named', { selector: app, ports: [{ port: 80, targetPort: 'http' }] }),
    ),
    [['shop/named', { 80: 8080 }]],
  );
  assert.deepEqual(
    ports(
      { labels: app },
      kubeService('lacking', { selector: app, ports: [{ port: 80, targetPort: 'http' }, { port: 81 }] }),
    ),
    [['shop/lacking', { 81: 81 }]],
  );
  assert.deepEqual(ports({ labels: app }, kubeService('x', { selector: { ...app, tier: 'front' } })), []);
  assert.deepEqual(ports({ labels: app }, kubeService('x', { selector: app, namespace: 'depot' })), []);
  assert.deepEqual(
    ports({ labels: app }, kubeService('x', { selector: app, spec: { type: 'ExternalName', selector: app } })),
    [],
  );
});

test('a service without selector has the pods its slices point at', () => {
  const points = (uid: string) =>
    slice('s1', 'manual', {
      endpoints: [{ addresses: ['10.0.0.1'], targetRef: { kind: 'Pod', name: 'cart-1', namespace: 'shop', uid } }],
    });
  const manual = kubeService('manual', { ports: [{ port: 80, targetPort: 8080 }] });
  assert.deepEqual(ports({ meta: { uid: 'u1' } }, manual, points('u1')), [['shop/manual', { 80: 8080 }]]);
  assert.deepEqual(ports({ meta: { uid: 'u1' } }, manual, points('u2')), [], 'an older pod of that name is meant');
});

test('addresses of slices that are no pods are plain workloads', () => {
  const { model } = testModel([
    kubeService('db', { ports: [{ name: 'sql', port: 5432 }] }),
    slice('db-1', 'db', {
      endpoints: [
        { addresses: ['192.0.2.1'] },
        { addresses: ['192.0.2.2'], conditions: { ready: false } },
        { addresses: ['10.0.0.9'], targetRef: { kind: 'Pod', name: 'p' } },
      ],
      ports: [
        { name: 'sql', port: 15432 },
        { name: 'udp', port: 1, protocol: 'UDP' },
      ],
    }),
    slice('db-names', 'db', { addressType: 'FQDN', endpoints: [{ addresses: ['db.example.org'] }] }),
  ]);
  const found = [...model.workloads.values()].map((one) => [
    one.uid,
    one.protocol,
    one.healthy,
    [...one.services.values()],
  ]);
  const served = [[{ servicePort: 5432, targetPort: 15432 }]];
  assert.deepEqual(found, [
    ['Kubernetes/discovery.k8s.io/EndpointSlice/shop/db-1/192.0.2.1', 'none', true, served],
    ['Kubernetes/discovery.k8s.io/EndpointSlice/shop/db-1/192.0.2.2', 'none', false, served],
  ]);
});

test('namespaces that discovery leaves out are not looked at', () => {
  const settings = { discoverySelectors: [{ matchLabels: { mesh: 'yes' }, matchExpressions: [] }] };
  const objects = [pod('cart-1', { ips: ['10.0.0.1'] }), namespace('shop', { labels: { mesh: 'no' } })];
  const live = testModel(objects, settings);
  assert.equal(live.model.workloads.size, 0);
  live.apply(namespace('shop', { labels: { mesh: 'yes' } }));
  assert.equal(live.model.workloads.size, 1);
});
