// SPDX-License-Identifier: Apache-2.0
//
// What the pods of a waypoint are given, piece by piece: the proxy, and whoever looks at the pods, rely on the names.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { namespace, testModel } from '#lib/testkit/model.ts';
import type { KubeObject } from '../object/object.ts';

interface Template {
  readonly metadata: {
    readonly labels: Readonly<Record<string, string>>;
    readonly annotations: Readonly<Record<string, string>>;
  };
  readonly spec: {
    readonly serviceAccountName: string;
    readonly containers: readonly {
      readonly args: readonly string[];
      readonly ports: readonly { readonly name: string; readonly containerPort: number }[];
      readonly env: readonly { readonly name: string; readonly value?: string; readonly valueFrom?: object }[];
      readonly securityContext: Readonly<Record<string, unknown>>;
      readonly resources: unknown;
      readonly startupProbe: unknown;
      readonly readinessProbe: unknown;
      readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string }[];
    }[];
    readonly volumes: readonly { readonly name: string; readonly projected?: object; readonly configMap?: object }[];
  };
}

const WAYPOINT = {
  ...{ apiVersion: 'gateway.networking.k8s.io/v1', kind: 'Gateway' },
  metadata: { name: 'w', namespace: 'shop', uid: 'uid-w' },
  spec: { gatewayClassName: 'istio-waypoint', listeners: [{ name: 'mesh', port: 15008, protocol: 'HBONE' }] },
} as KubeObject;

function rendered(settings = {}, labels: Readonly<Record<string, string>> = {}) {
  const live = testModel([namespace('shop'), namespace('istio-system', { labels }), WAYPOINT], settings);
  const objects = live.model.gateways.plans.get('shop/w')?.objects ?? [];
  const spec = objects.find(({ kind }) => kind === 'Deployment')?.spec as { readonly template: Template };
  const [container] = spec.template.spec.containers;
  assert.ok(container);
  return { ...spec.template, container, service: objects.find(({ kind }) => kind === 'Service') };
}

test('a waypoint’s proxy is told its control plane, its place in the mesh, and itself', () => {
  const labels = { 'topology.istio.io/network': 'near' };
  const { container } = rendered({ trustDomain: 'example.org', clusterId: 'c1', domain: 'corp' }, labels);
  const values = new Map(container.env.map(({ name, value }) => [name, value]));
  for (const [name, value] of Object.entries({
    ...{ CA_ADDR: 'istiod.istio-system.svc:15012', CA_ADDRESS: 'istiod.istio-system.svc:15012' },
    ...{ TRUST_DOMAIN: 'example.org', ISTIO_META_MESH_ID: 'example.org', ISTIO_META_CLUSTER_ID: 'c1' },
    ...{ ISTIO_META_NETWORK: 'near', ISTIO_META_WORKLOAD_NAME: 'w', PILOT_CERT_PROVIDER: 'istiod' },
    ISTIO_META_OWNER: 'kubernetes://apis/apps/v1/namespaces/shop/deployments/w',
  })) {
    assert.equal(values.get(name), value, name);
  }
  const fromPod = new Map(container.env.map(({ name, valueFrom }) => [name, JSON.stringify(valueFrom)]));
  for (const [name, path] of Object.entries({
    ...{ POD_NAME: 'metadata.name', POD_NAMESPACE: 'metadata.namespace', INSTANCE_IP: 'status.podIP' },
    ...{ SERVICE_ACCOUNT: 'spec.serviceAccountName', HOST_IP: 'status.hostIP', ISTIO_META_NODE_NAME: 'spec.nodeName' },
  })) {
    assert.match(fromPod.get(name) ?? '', new RegExp(`"${path}"`), name);
  }
  assert.deepEqual(container.args.slice(0, 4), ['proxy', 'waypoint', '--domain', '$(POD_NAMESPACE).svc.corp']);
});

test('a waypoint’s pod may do nothing but serve, and is watched from its start', () => {
  const { container, spec } = rendered();
  const { allowPrivilegeEscalation, capabilities, readOnlyRootFilesystem, runAsGroup, runAsNonRoot, runAsUser } =
    container.securityContext;
  assert.deepEqual([allowPrivilegeEscalation, readOnlyRootFilesystem, runAsNonRoot], [false, true, true]);
  assert.deepEqual([runAsUser, runAsGroup, capabilities], [1337, 1337, { drop: ['ALL'] }]);
  const ready = { path: '/healthz/ready', port: 15021 };
  assert.partialDeepStrictEqual(container.startupProbe, { httpGet: ready, periodSeconds: 1, failureThreshold: 30 });
  assert.partialDeepStrictEqual(container.readinessProbe, { httpGet: ready, periodSeconds: 15, failureThreshold: 4 });
  assert.deepEqual(container.resources, {
    requests: { cpu: '100m', memory: '128Mi' },
    limits: { cpu: '2', memory: '1Gi' },
  });
  assert.equal(spec.serviceAccountName, 'w');
});

test('a waypoint’s pod has the root, a token for the authority and its own labels as files', () => {
  const { container, spec } = rendered();
  const source = (path: string): string => {
    const mount = container.volumeMounts.find(({ mountPath }) => mountPath === path);
    return JSON.stringify(spec.volumes.find(({ name }) => name === mount?.name));
  };
  assert.match(source('/var/run/secrets/istio'), /"configMap":\{"name":"istio-ca-root-cert"/);
  assert.match(source('/var/run/secrets/tokens'), /"expirationSeconds":43200,"audience":"istio-ca"/);
  assert.match(source('/etc/istio/pod'), /metadata\.labels/);
});

test('a waypoint’s pods are found by scrapers and dashboards, and its Service keeps traffic near', () => {
  const { container, metadata, service } = rendered({ revision: 'blue' });
  assert.partialDeepStrictEqual(metadata.annotations, {
    ...{ 'prometheus.io/scrape': 'true', 'prometheus.io/port': '15020', 'prometheus.io/path': '/stats/prometheus' },
    'istio.io/rev': 'blue',
  });
  assert.partialDeepStrictEqual(metadata.labels, {
    ...{ 'sidecar.istio.io/inject': 'false', 'istio.io/dataplane-mode': 'none', 'istio.io/rev': 'blue' },
    ...{ 'service.istio.io/canonical-name': 'w', 'service.istio.io/canonical-revision': 'latest' },
    'gateway.networking.k8s.io/gateway-name': 'w',
  });
  assert.deepEqual(
    container.ports.map(({ containerPort, name }) => `${name} ${containerPort}`),
    ['metrics 15020', 'status-port 15021'],
  );
  assert.equal(service?.metadata.annotations?.['networking.istio.io/traffic-distribution'], 'PreferClose');
  assert.equal(service.spec?.['ipFamilyPolicy'], 'PreferDualStack');
});
