// SPDX-License-Identifier: Apache-2.0
//
// Workloads that are no pods: WorkloadEntries, and endpoints of ServiceEntries.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Workload } from '#lib/mesh/workload.ts';
import {
  authorizationPolicy,
  kubeService,
  namespace,
  pod,
  serviceEntry,
  testModel,
  waypointGateway,
  workloadEntry,
} from '#lib/testkit/model.ts';
import type { ServiceEntry } from '../object/entry.ts';
import type { KubeObject } from '../object/object.ts';

const VM = 'Kubernetes/networking.istio.io/WorkloadEntry/shop/vm-1';

function vm(objects: readonly KubeObject[], settings = {}): Workload | undefined {
  return testModel(objects, settings).model.workloads.get(VM);
}

const ports = (workload: Workload | undefined): unknown =>
  [...(workload?.services ?? [])].map(([key, list]) => [
    key,
    ...list.map((one) => `${one.servicePort}→${one.targetPort}`),
  ]);

test('a WorkloadEntry is a workload with the names, place and weight it gives', () => {
  const workload = vm([
    workloadEntry(
      'vm-1',
      {
        address: '192.0.2.1',
        serviceAccount: 'vm',
        labels: { app: 'db', version: 'v2' },
        locality: 'eu/eu-1/rack-3',
        weight: 7,
        network: 'yard',
      },
      'shop',
      { labels: { app: 'overridden' }, annotations: { 'istio.io/autoRegistrationGroup': 'databases' } },
    ),
  ]);
  assert.deepEqual(
    {
      addresses: workload?.addresses.map(String),
      ...(workload && {
        account: workload.serviceAccount,
        names: [workload.canonicalName, workload.canonicalRevision, workload.workloadName],
        locality: workload.locality,
        capacity: workload.capacity,
        network: workload.network,
        protocol: workload.protocol,
        healthy: workload.healthy,
      }),
    },
    {
      addresses: ['192.0.2.1'],
      account: 'vm',
      names: ['db', 'v2', 'databases'],
      locality: { region: 'eu', zone: 'eu-1', subzone: 'rack-3' },
      capacity: 7,
      network: 'yard',
      protocol: 'none',
      healthy: true,
    },
  );
});

test('an address that is a name is resolved by clients, and a socket of one machine is no workload', () => {
  const named = vm([workloadEntry('vm-1', { address: 'db.test' })]);
  assert.deepEqual([named?.addresses, named?.hostname], [[], 'db.test']);
  assert.equal(vm([workloadEntry('vm-1', { address: 'unix:///run/db' })]), undefined);
  assert.equal(vm([workloadEntry('vm-1', {})]), undefined, 'neither address nor network');
  assert.equal(vm([workloadEntry('vm-1', { network: 'yard' })])?.network, 'yard');
});

test('a machine is tunnelled to by its label or by the agent’s annotation', () => {
  const labelled = vm([
    workloadEntry('vm-1', { address: '192.0.2.1', labels: { 'networking.istio.io/tunnel': 'http' } }),
  ]);
  assert.deepEqual([labelled?.protocol, labelled?.nativeTunnel], ['hbone', true]);
  const captured = vm([
    workloadEntry('vm-1', { address: '192.0.2.1' }, 'shop', {
      annotations: { 'ambient.istio.io/redirection': 'enabled' },
    }),
  ]);
  assert.deepEqual([captured?.protocol, captured?.nativeTunnel], ['hbone', false]);
});

test('a probe that failed takes the machine out of balancing, unless settings say that health is not judged', () => {
  const ill = workloadEntry('vm-1', { address: '192.0.2.1' }, 'shop', {
    status: { conditions: [{ type: 'Healthy', status: 'False' }] },
  });
  assert.equal(vm([ill])?.healthy, false);
  assert.equal(vm([ill], { entryHealth: false })?.healthy, true);
});

test('Services and ServiceEntries select machines, each with its own rule for ports', () => {
  const entry = workloadEntry('vm-1', {
    address: '192.0.2.1',
    labels: { app: 'db' },
    ports: { sql: 5433, admin: 9001 },
  });
  const kube = kubeService('db', {
    selector: { app: 'db' },
    ports: [
      { port: 5432, name: 'sql', targetPort: 5432 },
      { port: 9000, name: 'x', targetPort: 'admin' },
      { port: 7000, name: 'y', targetPort: 'unknown' },
      { port: 6000, name: 'z' },
    ],
  });
  const outside = serviceEntry('db', {
    hosts: ['db.test'],
    ports: [
      { number: 5432, name: 'sql', targetPort: 1 },
      { number: 80, name: 'http', targetPort: 8080 },
      { number: 81, name: 'plain' },
    ],
    resolution: 'STATIC',
    workloadSelector: { labels: { app: 'db' } },
  });
  assert.deepEqual(ports(vm([entry, kube, outside])), [
    ['shop/db.shop.svc.cluster.local', '5432→5433', '9000→9001', '6000→6000'],
    ['shop/db.test', '5432→5433', '80→8080', '81→81'],
  ]);
  assert.deepEqual(ports(vm([entry, kube, outside], { servicesSelectEntries: false })), [
    ['shop/db.test', '5432→5433', '80→8080', '81→81'],
  ]);
  assert.deepEqual(ports(vm([entry, kubeService('db', { namespace: 'depot', selector: { app: 'db' } })])), []);
});

test('a ServiceEntry selects pods of its namespace by a selector that is not empty', () => {
  const selecting = (labels: Record<string, string>): ServiceEntry =>
    serviceEntry('db', {
      hosts: ['db.test'],
      ports: [
        { number: 5432, name: 'sql', targetPort: 1 },
        { number: 81, name: 'plain' },
      ],
      resolution: 'STATIC',
      workloadSelector: { labels },
    });
  const member = pod('db-1', { ips: ['10.0.0.1'], labels: { app: 'db' }, ports: { sql: 15432 } });
  const of = (settings: object, ...objects: KubeObject[]): unknown =>
    ports(testModel([member, ...objects], settings).model.workloads.get('Kubernetes//Pod/shop/db-1'));
  assert.deepEqual(of({}, selecting({ app: 'db' })), [['shop/db.test', '5432→15432', '81→81']]);
  assert.deepEqual(of({}, selecting({})), []);
  assert.deepEqual(of({ entriesSelectPods: false }, selecting({ app: 'db' })), []);
});

test('policies, waypoint and network gateway reach a machine as they reach a pod', () => {
  const gateway = {
    ...waypointGateway('far', {
      namespace: 'istio-system',
      address: '203.0.113.1',
      labels: { 'topology.istio.io/network': 'yard' },
    }),
    spec: { gatewayClassName: 'istio-remote', listeners: [{ name: 'mesh', port: 15009, protocol: 'HBONE' }] },
  };
  const workload = vm([
    namespace('shop', { labels: { 'istio.io/use-waypoint': 'w' } }),
    workloadEntry('vm-1', { address: '192.0.2.1', labels: { app: 'db' }, network: 'yard' }),
    authorizationPolicy('only', { selector: { matchLabels: { app: 'db' } }, rules: [{}] }),
    waypointGateway('w', { address: '10.96.9.9', labels: { 'istio.io/waypoint-for': 'workload' } }),
    gateway,
  ]);
  assert.deepEqual(workload?.authorizationPolicies, ['shop/only']);
  assert.equal(workload?.waypoint?.destination.kind, 'ip');
  assert.equal(workload?.networkGateway?.hbonePort, 15009);
});

test('the author of a WorkloadEntry reads what became of the waypoint it asks for', () => {
  const told = (...objects: KubeObject[]): unknown[] => {
    const labels = { 'istio.io/use-waypoint': 'w' };
    const { model } = testModel([workloadEntry('vm-1', { address: '192.0.2.1' }, 'shop', { labels }), ...objects]);
    const conditions = model.reports.get('WorkloadEntry shop/vm-1')?.conditions ?? [];
    return conditions.map(({ reason, status, type }) => `${type} ${status} ${reason}`);
  };
  const waypoint = (traffic: string): KubeObject =>
    waypointGateway('w', { address: '10.96.9.9', labels: { 'istio.io/waypoint-for': traffic } });
  assert.deepEqual(told(waypoint('workload')), ['istio.io/WaypointBound True WaypointAccepted']);
  assert.deepEqual(told(waypoint('service')), ['istio.io/WaypointBound False UnsupportedTrafficType']);
  assert.deepEqual(told(), ['istio.io/WaypointBound False WaypointIsNotReady']);
});

function endpoints(spec: NonNullable<ServiceEntry['spec']>, ...more: KubeObject[]): unknown[] {
  const { model } = testModel([
    serviceEntry('api', { ports: [{ number: 80, name: 'http', targetPort: 8080 }], ...spec }),
    ...more,
  ]);
  return [...model.workloads.values()].map((one) => [
    one.uid.replace('Kubernetes/networking.istio.io/ServiceEntry/', ''),
    one.hostname === '' ? one.addresses.map(String).join() : one.hostname,
    one.network,
    one.capacity,
    ...(ports(one) as unknown[]),
  ]);
}

test('endpoints of a ServiceEntry are workloads behind all its hosts', () => {
  const found = endpoints({
    hosts: ['api.test', 'www.test'],
    resolution: 'STATIC',
    endpoints: [
      { address: '192.0.2.1', ports: { http: 81 }, network: 'yard' },
      { address: '192.0.2.2', weight: 3 },
    ],
  });
  assert.deepEqual(found, [
    ['shop/api/192.0.2.1', '192.0.2.1', 'yard', 1, ['shop/api.test', '80→81'], ['shop/www.test', '80→81']],
    ['shop/api/192.0.2.2', '192.0.2.2', '', 3, ['shop/api.test', '80→8080'], ['shop/www.test', '80→8080']],
  ]);
});

test('where names are resolved, a host without endpoints stands for itself', () => {
  const host = ['shop/api/api.test', 'api.test', '', 1, ['shop/api.test', '80→8080']];
  assert.deepEqual(endpoints({ hosts: ['api.test'], resolution: 'DNS' }), [host]);
  assert.deepEqual(endpoints({ hosts: ['api.test'], resolution: 'NONE' }), []);
  assert.deepEqual(
    endpoints({ hosts: ['api.test'], resolution: 'DNS', workloadSelector: { labels: { app: 'x' } } }),
    [],
  );
});

test('endpoints of an entry that lost its host to an older one are not told', () => {
  const spec = { hosts: ['api.test'], resolution: 'STATIC', endpoints: [{ address: '192.0.2.1' }] };
  const older = serviceEntry('older', { ...spec, endpoints: [] }, 'shop', {
    creationTimestamp: '2025-01-01T00:00:00Z',
  });
  const young = serviceEntry('young', spec, 'shop', { creationTimestamp: '2026-01-01T00:00:00Z' });
  const live = testModel([older, young]);
  assert.equal(live.model.workloads.size, 0);
  live.remove(older);
  assert.equal(live.model.workloads.size, 1);
});
