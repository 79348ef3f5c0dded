// SPDX-License-Identifier: Apache-2.0
// Policies on real connections: who is let in, who is cut when they change, and what is held until they come.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { createTestCa, type TestCa } from '#lib/testkit/certificates.ts';
import { policy } from '#lib/testkit/mesh.ts';
import { App, AppServer } from '#lib/testkit/plain-app.ts';
import { at, denial, recordOf, twoNodes } from '#lib/testkit/two-nodes.ts';
import { until } from '#lib/testkit/until.ts';

let ca: TestCa;
before(async () => {
  ca = await createTestCa();
});

test('a policy denies one caller by identity, and the log names it', async () => {
  await using rig = await twoNodes(ca);
  rig.two.mesh.putPolicy(
    policy({
      name: 'no-cart',
      namespace: 'shop',
      scope: 'namespace',
      action: 'deny',
      rules: [[[{ principals: ['*/sa/cart'] }]]],
    }),
  );
  await rig.two.settle();
  new AppServer(rig.loop, at(rig.orders, 8080), () => {}, rig.orders.netns);
  const client = App.dial(rig.loop, at(rig.orders, 8080), rig.cart.netns);
  await rig.until('the client is cut off', () => client.end === 'reset');
  await rig.until('the denial is logged', () => rig.two.lines.length === 1);
  assert.match(String(rig.two.lines[0]!['error']), /policy rejection.*shop\/no-cart/);
  await until(
    'it is counted',
    () => rig.two.metric('istio_tcp_connections_failed_total', 'response_flags="DENY"') === 1,
  );
  await rig.until('the caller logs', () => rig.one.lines.length === 1);
  assert.equal(rig.one.lines[0]!['error'], 'http status: 401');
});

test('a policy change cuts live connections that it denies and no other', async () => {
  await using rig = await twoNodes(ca);
  const server = new AppServer(rig.loop, at(rig.orders, 8080), (app) => app.send('hi'), rig.orders.netns);
  const other = new AppServer(rig.loop, at(rig.orders, 9090), (app) => app.send('hi'), rig.orders.netns);
  const doomed = App.dial(rig.loop, at(rig.orders, 8080), rig.cart.netns);
  const spared = App.dial(rig.loop, at(rig.orders, 9090), rig.cart.netns);
  await rig.until('both talk', () => doomed.text === 'hi' && spared.text === 'hi');
  rig.two.mesh.putPolicy(denial('p', 8080));
  await rig.two.settle();
  await rig.until('it is cut', () => doomed.end === 'reset' && server.connections[0]!.end === 'reset');
  spared.send('still there');
  await rig.until('the other goes on', () => other.connections[0]!.text === 'still there');
  await rig.until('it is logged', () => rig.two.lines.length === 1);
  assert.equal(rig.two.lines[0]!['error'], 'connection closed due to policy change');
});

test('a client outside the mesh is served in clear with its own address, and refused under STRICT', async () => {
  await using rig = await twoNodes(ca);
  const outside = rig.network.pod('outside', { captured: false });
  const server = new AppServer(rig.loop, at(rig.orders, 8080), (app) => app.send('plain'), rig.orders.netns);
  const client = App.dial(rig.loop, at(rig.orders, 8080), outside.netns);
  await rig.until('served', () => client.text === 'plain');
  assert.equal(server.connections[0]!.peerIp(), outside.ip);
  rig.two.mesh.putPolicy(
    policy({
      name: 'istio_converted_static_strict',
      namespace: 'istio-system',
      scope: 'selector',
      action: 'deny',
      rules: [[[{ notPrincipals: ['*'] }]]],
    }),
  );
  rig.two.mesh.putWorkload({
    ...recordOf(rig.orders, 'two'),
    authorizationPolicies: ['istio-system/istio_converted_static_strict'],
  });
  await rig.two.settle();
  await rig.until('the live one is cut', () => client.end === 'reset');
  const again = App.dial(rig.loop, at(rig.orders, 8080), outside.netns);
  await rig.until('a new one is refused', () => again.end === 'reset');
  const inside = App.dial(rig.loop, at(rig.orders, 8080), rig.cart.netns);
  await rig.until('the mesh is let in', () => inside.text === 'plain');
});

test('a policy that is named and has not arrived holds the connection until it does', async () => {
  await using rig = await twoNodes(ca);
  rig.two.mesh.putWorkload({ ...recordOf(rig.orders, 'two'), authorizationPolicies: ['shop/late'] });
  await rig.two.settle();
  const server = new AppServer(rig.loop, at(rig.orders, 8080), (app) => app.send('in'), rig.orders.netns);
  const client = App.dial(rig.loop, at(rig.orders, 8080), rig.cart.netns);
  await until('it is there', async () => (await rig.two.connections()).length === 1);
  const start = performance.now();
  await rig.until('some time passes', () => performance.now() - start > 200);
  assert.equal(server.connections.length, 0);
  assert.equal(client.end, '');
  rig.two.mesh.putPolicy(
    policy({
      name: 'late',
      namespace: 'shop',
      scope: 'selector',
      action: 'allow',
      rules: [[[{ principals: ['*/sa/cart'] }]]],
    }),
  );
  await rig.two.settle();
  await rig.until('it is let in', () => client.text === 'in');
  await until('it is counted', () => rig.two.metric('ambit_unknown_policy_total', 'outcome="arrived"') === 1);
});

test('a connection held for a policy that never comes is refused, and the outcome is counted', async () => {
  await using rig = await twoNodes(ca, { unknownPolicyWaitMs: 300 });
  rig.two.mesh.putWorkload(recordOf(rig.orders, 'two', { authorizationPolicies: ['shop/lost'] }));
  await rig.two.settle();
  const server = new AppServer(rig.loop, at(rig.orders, 8080), (app) => app.send('in'), rig.orders.netns);
  const refused = App.dial(rig.loop, at(rig.orders, 8080), rig.cart.netns);
  await rig.until('it is refused', () => refused.end === 'reset');
  assert.equal(server.connections.length, 0);
  await rig.until('it is logged', () => rig.two.lines.length === 1);
  assert.match(String(rig.two.lines[0]!['error']), /policy rejection: .*shop\/lost/);
  await until('it is counted', () => rig.two.metric('ambit_unknown_policy_total', 'outcome="refused"') === 1);
});

test('a dry-run policy decides nothing, is counted, and stands in the log of every connection', async () => {
  await using rig = await twoNodes(ca);
  const dry = { namespace: 'shop', dryRun: true } as const;
  rig.two.mesh.putPolicy(policy({ ...dry, name: 'would-deny', action: 'deny', rules: [[]] }));
  rig.two.mesh.putPolicy(
    policy({ ...dry, name: 'would-allow', rules: [[[{ principals: ['cluster.local/ns/shop/sa/other'] }]]] }),
  );
  await rig.two.settle();
  const server = new AppServer(rig.loop, at(rig.orders, 8080), (app) => app.send('in'), rig.orders.netns);
  const client = App.dial(rig.loop, at(rig.orders, 8080), rig.cart.netns);
  await rig.until('it is let in', () => client.text === 'in');
  client.finish();
  server.connections[0]!.finish();
  await rig.until('it is logged', () => rig.two.lines.length === 1);
  assert.equal(rig.two.lines[0]!['dry_run'], 'deny shop/would-deny matched, allow shop/would-allow not matched');
  const counted = (name: string, matched: string) =>
    rig.two.metric('ambit_policy_dry_run_total', `policy="shop/${name}"`, `matched="${matched}"`);
  await until('both are counted', () => counted('would-deny', 'true') === 1 && counted('would-allow', 'false') === 1);
});

test('a policy newly bound to a workload cuts what it denies, though the policy itself is old', async () => {
  await using rig = await twoNodes(ca);
  rig.two.mesh.putPolicy(policy({ name: 'nobody', namespace: 'shop', scope: 'selector', action: 'allow', rules: [] }));
  await rig.two.settle();
  new AppServer(rig.loop, at(rig.orders, 8080), (app) => app.send('in'), rig.orders.netns);
  const client = App.dial(rig.loop, at(rig.orders, 8080), rig.cart.netns);
  await rig.until('it is let in', () => client.text === 'in');
  rig.two.mesh.putWorkload(recordOf(rig.orders, 'two', { authorizationPolicies: ['shop/nobody'] }));
  await rig.two.settle();
  await rig.until('it is cut', () => client.end === 'reset');
  await rig.until('it is logged', () => rig.two.lines.length === 1);
  assert.equal(rig.two.lines[0]!['error'], 'connection closed due to policy change');
  await until('it is a denial', () => rig.two.metric('connections_closed_total', 'response_flags="DENY"') === 1);
});

test('a workload that leaves the mesh and does not come back loses its inbound connections', async () => {
  await using rig = await twoNodes(ca, { recordWaitMs: 500 });
  new AppServer(rig.loop, at(rig.orders, 8080), (app) => app.send('in'), rig.orders.netns);
  const client = App.dial(rig.loop, at(rig.orders, 8080), rig.cart.netns);
  await rig.until('it is let in', () => client.text === 'in');
  const begun = performance.now();
  rig.two.mesh.removeWorkload(recordOf(rig.orders, 'two').uid);
  await rig.two.settle();
  await rig.until('it is cut', () => client.end === 'reset');
  assert.ok(performance.now() - begun > 250, 'not before it could have come back');
  await rig.until('it is logged', () => rig.two.lines.length === 1);
  assert.match(String(rig.two.lines[0]!['error']), /no longer part of the mesh/);
});

test('a request that comes while the record of its pod is away waits for it to come back', async () => {
  await using rig = await twoNodes(ca);
  new AppServer(rig.loop, at(rig.orders, 8080), (app) => app.send('in'), rig.orders.netns);
  const first = App.dial(rig.loop, at(rig.orders, 8080), rig.cart.netns);
  await rig.until('the tunnel is there', () => first.text === 'in');
  const record = recordOf(rig.orders, 'two');
  rig.two.mesh.removeWorkload(record.uid);
  await rig.two.settle();
  const second = App.dial(rig.loop, at(rig.orders, 8080), rig.cart.netns);
  const begun = performance.now();
  await rig.until('it waits', () => performance.now() - begun > 200);
  assert.equal(second.text + second.end, '');
  rig.two.mesh.putWorkload(record);
  await rig.two.settle();
  await rig.until('it is served', () => second.text === 'in');
  assert.equal(first.end, '');
});
