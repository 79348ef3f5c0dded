// SPDX-License-Identifier: Apache-2.0

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { kubeService, pod, testModel } from '#lib/testkit/model.ts';
import { putObject } from './inputs.ts';

test('kinds that have no meaning without sidecars or Envoy are left alone', () => {
  const live = testModel();
  const before = live.graph.version;
  for (const [apiVersion, kind] of [
    ['networking.istio.io/v1alpha3', 'EnvoyFilter'],
    ['networking.istio.io/v1', 'Sidecar'],
    ['networking.istio.io/v1', 'Gateway'],
    ['extensions.istio.io/v1alpha1', 'WasmPlugin'],
    ['extensions.istio.io/v1alpha1', 'TrafficExtension'],
  ] as const) {
    const metadata = { name: 'x', namespace: 'shop' };
    assert.equal(putObject(live.inputs, { apiVersion, kind, metadata }), false, kind);
  }
  assert.equal(live.graph.version, before);
});

test('a kind of the same name in another group is another kind', () => {
  const live = testModel();
  const metadata = { name: 'w', namespace: 'shop' };
  assert.equal(putObject(live.inputs, { apiVersion: 'gateway.networking.k8s.io/v1', kind: 'Gateway', metadata }), true);
  assert.equal(live.inputs.gateways.size, 1);
});

test('to whom a Service is exported changes nothing of what node proxies are told', () => {
  const told = (exportTo: string | undefined): unknown[] => {
    const annotations = exportTo === undefined ? {} : { 'networking.istio.io/exportTo': exportTo };
    const live = testModel([kubeService('web', { ip: '10.96.0.1', meta: { annotations } })]);
    return [...live.model.addressResources.values()].map(({ version }) => version);
  };
  for (const exportTo of ['.', '*', 'other', '~']) assert.deepEqual(told(exportTo), told(undefined));
});

test('the label that names a pod’s cluster is for its readers: the cluster istiod found it in counts', () => {
  const labels = { app: 'web', 'topology.istio.io/cluster': 'elsewhere' };
  const live = testModel([pod('web-1', { ips: ['10.0.0.1'], labels })]);
  assert.deepEqual(
    [...live.model.workloads.values()].map(({ clusterId }) => clusterId),
    ['Kubernetes'],
  );
});
