// SPDX-License-Identifier: Apache-2.0
// What waypoints are told, and what authors of routes are told, by a whole istiod against a fake API.
import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import type { GenericObject } from '#lib/kube/object.ts';
import { ROUTE_TABLE, WAYPOINT } from '#lib/model/l7/resource.ts';
import { connectWaypoint, populate, rootIn, startApp } from '#lib/testkit/istiod.ts';
import { fakeCluster } from '#lib/testkit/kube-client.ts';
import { until } from '#lib/testkit/until.ts';

const GATEWAYS = '/apis/gateway.networking.k8s.io/v1/gateways';
const ROUTES = '/apis/gateway.networking.k8s.io/v1/httproutes';
const TABLE = 'shop/web.shop.svc.cluster.local:80';

/** One that its user runs, at a host name. */
function waypoint(name: string): GenericObject {
  const addresses = [{ type: 'Hostname', value: `${name}.shop.svc.cluster.local` }];
  const listeners = [{ name: 'mesh', port: 15008, protocol: 'HBONE' }];
  return {
    metadata: { name, namespace: 'shop', generation: 1, uid: `uid-${name}` },
    spec: { gatewayClassName: 'istio-waypoint', listeners, addresses },
  };
}

function service(use: string | undefined, port = 80): GenericObject {
  return {
    metadata: { name: 'web', namespace: 'shop', labels: use === undefined ? {} : { 'istio.io/use-waypoint': use } },
    spec: { clusterIP: '10.96.0.1', clusterIPs: ['10.96.0.1'], ports: [{ name: 'http', port }] },
  };
}

const route: GenericObject = {
  metadata: { name: 'r', namespace: 'shop', generation: 3 },
  spec: {
    parentRefs: [{ group: '', kind: 'Service', name: 'web' }],
    rules: [{ backendRefs: [{ name: 'web', port: 80 }] }],
  },
};

async function setUp() {
  const cluster = await fakeCluster();
  populate(cluster);
  cluster.api.put(GATEWAYS, waypoint('w'));
  cluster.api.put(GATEWAYS, waypoint('v'));
  cluster.api.put('/api/v1/services', service('w'));
  const istiod = await startApp(cluster);
  await until('the root', () => rootIn(cluster, 'istio-system'));
  const connect = async (gateway: string, account = gateway) => {
    const stream = connectWaypoint(cluster, istiod.app.ports.secureGrpc, { gateway, account });
    const names = (typeUrl: string) => [...(stream.held.get(typeUrl)?.keys() ?? [])];
    return { ...stream, tables: () => names(ROUTE_TABLE.typeUrl), settings: () => names(WAYPOINT.typeUrl) };
  };
  return {
    ...cluster,
    connect,
    parents: () =>
      (cluster.api.find<GenericObject>(ROUTES, 'shop', 'r')?.status?.['parents'] ?? []) as {
        controllerName: string;
        conditions: { type: string; status: string; observedGeneration: number }[];
      }[],
    async [Symbol.asyncDispose]() {
      await istiod[Symbol.asyncDispose]();
      await cluster[Symbol.asyncDispose]();
    },
  };
}

test('a waypoint gets the routes of the services bound to it, and no other waypoint does', async () => {
  await using env = await setUp();
  await using w = await env.connect('w');
  await using v = await env.connect('v');
  await until('the settings', () => w.settings().length === 1 && v.settings().length === 1);
  deepEqual([w.settings(), v.settings()], [['shop/w'], ['shop/v']]);
  env.api.put(ROUTES, route);
  await until('the table', () => w.tables().length === 1);
  deepEqual([w.tables(), v.tables()], [[TABLE], []]);
  env.api.put('/api/v1/services', service('v'));
  await until('the move', () => w.tables().length === 0 && v.tables().length === 1);
  env.api.remove(ROUTES, 'shop', 'r');
  await until('its end', () => v.tables().length === 0);
});

test('a client that runs as somebody else than the Gateway’s account gets nothing', async () => {
  await using env = await setUp();
  env.api.put(ROUTES, route);
  await using w = await env.connect('w');
  await until('the table', () => w.tables().length === 1);
  await using other = await env.connect('w', 'somebody');
  await using v = await env.connect('v');
  await until('the settings of v', () => v.settings().length === 1);
  deepEqual([other.tables(), other.settings()], [[], []]);
});

test('a route’s status tells of each parent, keeps what others wrote, and is written once', async () => {
  await using env = await setUp();
  const foreign = { parentRef: { name: 'edge' }, controllerName: 'x.io/c', conditions: [] };
  env.api.put(ROUTES, { ...route, status: { parents: [foreign] } });
  const said = (type: string, status: string) => () =>
    env.parents()[1]?.conditions.some((one) => one.type === type && one.status === status);
  await until('the waypoint', said('ResolvedWaypoints', 'True'));
  const [first, second] = env.parents();
  equal(first?.controllerName, 'x.io/c');
  equal(second?.controllerName, 'istio.io/gateway-controller');
  const accepted = second?.conditions.find(({ type }) => type === 'Accepted');
  equal(accepted?.status, 'True');
  equal(accepted?.observedGeneration, 3);
  const writes = () => env.api.requests.filter(({ method, path }) => method === 'PUT' && path.includes('httproutes'));
  const before = writes().length;
  env.api.put('/api/v1/namespaces', { metadata: { name: 'other' } });
  env.api.put('/api/v1/services', service('w', 81));
  await until('the broken reference', said('ResolvedRefs', 'False'));
  equal(writes().length, before + 1);
});
