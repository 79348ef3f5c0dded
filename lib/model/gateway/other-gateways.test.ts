// SPDX-License-Identifier: Apache-2.0
//
// Gateways for which nothing runs: those are told so, and nobody else's are touched.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { kubeService, namespace, type TestModel, testModel } from '#lib/testkit/model.ts';
import type { KubeObject } from '../object/object.ts';
import type { StatusCondition } from './gateway-status.ts';

const API = 'gateway.networking.k8s.io/v1';
const HTTP = { name: 'web', port: 80, protocol: 'HTTP' };
const TLS = { name: 'tls', port: 443, protocol: 'TLS' };

const gateway = (gatewayClassName: string, more: Record<string, unknown> = {}, status?: unknown) =>
  ({
    ...{ apiVersion: API, kind: 'Gateway', metadata: { name: 'g', namespace: 'shop' } },
    spec: { gatewayClassName, listeners: [HTTP, TLS], ...more },
    ...(status !== undefined && { status }),
  }) as KubeObject;

const gatewayClass = (name: string, controllerName: string, status?: unknown): KubeObject =>
  ({ apiVersion: API, kind: 'GatewayClass', metadata: { name }, spec: { controllerName }, status }) as KubeObject;

const listenerSet = (parent: string): KubeObject =>
  ({
    ...{ apiVersion: API, kind: 'ListenerSet', metadata: { name: 'more', namespace: 'shop' } },
    spec: { parentRef: { name: parent }, listeners: [HTTP] },
  }) as KubeObject;

const ACCEPTED = { conditions: [{ type: 'Accepted', status: 'True', reason: 'Accepted' }] };

const words = (conditions: readonly StatusCondition[] = []) =>
  conditions.map(({ type, status, reason }) => `${type} ${status} ${reason}`);

const statusOf = ({ model }: TestModel) => model.gateways.statuses.get('shop/g');

for (const [className, controller] of [
  ['istio', 'istio.io/gateway-controller'],
  ['istio-east-west', 'istio.io/eastwest-controller'],
] as const) {
  test(`a Gateway of class ${className} is told that nothing of ours serves it, on each listener too`, () => {
    for (const classes of [[], [gatewayClass(className, controller)]]) {
      const live = testModel([namespace('shop'), gateway(className), ...classes]);
      const status = statusOf(live);
      assert.deepEqual(words(status?.conditions), ['Accepted False Unsupported', 'Programmed False Invalid']);
      assert.match(status?.conditions[0]?.message ?? '', /Ambit runs no gateway .*nothing listens there/);
      assert.deepEqual(
        status?.listeners.map(({ conditions, name }) => [name, ...words(conditions).slice(0, 2)]),
        [HTTP, TLS].map(({ name }) => [name, 'Accepted False UnsupportedProtocol', 'Programmed False Invalid']),
      );
      assert.equal(live.model.gateways.plans.get('shop/g'), undefined);
      assert.deepEqual(
        words(live.model.gateways.classStatuses.get(className)),
        classes.length === 0 ? [] : ['Accepted False Unsupported'],
      );
    }
  });
}

test('what another controller has accepted is left to it, as are Istio’s classes beside an Istio', () => {
  const istio = 'istio.io/gateway-controller';
  const accepted = testModel([gateway('istio', {}, ACCEPTED), gatewayClass('istio', istio, ACCEPTED)]);
  assert.equal(statusOf(accepted), undefined);
  assert.equal(accepted.model.gateways.classStatuses.get('istio'), undefined);
  const beside = testModel([gateway('istio'), gatewayClass('istio', istio)], { ownClassesOnly: true });
  assert.equal(statusOf(beside), undefined);
  assert.equal(beside.model.gateways.classStatuses.get('istio'), undefined);
  assert.equal(statusOf(testModel([gateway('istio'), gatewayClass('istio', 'nginx.org/controller')])), undefined);
});

test('a Gateway of class istio-remote is accepted with the addresses it was given, and leads to its network', () => {
  const spec = {
    addresses: [{ type: 'IPAddress', value: '203.0.113.1' }],
    listeners: [{ name: 'mesh', port: 15008, protocol: 'HBONE' }],
  };
  const labelled = (object: KubeObject) => ({
    ...object,
    metadata: { ...object.metadata, labels: { 'topology.istio.io/network': 'far-net' } },
  });
  const live = testModel([
    labelled(gateway('istio-remote', spec)),
    gatewayClass('istio-remote', 'istio.io/unmanaged-gateway'),
  ]);
  const status = statusOf(live);
  assert.deepEqual(words(status?.conditions), ['Accepted True Accepted', 'Programmed True Programmed']);
  assert.deepEqual(status?.addresses, spec.addresses);
  assert.deepEqual(words(live.model.gateways.classStatuses.get('istio-remote')), ['Accepted True Accepted']);
  live.apply(labelled(gateway('istio-remote', spec, { addresses: status?.addresses })));
  assert.equal(live.model.workloads.get('NetworkGateway/far-net/203.0.113.1/15008')?.network, 'far-net');
  const without = statusOf(testModel([gateway('istio-remote', { listeners: [] })]));
  assert.deepEqual(words(without?.conditions), ['Accepted True Accepted', 'Programmed False AddressNotAssigned']);
});

test('a set of listeners is refused with its Gateway, and left alone when that is another’s', () => {
  const told = (className: string) => {
    const { model } = testModel([gateway(className), listenerSet('g')]);
    return words(model.gateways.listenerSets.get('shop/more')?.conditions);
  };
  assert.deepEqual(told('istio'), ['Accepted False ParentNotAccepted', 'Programmed False ParentNotProgrammed']);
  assert.deepEqual(told('istio-waypoint'), ['Accepted False NotAllowed', 'Programmed False NotAllowed']);
  assert.deepEqual(told('nginx'), []);
  const alone = testModel([listenerSet('nobody')]);
  assert.equal(alone.model.gateways.listenerSets.get('shop/more'), undefined);
});

test('a route to a Gateway or a set of listeners that nothing serves is told so', () => {
  const backendRefs = [{ name: 'web', port: 80 }];
  const route = {
    ...{ apiVersion: API, kind: 'HTTPRoute', metadata: { name: 'r', namespace: 'shop' } },
    spec: { parentRefs: [{ name: 'g' }, { kind: 'ListenerSet', name: 'more' }], rules: [{ backendRefs }] },
  } as KubeObject;
  const web = kubeService('web', { ip: '10.96.0.1', ports: [{ port: 80 }] });
  const parents = (className: string) => {
    const { model } = testModel([namespace('shop'), web, gateway(className), listenerSet('g'), route]);
    return [...model.routeStatuses.values()].flatMap((one) => one.parents);
  };
  for (const { conditions } of parents('istio')) {
    const [accepted] = conditions;
    assert.deepEqual([accepted?.status, accepted?.reason], [false, 'NoMatchingParent']);
    assert.match(accepted?.message ?? '', /nothing listens there/);
  }
  assert.equal(parents('istio').length, 2);
  assert.deepEqual(parents('nginx'), []);
});
