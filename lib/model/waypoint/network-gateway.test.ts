// SPDX-License-Identifier: Apache-2.0
//
// Several clusters and networks: gateways between them, services of one name, and pods that cannot be dialled.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describeGateway } from '#lib/mesh/gateway-address.ts';
import { inCluster, kubeService, namespace, node, pod, testModel, waypointGateway } from '#lib/testkit/model.ts';
import type { KubeObject } from '../object/object.ts';
import type { Gateway } from './gateway.ts';

const NETWORK = 'topology.istio.io/network';
const GLOBAL = { labels: { 'istio.io/global': 'true' } };
const root = (network: string): KubeObject => namespace('istio-system', { labels: { [NETWORK]: network } });
const far = <T extends KubeObject>(object: T): T => inCluster('far', object);
const CART = 'shop/cart.shop.svc.cluster.local';

function gateway(name: string, className: string, network: string, address: string, port = 15008): Gateway {
  const base = waypointGateway(name, { namespace: 'istio-system', labels: { [NETWORK]: network }, address });
  const listeners = [{ name: 'mesh', port, protocol: 'HBONE', tls: { mode: 'Terminate' } }];
  return { ...base, spec: { gatewayClassName: className, listeners } };
}

const cart = (name: string, ip: string, ready = true): KubeObject =>
  pod(name, { ips: [ip], labels: { app: 'cart' }, account: 'cart', node: 'n1', ready });
const service = (ip: string, meta = GLOBAL): KubeObject => kubeService('cart', { selector: { app: 'cart' }, ip, meta });

test('a gateway to another network is a workload, and where that network’s workloads are reached', () => {
  const { model } = testModel([root('near'), gateway('to-far', 'istio-remote', 'far-net', '203.0.113.1', 15009)]);
  const [workload] = [...model.workloads.values()];
  assert.deepEqual(
    [workload?.uid, workload?.serviceAccount, workload?.namespace, workload?.network, workload?.addresses.map(String)],
    ['NetworkGateway/far-net/203.0.113.1/15009', 'to-far-istio-remote', 'istio-system', 'far-net', ['203.0.113.1']],
  );
});

test('pods of a cluster on the same network are workloads like our own', () => {
  const { model } = testModel([
    root('one'),
    service('10.96.0.1'),
    cart('cart-1', '10.0.0.1'),
    far(root('one')),
    far(node('n1', { 'topology.kubernetes.io/zone': 'z9' })),
    far(service('10.97.0.1')),
    far(cart('cart-1', '10.1.0.1')),
  ]);
  const remote = model.workloads.get('far//Pod/shop/cart-1');
  assert.deepEqual(
    [remote?.clusterId, remote?.network, remote?.locality.zone, [...(remote?.services.keys() ?? [])]],
    ['far', 'one', 'z9', [CART]],
  );
  assert.equal(model.workloads.size, 2);
  assert.deepEqual(
    model.services.get(CART)?.vips.map(({ range }) => range.base.text),
    ['10.96.0.1', '10.97.0.1'],
  );
});

test('a Service of another cluster that is not global is not ours', () => {
  const { model } = testModel([
    far(root('')),
    far(service('10.97.0.1', { labels: {} as never })),
    far(cart('cart-1', '10.1.0.1')),
  ]);
  assert.equal(model.services.size, 0);
  assert.deepEqual([...(model.workloads.get('far//Pod/shop/cart-1')?.services ?? [])], []);
});

test('pods of another network are one workload behind its gateway, with their weight and names', () => {
  const live = testModel([
    root('near'),
    service('10.96.0.1'),
    far(root('far-net')),
    far(namespace('shop')),
    far(service('10.97.0.1')),
    far(cart('cart-1', '10.1.0.1')),
    far(cart('cart-2', '10.1.0.2', false)),
  ]);
  assert.equal(live.model.workloads.size, 0, 'nothing is told while nothing leads there');
  live.apply(far(gateway('east', 'istio-east-west', 'far-net', '203.0.113.1')));
  const uid = `far-net/SplitHorizonWorkload/istio-system/east/203.0.113.1/${CART}`;
  const workload = live.model.workloads.get(uid);
  assert.deepEqual(
    [workload?.addresses, workload?.capacity, workload?.protocol, workload?.healthy],
    [[], 2, 'hbone', true],
  );
  assert.equal(workload?.networkGateway && describeGateway(workload.networkGateway), 'far-net/203.0.113.1:15008');
  const merged = live.model.services.get(CART);
  assert.deepEqual(merged?.subjectAltNames, ['spiffe://cluster.local/ns/shop/sa/cart']);
  assert.deepEqual(
    merged?.vips.map((vip) => `${vip.network}/${vip.range.base.text}`),
    ['far-net/10.97.0.1', 'near/10.96.0.1'],
  );
});

test('objects of other clusters are reported on by their own control planes only', () => {
  const wrong = { labels: { 'istio.io/use-waypoint': 'missing' } };
  const { model } = testModel([far(kubeService('cart', { meta: wrong })), kubeService('mine', { meta: wrong })]);
  assert.deepEqual([...model.reports.snapshot().keys()], ['Service shop/mine']);
});
