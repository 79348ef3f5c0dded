// SPDX-License-Identifier: Apache-2.0
// Two nodes with a proxy each, pod `cart` on one and `orders` on the other, and a loop on which their applications live.
import { Endpoint } from '#lib/linux/address.ts';
import { Loop } from '#lib/loop/loop.ts';
import type { Policy } from '#lib/mesh/policy.ts';
import type { Workload } from '#lib/mesh/workload.ts';
import type { PodInfo, WorkerSettings } from '../../ztunnel/control.ts';
import type { TestCa } from './certificates.ts';
import { policy, type WorkloadText, workload } from './mesh.ts';
import { NodeProxy } from './node-proxy.ts';
import { PodNetwork, type TestPod } from './pod-network.ts';
import { untilOn } from './until.ts';

/** `port` of the pod's IPv4 address. */
export const at = (pod: TestPod, port: number): Endpoint => Endpoint.parse(pod.ip, port)!;

/** The pod as the node agent announces it: namespace `shop`, a service account of its own name. */
export const infoOf = (pod: TestPod): PodInfo => ({
  uid: `uid-${pod.name}`,
  name: pod.name,
  namespace: 'shop',
  serviceAccount: pod.name,
});

/** The pod's record. */
export const recordOf = (pod: TestPod, node: string, more: WorkloadText = {}): Workload =>
  workload({ name: pod.name, namespace: 'shop', serviceAccount: pod.name, ips: [pod.ip, pod.ip6], node, ...more });

/** A policy that lets nobody reach that port of a pod. */
export const denial = (name: string, port: number): Policy =>
  policy({ name, namespace: 'shop', scope: 'namespace', action: 'deny', rules: [[[{ destinationPorts: [port] }]]] });

export interface TwoNodes extends AsyncDisposable {
  readonly network: PodNetwork;
  readonly loop: Loop;
  readonly cart: TestPod;
  readonly orders: TestPod;
  readonly one: NodeProxy;
  readonly two: NodeProxy;
  /** Turns the applications' loop until `condition` holds. */
  until(what: string, condition: () => boolean, ms?: number): Promise<unknown>;
}

/** `first` are settings of node one alone. */
export async function twoNodes(
  ca: TestCa,
  settings: Partial<WorkerSettings> = {},
  first: Partial<WorkerSettings> = {},
): Promise<TwoNodes> {
  const network = new PodNetwork();
  const loop = new Loop({ spin: false });
  const cart = network.pod('cart');
  const orders = network.pod('orders');
  const one = new NodeProxy(ca, { ...settings, ...first, nodeName: 'one' });
  const two = new NodeProxy(ca, { ...settings, nodeName: 'two' });
  for (const proxy of [one, two]) {
    proxy.mesh.putWorkload(recordOf(cart, 'one'));
    proxy.mesh.putWorkload(recordOf(orders, 'two'));
    await proxy.settle();
  }
  await one.addPod(infoOf(cart), cart.netns);
  await two.addPod(infoOf(orders), orders.netns);
  return {
    network,
    loop,
    cart,
    orders,
    one,
    two,
    until: untilOn(loop),
    async [Symbol.asyncDispose]() {
      loop.dispose();
      await one.stop();
      await two.stop();
      network[Symbol.dispose]();
    },
  };
}
