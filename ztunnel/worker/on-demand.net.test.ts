// SPDX-License-Identifier: Apache-2.0
// Nothing is known but what was asked for: what a connection meets and does not know is asked of the control plane, played by the test.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { Endpoint } from '#lib/linux/address.ts';
import { createTestCa, type TestCa } from '#lib/testkit/certificates.ts';
import { service } from '#lib/testkit/mesh.ts';
import type { NodeProxy } from '#lib/testkit/node-proxy.ts';
import { App, AppServer } from '#lib/testkit/plain-app.ts';
import { at, recordOf, twoNodes } from '#lib/testkit/two-nodes.ts';

let ca: TestCa;
before(async () => {
  ca = await createTestCa();
});

const wanted = (proxy: NodeProxy) => proxy.heard.flatMap((said) => (said.kind === 'wanted' ? [said.name] : []));

test('an unknown destination is asked for; known, it is tunnelled to, absent, it passes in clear', async () => {
  await using rig = await twoNodes(ca, { onDemand: true });
  rig.one.mesh.removeWorkload(recordOf(rig.orders, 'two').uid);
  await rig.one.settle();
  const server = new AppServer(rig.loop, at(rig.orders, 8080), (app) => app.send('hi'), rig.orders.netns);
  const client = App.dial(rig.loop, at(rig.orders, 8080), rig.cart.netns);
  await rig.until('it is asked for', () => wanted(rig.one).includes(`/${rig.orders.ip}`));
  assert.equal(server.connections.length, 0);
  rig.one.mesh.putWorkload(recordOf(rig.orders, 'two'));
  await rig.one.settle();
  await rig.until('it is served', () => client.text === 'hi');
  assert.deepEqual(
    (await rig.one.connections()).map(({ protocol }) => protocol),
    ['HBONE'],
  );

  const outside = rig.network.pod('outside', { captured: false });
  new AppServer(rig.loop, at(outside, 8080), (app) => app.send('out'), outside.netns);
  const leaving = App.dial(rig.loop, at(outside, 8080), rig.cart.netns);
  await rig.until('it is asked for', () => wanted(rig.one).includes(`/${outside.ip}`));
  assert.equal(leaving.text, '');
  rig.one.absent(`/${outside.ip}`);
  await rig.until('it passes', () => leaving.text === 'out');
});

test('a waypoint known by name only is asked for, at both ends, before anything is refused', async () => {
  await using rig = await twoNodes(ca, { onDemand: true });
  const web = service({
    name: 'web',
    namespace: 'shop',
    vips: ['10.96.0.7'],
    ports: { 80: 8080 },
    waypoint: 'shop/waypoint.shop.svc.cluster.local:15008',
  });
  const waypoint = service({ name: 'waypoint', namespace: 'shop', ports: { 15008: 15008 } });
  const serving = recordOf(rig.orders, 'two', { serves: { [waypoint.key]: {} } });
  rig.one.mesh.putService(web);
  rig.two.mesh.putWorkload(serving);
  rig.two.mesh.putService(waypoint);
  for (const proxy of [rig.one, rig.two]) await proxy.settle();
  new AppServer(rig.loop, at(rig.orders, 80), (app) => app.send('at the waypoint'), rig.orders.netns);
  const client = App.dial(rig.loop, Endpoint.parse('10.96.0.7', 80)!, rig.cart.netns);
  await rig.until('the client asks for the waypoint', () => wanted(rig.one).includes(waypoint.key));
  rig.one.mesh.putService(waypoint);
  rig.one.mesh.putWorkload(serving);
  await rig.one.settle();
  await rig.until('the waypoint asks what it stands in front of', () => wanted(rig.two).includes('/10.96.0.7'));
  rig.two.mesh.putService(web);
  await rig.two.settle();
  await rig.until('it is served', () => client.text === 'at the waypoint');
});
