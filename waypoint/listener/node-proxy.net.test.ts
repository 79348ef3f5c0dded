// SPDX-License-Identifier: Apache-2.0
// Waypoints as node proxies use them: real processes of both, on real sockets. Two waypoints share a service by weight, and a waypoint
// of another network is reached through that network's gateway.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { Endpoint } from '#lib/linux/address.ts';
import { Loop } from '#lib/loop/loop.ts';
import { carryTo } from '#lib/testkit/carrier.ts';
import { service } from '#lib/testkit/mesh.ts';
import { sharedCa } from '#lib/testkit/mesh-client.ts';
import { type MeshCa, NodeProxy } from '#lib/testkit/node-proxy.ts';
import { App, AppServer } from '#lib/testkit/plain-app.ts';
import { PodNetwork, type TestPod } from '#lib/testkit/pod-network.ts';
import { at, infoOf, recordOf } from '#lib/testkit/two-nodes.ts';
import { until, untilOn } from '#lib/testkit/until.ts';
import { WaypointProgram } from '#lib/testkit/waypoint.ts';

let ca: MeshCa;
before(async () => {
  ca = await sharedCa();
});

const KEY = 'shop/orders.shop.svc.cluster.local';
const VIP = '10.96.0.1';
const CARRIER_PORT = 9999;
const CART_ID = 'spiffe://cluster.local/ns/shop/sa/cart';

/** The waypoint program in a pod of its own, for service `orders`, whose only endpoint is that pod. */
function waypointIn(network: PodNetwork, pod: TestPod, orders: TestPod, where: string): Promise<WaypointProgram> {
  return WaypointProgram.start(
    {
      services: [],
      routes: [],
      more: {
        services: [
          {
            name: 'orders',
            namespace: 'shop',
            hostname: 'orders.shop.svc.cluster.local',
            vips: [`${where}/${VIP}`],
            ports: { 80: 8080 },
            protocols: { 80: 'HTTP11' },
          },
        ],
        workloads: [
          {
            uid: 'orders',
            name: 'orders',
            namespace: 'shop',
            network: where,
            workloadIps: [orders.ip],
            services: { [KEY]: {} },
          },
        ],
      },
    },
    {
      FAKE_CA: 'true',
      POD_NAMESPACE: 'shop',
      SERVICE_ACCOUNT: pod.name,
      INSTANCE_IP: pod.ip,
      NETWORK: where,
      AMBIT_BIND: '0.0.0.0',
      AMBIT_HBONE_PORT: '15008',
    },
    ['ip', 'netns', 'exec', network.netnsName(pod)],
  );
}

/** A client that asks one thing and reads the answer. */
function asking(loop: Loop, cart: TestPod, path: string): App {
  const client = App.dial(loop, Endpoint.parse(VIP, 80)!, cart.netns);
  client.send(`GET ${path} HTTP/1.1\r\nhost: orders\r\nconnection: close\r\n\r\n`);
  return client;
}

function serveOrders(loop: Loop, orders: TestPod): void {
  new AppServer(
    loop,
    at(orders, 8080),
    (app) => {
      app.send('HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi');
      app.finish();
    },
    orders.netns,
  );
}

test('two waypoints share a service by weight, and one may be left out at any time', async () => {
  await using rig = new AsyncDisposableStack();
  const network = rig.use(new PodNetwork());
  const loop = rig.adopt(new Loop({ spin: false }), (one) => one.dispose());
  const cart = network.pod('cart');
  const [orders, primary, canary] = [
    network.pod('orders', { captured: false }),
    network.pod('primary', { captured: false }),
    network.pod('canary', { captured: false }),
  ];
  const proxy = rig.adopt(new NodeProxy(ca, { nodeName: 'one' }), (one) => one.stop());
  const programs: WaypointProgram[] = [];
  for (const pod of [primary, canary]) programs.push(rig.use(await waypointIn(network, pod, orders, '')));
  const share = async (weights: readonly [number, number]) => {
    proxy.mesh.putService(
      service({
        name: 'orders',
        namespace: 'shop',
        vips: [VIP],
        ports: { 80: 8080 },
        waypoint: `${primary.ip}:15008`,
        weightedWaypoints: [primary, canary].map(({ ip }, i) => ({ address: `${ip}:15008`, weight: weights[i]! })),
      }),
    );
    await proxy.settle();
  };
  for (const pod of [cart, primary, canary]) proxy.mesh.putWorkload(recordOf(pod, pod === cart ? 'one' : 'two'));
  await share([75, 25]);
  await proxy.addPod(infoOf(cart), cart.netns);
  serveOrders(loop, orders);
  /** How many of so many requests passed each. */
  const ask = async (count: number, path: string): Promise<readonly number[]> => {
    for (let n = 0; n < count; n += 20) {
      const clients = Array.from({ length: 20 }, () => asking(loop, cart, path));
      const served = () => clients.every(({ text }) => text.endsWith('hi'));
      await untilOn(loop)('all are served', served);
    }
    const passed = () => programs.map(({ records }) => records.filter((record) => record['path'] === path).length);
    await until('all are logged', () => passed().reduce((sum, one) => sum + one, 0) === count);
    return passed();
  };
  const shared = await ask(200, '/shared');
  // Of 200 draws: outside these bounds chance leads once in 10^9.
  assert.ok(Math.abs(shared[1]! - 50) <= 40, `${shared.join(' and ')} of 200`);
  await share([0, 100]);
  assert.deepEqual(await ask(40, '/canary-alone'), [0, 40]);
  await share([0, 0]);
  assert.deepEqual(await ask(40, '/primary-again'), [40, 0]);
  const record = programs[1]!.records.find(({ path }) => path === '/shared')!;
  assert.equal(record['src.identity'], CART_ID);
});

test('a waypoint of another network is reached through its gateway, and knows who asks', async () => {
  await using rig = new AsyncDisposableStack();
  const network = rig.use(new PodNetwork());
  const loop = rig.adopt(new Loop({ spin: false }), (one) => one.dispose());
  const [cart, gate] = [network.pod('cart'), network.pod('gate')];
  const [way, orders] = [network.pod('way', { captured: false }), network.pod('orders', { captured: false })];
  const near = rig.adopt(new NodeProxy(ca, { nodeName: 'one', network: 'near' }), (one) => one.stop());
  const gates = rig.adopt(new NodeProxy(ca, { nodeName: 'gate', network: 'far' }), (one) => one.stop());
  const program = rig.use(await waypointIn(network, way, orders, 'far'));
  const gateRecord = recordOf(gate, 'gate', {
    network: 'far',
    applicationTunnel: { protocol: 'none', port: CARRIER_PORT },
  });
  for (const proxy of [near, gates]) {
    proxy.mesh.putWorkload(gateRecord);
    proxy.mesh.putService(
      service({
        name: 'orders',
        namespace: 'shop',
        vips: [`near|${VIP}`, `far|${VIP}`],
        ports: { 80: 8080 },
        waypoint: 'shop/way.shop:15008',
      }),
    );
  }
  near.mesh.putWorkload(recordOf(cart, 'one', { network: 'near' }));
  near.mesh.putService(
    service({
      name: 'way',
      namespace: 'shop',
      hostname: 'way.shop',
      ports: { 15008: 15008 },
      subjectAltNames: ['spiffe://cluster.local/ns/shop/sa/way'],
    }),
  );
  near.mesh.putWorkload(
    recordOf(way, 'two', {
      ips: [],
      network: 'far',
      networkGateway: `far|${gate.ip}:15008`,
      serves: { 'shop/way.shop': {} },
    }),
  );
  for (const proxy of [near, gates]) await proxy.settle();
  await near.addPod(infoOf(cart), cart.netns);
  await gates.addPod(infoOf(gate), gate.netns);
  const carrier = carryTo(loop, at(gate, CARRIER_PORT), gate.netns, at(way, 15008));
  serveOrders(loop, orders);
  const client = asking(loop, cart, '/far');
  await untilOn(loop)('it is served', () => client.text.endsWith('hi'));
  assert.equal(carrier.seen(), 1);
  const record = await program.record('/far');
  assert.equal(record['src.identity'], CART_ID);
  await untilOn(loop)('the node proxy logs it', () => near.lines.length === 1);
  assert.equal(near.lines[0]!['dst.hbone_addr'], 'orders.shop.svc.cluster.local:80');
  assert.equal(near.lines[0]!['dst.identity'], 'spiffe://cluster.local/ns/shop/sa/way');
});
