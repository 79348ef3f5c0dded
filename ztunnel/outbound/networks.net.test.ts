// SPDX-License-Identifier: Apache-2.0
// Two networks and the gateway between them: what leaves for the other network is a tunnel in a tunnel, and the gateway sees only
// ciphertext. Here the gateway is a pod behind a proxy of its own, whose program carries bytes to the far proxy's tunnel port.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { Endpoint } from '#lib/linux/address.ts';
import { Loop } from '#lib/loop/loop.ts';
import { carryTo } from '#lib/testkit/carrier.ts';
import { createTestCa, type TestCa } from '#lib/testkit/certificates.ts';
import { policy, service, type WorkloadText } from '#lib/testkit/mesh.ts';
import { NodeProxy } from '#lib/testkit/node-proxy.ts';
import { App, AppServer } from '#lib/testkit/plain-app.ts';
import { PodNetwork, type TestPod } from '#lib/testkit/pod-network.ts';
import { at, infoOf, recordOf } from '#lib/testkit/two-nodes.ts';
import { until, untilOn } from '#lib/testkit/until.ts';

let ca: TestCa;
before(async () => {
  ca = await createTestCa();
});

const KEY = 'shop/orders.shop.svc.cluster.local';
const VIP = Endpoint.parse('10.96.0.1', 80)!;
const CARRIER_PORT = 9999;
const ORDERS_ID = 'spiffe://cluster.local/ns/shop/sa/orders';

interface Options {
  readonly names?: readonly string[];
  /** How the client's mesh names the gateway. */
  readonly gateway?: (gateway: TestPod, network: PodNetwork) => string;
  readonly orders?: WorkloadText;
}

async function twoNetworks({ names = [ORDERS_ID], gateway, orders = {} }: Options = {}) {
  const network = new PodNetwork();
  const loop = new Loop({ spin: false });
  const pods = { cart: network.pod('cart'), gate: network.pod('gate'), orders: network.pod('orders') };
  const near = new NodeProxy(ca, { nodeName: 'one', network: 'near' });
  const gate = new NodeProxy(ca, { nodeName: 'gate', network: 'far' });
  const far = new NodeProxy(ca, { nodeName: 'two', network: 'far' });
  const gateRecord = recordOf(pods.gate, 'gate', {
    network: 'far',
    serves: { 'shop/east-west.shop': { 15443: 15008 } },
    applicationTunnel: { protocol: 'none', port: CARRIER_PORT },
  });
  const shop = { name: 'orders', namespace: 'shop', subjectAltNames: names, ports: { 80: 8080 } };

  near.mesh.putWorkload(recordOf(pods.cart, 'one', { network: 'near' }));
  near.mesh.putWorkload(gateRecord);
  near.mesh.putService(
    service({ name: 'east-west', namespace: 'shop', hostname: 'east-west.shop', ports: { 15443: 15008 } }),
  );
  near.mesh.putWorkload(
    recordOf(pods.orders, 'two', {
      ips: [],
      network: 'far',
      networkGateway: gateway?.(pods.gate, network) ?? `far|${pods.gate.ip}:15008`,
      serves: { [KEY]: {} },
      ...orders,
    }),
  );
  near.mesh.putService(service({ ...shop, vips: ['near|10.96.0.1'] }));

  gate.mesh.putWorkload(gateRecord);
  gate.mesh.putService(service({ ...shop, vips: ['far|10.96.0.1'] }));

  far.mesh.putWorkload(gateRecord);
  far.mesh.putWorkload(
    recordOf(pods.orders, 'two', { network: 'far', serves: { [KEY]: {} }, workloadName: 'orders-v1' }),
  );
  far.mesh.putService(service({ ...shop, vips: ['far|10.96.0.1'] }));

  for (const proxy of [near, gate, far]) await proxy.settle();
  await near.addPod(infoOf(pods.cart), pods.cart.netns);
  await gate.addPod(infoOf(pods.gate), pods.gate.netns);
  await far.addPod(infoOf(pods.orders), pods.orders.netns);
  const carrier = carryTo(loop, at(pods.gate, CARRIER_PORT), pods.gate.netns, at(pods.orders, 15008));
  return {
    cart: pods.cart,
    orders: pods.orders,
    gateIp: pods.gate.ip,
    loop,
    near,
    gate,
    far,
    carrier,
    until: untilOn(loop),
    async [Symbol.asyncDispose]() {
      loop.dispose();
      for (const proxy of [near, gate, far]) await proxy.stop();
      network[Symbol.dispose]();
    },
  };
}

test('a service of another network is reached through its gateway, which sees only ciphertext', async () => {
  await using rig = await twoNetworks();
  const server = new AppServer(rig.loop, at(rig.orders, 8080), (app) => app.send('hello from afar'), rig.orders.netns);
  const client = App.dial(rig.loop, VIP, rig.cart.netns);
  client.send('secret');
  await rig.until('it is served', () => client.text === 'hello from afar');
  await rig.until('the server hears', () => server.connections[0]!.text === 'secret');
  assert.deepEqual(
    (await rig.near.connections()).map(({ protocol, actualDst }) => [protocol, actualDst]),
    [['DOUBLEHBONE', `${rig.gateIp}:15008`]],
  );
  client.finish();
  await rig.until('FIN arrives', () => server.connections[0]!.end === 'fin');
  server.connections[0]!.finish();
  await rig.until('FIN returns', () => client.end === 'fin');
  await rig.until('all three log', () => [rig.near, rig.gate, rig.far].every((proxy) => proxy.lines.length >= 1));

  const [left] = rig.near.lines;
  assert.equal(left!['dst.addr'], `${rig.gateIp}:15008`);
  assert.equal(left!['dst.hbone_addr'], 'orders.shop.svc.cluster.local:80');
  assert.equal(left!['dst.identity'], ORDERS_ID);
  // What the far proxy said of the destination, not what the record here would.
  assert.equal(left!['dst.workload'], 'orders');
  assert.equal(left!['bytes_sent'], 6);
  const [arrived] = rig.far.lines;
  assert.equal(arrived!['src.identity'], 'spiffe://cluster.local/ns/shop/sa/cart');
  // By address it would be the gateway.
  assert.equal(arrived!['src.workload'], 'cart');
  assert.equal(arrived!['dst.service'], 'orders.shop.svc.cluster.local');
  await until('it is counted with what the answer told', () => {
    return rig.near.metric('istio_tcp_connections_opened_total', 'destination_workload="orders-v1"') === 1;
  });
});

test('policies of the far end see the client, not the gateway', async () => {
  await using rig = await twoNetworks();
  rig.far.mesh.putPolicy(
    policy({ name: 'no-cart', namespace: 'shop', action: 'deny', rules: [[[{ principals: ['*/sa/cart'] }]]] }),
  );
  await rig.far.settle();
  new AppServer(rig.loop, at(rig.orders, 8080), () => {}, rig.orders.netns);
  const client = App.dial(rig.loop, VIP, rig.cart.netns);
  await rig.until('it is refused', () => client.end === 'reset');
  await rig.until('both ends log', () => rig.near.lines.length === 1 && rig.far.lines.length === 1);
  assert.equal(rig.near.lines[0]!['error'], 'http status: 401');
  assert.match(String(rig.far.lines[0]!['error']), /shop\/no-cart/);
});

test('a gateway may be named by a service, whose port leads to its tunnel port', async () => {
  await using rig = await twoNetworks({ gateway: () => 'shop/east-west.shop:15443' });
  new AppServer(rig.loop, at(rig.orders, 8080), (app) => app.send('hi'), rig.orders.netns);
  const client = App.dial(rig.loop, VIP, rig.cart.netns);
  await rig.until('it is served', () => client.text === 'hi');
  assert.equal(rig.carrier.seen(), 1);
});

test('only subject names of the service are accepted at the far end', async () => {
  await using rig = await twoNetworks({ names: [] });
  const client = App.dial(rig.loop, VIP, rig.cart.netns);
  await rig.until('it is cut', () => client.end === 'reset');
  await rig.until('it is logged', () => rig.near.lines.length === 1);
  assert.match(String(rig.near.lines[0]!['error']), /no subject name of the service/);
});

test('a gateway that is away is told with its address', async () => {
  // Nobody listens where it should be.
  let away = '';
  await using rig = await twoNetworks({
    gateway: (_, network) => {
      away = network.pod('away', { captured: false }).ip;
      return `far|${away}:15008`;
    },
  });
  rig.near.mesh.putWorkload(
    recordOf({ ...rig.cart, ip: away, ip6: 'fd91::250', name: 'away' }, 'x', { network: 'far' }),
  );
  await rig.near.settle();
  const client = App.dial(rig.loop, VIP, rig.cart.netns);
  await rig.until('it is cut', () => client.end === 'reset');
  await rig.until('it is logged', () => rig.near.lines.length === 1);
  const named = new RegExp(`gateway ${away.replaceAll('.', '\\.')}:15008: connection failed`);
  assert.match(String(rig.near.lines[0]!['error']), named);
});
