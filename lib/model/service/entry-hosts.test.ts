// SPDX-License-Identifier: Apache-2.0
//
// Services from ServiceEntries: one for each host, and which of several that name one host it is.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Service as MeshService } from '#lib/mesh/service.ts';
import { kubeService, namespace, serviceEntry, testModel, waypointGateway } from '#lib/testkit/model.ts';
import type { LabelSelector } from '../object/label-selector.ts';
import type { KubeObject } from '../object/object.ts';

const OLD = { creationTimestamp: '2026-01-01T00:00:00Z' };
const NEW = { creationTimestamp: '2026-01-02T00:00:00Z' };
const PORTS = [{ number: 443, name: 'tls', protocol: 'TLS', targetPort: 8443 }];
const team = (name: string): LabelSelector => ({ matchLabels: { team: name }, matchExpressions: [] });

function services(objects: readonly KubeObject[], settings = {}): Map<string, MeshService> {
  return new Map(testModel(objects, settings).model.services.entries());
}

const vipsOf = (service: MeshService | undefined): string[] | undefined =>
  service?.vips.map(({ range }) => (range.host ? range.base.text : String(range)));

test('each host of a ServiceEntry is a service, with its ports, addresses and accepted names', () => {
  const entry = serviceEntry('api', {
    hosts: ['api.test', 'www.test'],
    addresses: ['198.51.100.1', '198.51.100.130/25'],
    ports: [...PORTS, { number: 80, name: 'http', protocol: 'HTTP' }],
    resolution: 'STATIC',
    subjectAltNames: ['spiffe://cluster.local/ns/shop/sa/api'],
  });
  const found = services([entry]);
  assert.deepEqual([...found.keys()].sort(), ['shop/api.test', 'shop/www.test']);
  const api = found.get('shop/api.test');
  assert.deepEqual(vipsOf(api), ['198.51.100.1', '198.51.100.128/25']);
  assert.deepEqual(
    api?.ports.map((port) => [port.servicePort, port.targetPort, port.appProtocol]),
    [
      [443, 8443, 'tls'],
      [80, 80, 'http11'],
    ],
  );
  assert.deepEqual(
    [api?.name, api?.subjectAltNames, api?.canonical, api?.ipFamilies, api?.visibility],
    ['api', ['spiffe://cluster.local/ns/shop/sa/api'], true, 'automatic', 'public'],
  );
});

test('an address that cannot be read leaves the whole entry out', () => {
  const entry = serviceEntry('api', {
    hosts: ['api.test'],
    addresses: ['nowhere'],
    endpoints: [{ address: '192.0.2.1' }],
  });
  const { model } = testModel([entry]);
  assert.deepEqual([model.services.size, model.workloads.size], [0, 0]);
});

test('resolution and traffic distribution say how an endpoint is chosen', () => {
  const zone = { annotations: { 'networking.istio.io/traffic-distribution': 'preferclose' } };
  const chosen = (resolution: string, meta = {}, ...more: KubeObject[]): unknown =>
    services([serviceEntry('api', { hosts: ['api.test'], resolution }, 'shop', meta), ...more]).get('shop/api.test')
      ?.loadBalancing;
  const near = { mode: 'failover', scopes: ['network', 'region', 'zone'], allowUnhealthy: false };
  assert.deepEqual(chosen('NONE', zone), { mode: 'passthrough', scopes: [], allowUnhealthy: true });
  assert.deepEqual(chosen('STATIC'), { mode: 'any', scopes: [], allowUnhealthy: false });
  assert.deepEqual(chosen('DNS', zone), near);
  assert.deepEqual(chosen('DNS', {}, namespace('shop', zone)), near);
});

test('addresses given out count for their host when none are declared and names are resolved', () => {
  const status = {
    addresses: [
      { host: 'api.test', value: '240.240.0.1' },
      { host: 'api.test', value: '2001:2::1' },
      { host: '*.wild.test', value: '240.240.0.2' },
    ],
  };
  const vips = (resolution: string, addresses: string[] = []): (string[] | undefined)[] => {
    const spec = { hosts: ['api.test', '*.wild.test'], resolution, addresses };
    const found = services([serviceEntry('api', spec, 'shop', { status })]);
    return [vipsOf(found.get('shop/api.test')), vipsOf(found.get('shop/*.wild.test'))];
  };
  assert.deepEqual(vips('DNS'), [['240.240.0.1', '2001:2::1'], []]);
  assert.deepEqual(vips('DYNAMIC_DNS'), [['240.240.0.1', '2001:2::1'], ['240.240.0.2']]);
  assert.deepEqual(vips('NONE'), [[], []]);
  assert.deepEqual(vips('DNS', ['192.0.2.1']), [['192.0.2.1'], ['192.0.2.1']]);
});

test('of several entries with one host in a namespace the oldest is the service', () => {
  const spec = (address: string) => ({ hosts: ['api.test'], addresses: [address], resolution: 'STATIC' });
  const found = services([
    serviceEntry('a-new', spec('192.0.2.1'), 'shop', NEW),
    serviceEntry('b-old', spec('192.0.2.2'), 'shop', OLD),
  ]);
  assert.deepEqual([found.size, vipsOf(found.get('shop/api.test'))], [1, ['192.0.2.2']]);
});

test('a Kubernetes Service keeps its name in its namespace, and is the canonical one everywhere', () => {
  const host = 'cart.shop.svc.cluster.local';
  const found = services([
    kubeService('cart', { ip: '10.96.0.1' }),
    serviceEntry('same', { hosts: [host], addresses: ['192.0.2.1'] }, 'shop', OLD),
    serviceEntry('other', { hosts: [host], addresses: ['192.0.2.2'] }, 'depot', OLD),
  ]);
  assert.deepEqual(vipsOf(found.get(`shop/${host}`)), ['10.96.0.1']);
  assert.deepEqual([found.get(`shop/${host}`)?.canonical, found.get(`depot/${host}`)?.canonical], [true, false]);
});

test('over the namespaces the oldest entry that everybody sees is the canonical one', () => {
  const spec = { hosts: ['api.test'], resolution: 'DNS' };
  const hidden = [{ namespaces: [team('quiet')], visibility: 'namespace' as const }];
  const found = services(
    [
      namespace('quiet', { labels: { team: 'quiet' } }),
      serviceEntry('api', spec, 'quiet', OLD),
      serviceEntry('api', spec, 'shop', NEW),
    ],
    { visibility: hidden },
  );
  const [quiet, shop] = [found.get('quiet/api.test'), found.get('shop/api.test')];
  assert.deepEqual(
    [quiet?.canonical, quiet?.visibility, shop?.canonical, shop?.visibility],
    [false, 'namespace', true, 'public'],
  );
});

test('an entry that nobody may see is told to nobody, and its author reads who sees it', () => {
  const rules = [
    { namespaces: [team('none')], visibility: 'none' as const },
    { namespaces: [team('own')], visibility: 'namespace' as const },
  ];
  const entry = (within: string) =>
    serviceEntry('api', { hosts: ['api.test'], endpoints: [{ address: '192.0.2.1' }], resolution: 'STATIC' }, within);
  const { model } = testModel(
    ['none', 'own', 'all'].flatMap((one) => [namespace(one, { labels: { team: one } }), entry(one)]),
    { visibility: rules },
  );
  assert.deepEqual([...model.services.snapshot().keys()].sort(), ['all/api.test', 'own/api.test']);
  assert.deepEqual([...model.workloads.values()].map(({ namespace: within }) => within).sort(), ['all', 'own']);
  const told = (within: string) =>
    model.reports.get(`ServiceEntry ${within}/api`)?.conditions.map(({ reason }) => reason);
  assert.deepEqual([told('none'), told('own'), told('all')], [['None'], ['Namespace'], ['Public']]);
});

test('a ServiceEntry asks for a waypoint as a Service does, and is told what became of it', () => {
  const label = { 'istio.io/use-waypoint': 'w' };
  const entry = (meta: object, hosts = ['api.test']) =>
    serviceEntry('api', { hosts, resolution: 'DYNAMIC_DNS' }, 'shop', meta);
  const waypoint = waypointGateway('w', { address: '10.96.9.9' });
  const outcome = (...objects: KubeObject[]): unknown => {
    const { model } = testModel(objects);
    const conditions = model.reports.get('ServiceEntry shop/api')?.conditions ?? [];
    const [service] = [...model.services.values()];
    return [
      service?.waypoint !== undefined,
      ...conditions.map(({ reason, type }) => `${type.split('/')[1]} ${reason}`),
    ];
  };
  assert.deepEqual(outcome(entry({})), [false]);
  assert.deepEqual(outcome(entry({ labels: label }), waypoint), [true, 'WaypointBound WaypointAccepted']);
  assert.deepEqual(outcome(entry({}), waypoint, namespace('shop', { labels: label })), [
    true,
    'WaypointBound WaypointAccepted',
  ]);
  assert.deepEqual(outcome(entry({ labels: label })), [false, 'WaypointBound WaypointIsNotReady']);
  assert.deepEqual(outcome(entry({}, ['*.test'])), [false, 'WaypointMissing NoWaypointForWildcardService']);
  const racing = { annotations: { 'istio.io/connect-strategy': 'RACE_FIRST_TCP_CONNECT' } };
  assert.deepEqual(outcome(entry(racing)), [false, 'WaypointMissing NoWaypointForRacingConnectStrategy']);
});

test('an entry of its own namespace may not use a waypoint of another', () => {
  const settings = { visibility: [{ namespaces: [], visibility: 'namespace' as const }] };
  const labels = { 'istio.io/use-waypoint': 'w', 'istio.io/use-waypoint-namespace': 'depot' };
  const { model } = testModel(
    [
      serviceEntry('api', { hosts: ['api.test'], resolution: 'DNS' }, 'shop', { labels }),
      waypointGateway('w', { namespace: 'depot', address: '10.96.9.9', from: 'All' }),
    ],
    settings,
  );
  assert.equal(model.services.get('shop/api.test')?.waypoint, undefined);
  assert.equal(model.reports.get('ServiceEntry shop/api')?.conditions[0]?.reason, 'CrossNamespaceWaypointForbidden');
});
