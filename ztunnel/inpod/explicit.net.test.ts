// SPDX-License-Identifier: Apache-2.0
// Applications that know of their proxy, and the proxy as a workload of its own.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Endpoint } from '#lib/linux/address.ts';
import { createTestCa } from '#lib/testkit/certificates.ts';
import { policy, service } from '#lib/testkit/mesh.ts';
import { App, AppServer } from '#lib/testkit/plain-app.ts';
import { at, infoOf, recordOf, type TwoNodes, twoNodes } from '#lib/testkit/two-nodes.ts';

const ca = await createTestCa();
const PORT = 15080;
const door = Endpoint.parse('127.0.0.1', PORT)!;
const ORDERS = 'shop/orders.shop.svc.cluster.local';

async function rigWithService(): Promise<TwoNodes> {
  const rig = await twoNodes(ca, { explicitPort: PORT });
  for (const proxy of [rig.one, rig.two]) {
    proxy.mesh.putService(service({ name: 'orders', namespace: 'shop', vips: ['10.96.0.1'], ports: { 80: 8080 } }));
    proxy.mesh.putWorkload(recordOf(rig.orders, 'two', { serves: { [ORDERS]: {} } }));
    await proxy.settle();
  }
  return rig;
}

test('a client reaches a service by SOCKS5, by address and by name, through the tunnel', async () => {
  await using rig = await rigWithService();
  const server = new AppServer(rig.loop, at(rig.orders, 8080), (app) => app.send('hi'), rig.orders.netns);
  const name = Buffer.from('orders.shop');
  const requests = [
    Buffer.from([5, 1, 0, 1, 10, 96, 0, 1, 0, 80]),
    Buffer.concat([Buffer.from([5, 1, 0, 3, name.length]), name, Buffer.from([0, 80])]),
  ];
  for (const [k, request] of requests.entries()) {
    const client = App.dial(rig.loop, door, rig.cart.netns);
    client.send(Buffer.from([5, 1, 0]));
    await rig.until('the method is chosen', () => client.text === '\x05\x00');
    // What is meant for the destination may come in one go with the request.
    client.send(Buffer.concat([request, Buffer.from('ping')]));
    await rig.until('it is served', () => client.text.endsWith('hi'));
    await rig.until('the server hears', () => server.connections[k]?.text === 'ping');
    assert.equal(server.connections[k]!.peerIp(), rig.cart.ip);
    client.socket.abort();
  }
  await rig.until('it is logged', () => rig.two.lines.length === 2);
  assert.equal(rig.two.lines[0]!['src.identity'], 'spiffe://cluster.local/ns/shop/sa/cart');
});

test('a client reaches a service by HTTP CONNECT, and what is no CONNECT is told so', async () => {
  await using rig = await rigWithService();
  new AppServer(rig.loop, at(rig.orders, 8080), (app) => app.send('hi'), rig.orders.netns);
  const client = App.dial(rig.loop, door, rig.cart.netns);
  client.send('CONNECT orders.shop:80 HTTP/1.1\r\nHost: orders.shop:80\r\n\r\n');
  await rig.until('it is served', () => client.text === 'HTTP/1.1 200 OK\r\n\r\nhi');
  const lost = App.dial(rig.loop, door, rig.cart.netns);
  lost.send('GET / HTTP/1.1\r\nHost: orders\r\n\r\n');
  await rig.until('it is refused', () => lost.end !== '');
  assert.match(lost.text, /^HTTP\/1.1 405 /);
  await rig.until('the refusal is told', () => /no CONNECT/.test(JSON.stringify(rig.one.lines)));
});

test('policy judges such a client as any other, also within the node', async () => {
  await using rig = await rigWithService();
  rig.two.mesh.putPolicy(
    policy({
      ...{ name: 'no-cart', namespace: 'shop', scope: 'namespace', action: 'deny' },
      rules: [[[{ principals: ['*/sa/cart'] }]]],
    }),
  );
  await rig.two.settle();
  new AppServer(rig.loop, at(rig.orders, 8080), (app) => app.send('hi'), rig.orders.netns);
  const client = App.dial(rig.loop, door, rig.cart.netns);
  client.send('CONNECT 10.96.0.1:80 HTTP/1.1\r\n\r\n');
  await rig.until('it is cut', () => client.end === 'reset');
  assert.doesNotMatch(client.text, /hi/);
});

test('the proxy itself is served through tunnels, and nothing else of its namespace is captured', async () => {
  await using rig = await twoNodes(ca);
  const home = rig.network.pod('home', { captured: false });
  for (const proxy of [rig.one, rig.two]) {
    proxy.mesh.putWorkload(recordOf(home, 'two'));
    await proxy.settle();
  }
  await rig.two.addPod({ ...infoOf(home), self: true }, home.netns);
  const metrics = new AppServer(rig.loop, at(home, 15020), (app) => app.send('metrics'), home.netns);
  const scraper = App.dial(rig.loop, at(home, 15020), rig.cart.netns);
  await rig.until('it is served', () => scraper.text === 'metrics');
  assert.equal(metrics.connections[0]!.peerIp(), home.ip, 'clients’ addresses are not kept');
  const outside = rig.network.pod('outside', { captured: false });
  const closed = App.dial(rig.loop, at(home, 15001), outside.netns);
  await rig.until('nobody captures there', () => closed.end === 'reset');
  scraper.socket.abort();
  await rig.until('it is logged', () => rig.two.lines.length === 1);
  assert.equal(rig.two.lines[0]!['dst.identity'], 'spiffe://cluster.local/ns/shop/sa/home');
});
