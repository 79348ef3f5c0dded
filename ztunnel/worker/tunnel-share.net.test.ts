// SPDX-License-Identifier: Apache-2.0
// Tunnels to one pod, by the data-plane processes that they end up in.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Loop } from '#lib/loop/loop.ts';
import { createTestCa } from '#lib/testkit/certificates.ts';
import { NodeProxy } from '#lib/testkit/node-proxy.ts';
import { App, AppServer } from '#lib/testkit/plain-app.ts';
import { PodNetwork } from '#lib/testkit/pod-network.ts';
import { at, infoOf, recordOf } from '#lib/testkit/two-nodes.ts';
import { untilOn } from '#lib/testkit/until.ts';

const TUNNELS = 8;

test('tunnels are spread evenly over the processes of a node, whatever the kernel chooses, and go on being served', async () => {
  const ca = await createTestCa();
  using network = new PodNetwork();
  const loop = new Loop({ spin: false });
  await using one = new NodeProxy(ca, { nodeName: 'one' });
  await using two = new NodeProxy(ca, { nodeName: 'two' }, 2);
  try {
    const orders = network.pod('orders');
    const carts = Array.from({ length: TUNNELS }, (_, n) => network.pod(`cart-${n}`));
    for (const proxy of [one, two]) {
      proxy.mesh.putWorkload(recordOf(orders, 'two'));
      for (const cart of carts) proxy.mesh.putWorkload(recordOf(cart, 'one'));
      await proxy.settle();
    }
    await two.addPod(infoOf(orders), orders.netns);
    for (const cart of carts) await one.addPod(infoOf(cart), cart.netns);
    const untilHere = untilOn(loop);
    const server = new AppServer(loop, at(orders, 8080), (app) => app.send('hi'), orders.netns);
    const clients: App[] = [];
    // Tunnels are never shared between pods.
    for (const cart of carts) {
      const client = App.dial(loop, at(orders, 8080), cart.netns);
      clients.push(client);
      await untilHere(`${cart.name} is served`, () => client.text === 'hi');
    }
    const carried = () => two.workers.list().map(({ vitals }) => vitals.tunnels);
    assert.deepEqual(carried(), [TUNNELS / 2, TUNNELS / 2]);
    for (const client of clients) client.send('more');
    await untilHere('all go on', () => server.connections.every(({ text }) => text === 'more'));
    const addresses = server.connections.map((connection) => connection.peerIp());
    assert.deepEqual(addresses.sort(), carts.map(({ ip }) => ip).sort());
  } finally {
    loop.dispose();
  }
});
