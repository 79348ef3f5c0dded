// SPDX-License-Identifier: Apache-2.0
// The data plane between real namespaces: applications dial each other as if there were no mesh.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { Endpoint } from '#lib/linux/address.ts';
import { Loop } from '#lib/loop/loop.ts';
import { createTestCa, type TestCa } from '#lib/testkit/certificates.ts';
import { workload } from '#lib/testkit/mesh.ts';
import { NodeProxy } from '#lib/testkit/node-proxy.ts';
import { App, AppServer } from '#lib/testkit/plain-app.ts';
import { PodNetwork, type TestPod } from '#lib/testkit/pod-network.ts';
import { until } from '#lib/testkit/until.ts';
import type { PodInfo } from '../control.ts';

let ca: TestCa;
before(async () => {
  ca = await createTestCa();
});

const at = (pod: TestPod, port: number) => Endpoint.parse(pod.ip, port)!;
const infoOf = (pod: TestPod): PodInfo => ({
  uid: `uid-${pod.name}`,
  name: pod.name,
  namespace: 'shop',
  serviceAccount: pod.name,
});
const recordOf = (pod: TestPod, node: string) =>
  workload({ name: pod.name, namespace: 'shop', serviceAccount: pod.name, ips: [pod.ip, pod.ip6], node });

/** Two nodes with a proxy each, `cart` on one and `orders` on the other, and a loop on which the applications live. */
async function twoNodes() {
  const network = new PodNetwork();
  const loop = new Loop({ spin: false });
  const cart = network.pod('cart');
  const orders = network.pod('orders');
  const one = new NodeProxy(ca, { nodeName: 'one' });
  const two = new NodeProxy(ca, { nodeName: 'two' });
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
    until: (what: string, condition: () => boolean, ms = 5000) =>
      until(
        what,
        () => {
          loop.turn(1);
          return condition();
        },
        ms,
      ),
    async [Symbol.asyncDispose]() {
      loop.dispose();
      await one.stop();
      await two.stop();
      network[Symbol.dispose]();
    },
  };
}

test('a connection between pods of two nodes travels in a tunnel and keeps the client address', async () => {
  await using rig = await twoNodes();
  const server = new AppServer(rig.loop, at(rig.orders, 8080), () => {}, rig.orders.netns);
  const client = App.dial(rig.loop, at(rig.orders, 8080), rig.cart.netns);
  client.send('ping');
  await rig.until('the server hears', () => server.connections[0]?.text === 'ping');
  assert.equal(server.connections[0]!.peerIp(), rig.cart.ip);
  server.connections[0]!.send('pong');
  await rig.until('the client hears', () => client.text === 'pong');
  client.finish();
  await rig.until('the server sees FIN', () => server.connections[0]!.end === 'fin');
  server.connections[0]!.finish();
  await rig.until('the client sees FIN', () => client.end === 'fin');
  await rig.until('both proxies log', () => rig.one.lines.length === 1 && rig.two.lines.length === 1);
  const [out] = rig.one.lines;
  const [into] = rig.two.lines;
  assert.equal(out!['dst.identity'], 'spiffe://cluster.local/ns/shop/sa/orders');
  assert.equal(out!['bytes_sent'], 4);
  assert.equal(into!['src.identity'], 'spiffe://cluster.local/ns/shop/sa/cart');
  assert.equal(into!['bytes_recv'], 4);
  assert.equal(rig.one.metric('istio_tcp_connections_opened_total', 'reporter="source"'), 1);
  assert.equal(rig.two.metric('istio_tcp_connections_closed_total', 'response_flags="-"'), 1);
});
