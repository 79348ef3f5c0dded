// SPDX-License-Identifier: Apache-2.0

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Service as MeshService } from '#lib/mesh/service.ts';
import { kubeService, namespace, testModel, waypointGateway } from '#lib/testkit/model.ts';
import type { KubeObject, Service, ServicePort } from '../object/object.ts';
import { appProtocolOf } from './app-protocol.ts';

function service(spec: Service['spec'], meta: object = {}, ...others: KubeObject[]): MeshService | undefined {
  const { model } = testModel([kubeService('cart', { spec, meta }), ...others]);
  return model.services.get('shop/cart.shop.svc.cluster.local');
}

test('addresses and families are those of the Service', () => {
  const dual = service({ clusterIPs: ['10.96.0.1', 'fd00::1'], ipFamilies: ['IPv4', 'IPv6'] });
  assert.deepEqual(
    [dual?.vips.map((vip) => String(vip.range)), dual?.ipFamilies],
    [['10.96.0.1/32', 'fd00::1/128'], 'dual'],
  );
  const headless = service({ clusterIP: 'None', clusterIPs: ['None'], ipFamilies: ['IPv6'] });
  assert.deepEqual([headless?.vips, headless?.ipFamilies], [[], 'ipv6']);
  assert.equal(service({})?.ipFamilies, 'automatic');
  assert.equal(service({ type: 'ExternalName' }), undefined);
});

test('a named target port is left to each endpoint', () => {
  const one = service({ ports: [{ port: 80, targetPort: 'http' }, { port: 81, targetPort: 8081 }, { port: 82 }] });
  assert.deepEqual(
    one?.ports.map((port) => port.targetPort),
    [0, 8081, 82],
  );
});

const PROTOCOLS: readonly [ServicePort, string][] = [
  [{ port: 80, name: 'http' }, 'http11'],
  [{ port: 80, name: 'http-web' }, 'http11'],
  [{ port: 80, name: 'http2-api' }, 'http2'],
  [{ port: 80, name: 'grpc' }, 'grpc'],
  [{ port: 80, name: 'grpc-web-x' }, 'grpc'],
  [{ port: 443, name: 'https' }, 'tls'],
  [{ port: 443, name: 'tls-x' }, 'tls'],
  [{ port: 80, name: 'tcp-x' }, 'tcp'],
  [{ port: 80, name: 'web' }, 'unknown'],
  [{ port: 80 }, 'unknown'],
  [{ port: 3306 }, 'tcp'],
  [{ port: 3306, name: 'web' }, 'unknown'],
  [{ port: 80, name: 'http', protocol: 'UDP' }, 'unknown'],
  [{ port: 80, name: 'tcp', appProtocol: 'kubernetes.io/h2c' }, 'http2'],
  [{ port: 80, appProtocol: 'kubernetes.io/ws' }, 'http11'],
  [{ port: 80, appProtocol: 'kubernetes.io/wss' }, 'tls'],
  [{ port: 80, appProtocol: 'GRPC' }, 'grpc'],
  [{ port: 80, appProtocol: 'example.org/own', name: 'http' }, 'unknown'],
];

for (const [port, protocol] of PROTOCOLS) {
  test(`port ${JSON.stringify(port)} speaks ${protocol}`, () => assert.equal(appProtocolOf(port), protocol));
}

test('nearness follows the traffic policy, the distribution, and the annotations, in this order', () => {
  const of = (spec: Service['spec'], own?: string, inherited?: string): string => {
    const name = 'networking.istio.io/traffic-distribution';
    const one = service(
      spec,
      own === undefined ? {} : { annotations: { [name]: own } },
      namespace('shop', inherited === undefined ? {} : { annotations: { [name]: inherited } }),
    );
    return `${one?.loadBalancing.mode} ${one?.loadBalancing.scopes.join(',')}`;
  };
  const zone = 'failover network,region,zone';
  const near = 'failover network,region,zone,subzone,node';
  assert.equal(of({}), 'any ');
  assert.equal(of({ internalTrafficPolicy: 'Local', trafficDistribution: 'PreferClose' }), 'strict node');
  assert.equal(of({ trafficDistribution: 'PreferClose' }), zone);
  assert.equal(of({ trafficDistribution: 'PreferSameNode' }, 'PreferClose'), near);
  assert.equal(of({}, 'prefersamenode', 'PreferClose'), near);
  assert.equal(of({}, undefined, 'PreferSameZone'), zone);
  assert.equal(of({}, 'Any', 'PreferClose'), 'any ');
  assert.equal(service({ publishNotReadyAddresses: true })?.loadBalancing.allowUnhealthy, true);
});

test('gateways pass the waypoint too when the label says so, and only when there is one', () => {
  const labels = { 'istio.io/ingress-use-waypoint': 'true', 'istio.io/use-waypoint': 'w' };
  assert.equal(service({}, { labels })?.ingressUseWaypoint, false);
  assert.equal(service({}, { labels }, waypointGateway('w', { address: '10.96.9.9' }))?.ingressUseWaypoint, true);
});
