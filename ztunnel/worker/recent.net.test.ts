// SPDX-License-Identifier: Apache-2.0
// Connections that ended are remembered with what decided them.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTestCa } from '#lib/testkit/certificates.ts';
import { App, AppServer } from '#lib/testkit/plain-app.ts';
import { at, denial, twoNodes } from '#lib/testkit/two-nodes.ts';

const ca = await createTestCa();

test('both ends remember a connection that ended, with the way it took and why it was let in', async () => {
  await using rig = await twoNodes(ca);
  const server = new AppServer(rig.loop, at(rig.orders, 8080), (app) => app.send('hi'), rig.orders.netns);
  const client = App.dial(rig.loop, at(rig.orders, 8080), rig.cart.netns);
  await rig.until('served', () => client.text === 'hi');
  client.finish();
  server.connections[0]!.finish();
  await rig.until('both ends log', () => rig.one.lines.length === 1 && rig.two.lines.length === 1);
  const [out] = await rig.one.recent();
  assert.equal(out!.srcWorkload, 'shop/cart');
  assert.equal(out!.error, '');
  assert.match(out!.proof.join('\n'), /HBONE: tunnel to .*:15008/);
  const [into] = await rig.two.recent();
  assert.equal(into!.srcIdentity, 'spiffe://cluster.local/ns/shop/sa/cart');
  assert.equal(into!.sentBytes, 2);
  assert.match(into!.proof.join('\n'), /Authority .*: is the address the tunnel came to/);
});

test('a denial is remembered with its proof, also when no proofs of others are kept', async () => {
  await using rig = await twoNodes(ca, { proofsPerSecond: 1 });
  rig.two.mesh.putPolicy(denial('p', 8080));
  await rig.two.settle();
  new AppServer(rig.loop, at(rig.orders, 9090), (app) => app.send('hi'), rig.orders.netns);
  // The first uses up this second's proofs.
  const allowed = App.dial(rig.loop, at(rig.orders, 9090), rig.cart.netns);
  await rig.until('served', () => allowed.text === 'hi');
  const denied = App.dial(rig.loop, at(rig.orders, 8080), rig.cart.netns);
  await rig.until('denied', () => denied.end === 'reset' && rig.two.lines.length === 1);
  const [first] = (await rig.two.recent()).filter(({ flag }) => flag === 'DENY');
  assert.equal(first!.policy, 'shop/p');
  assert.equal(first!.rule, 1);
  assert.match(first!.proof.join('\n'), /AuthorizationPolicy shop\/p, rule 1: DENY: matches/);
});

test('a live connection that a policy change cuts names the policy in log and memory', async () => {
  await using rig = await twoNodes(ca);
  new AppServer(rig.loop, at(rig.orders, 8080), (app) => app.send('hi'), rig.orders.netns);
  const client = App.dial(rig.loop, at(rig.orders, 8080), rig.cart.netns);
  await rig.until('served', () => client.text === 'hi');
  rig.two.mesh.putPolicy(denial('late', 8080));
  await rig.two.settle();
  await rig.until('it is cut', () => client.end === 'reset' && rig.two.lines.length === 1);
  const [line] = rig.two.lines;
  assert.equal(line!['policy'], 'shop/late');
  assert.equal(line!['rule'], 1);
  assert.equal(line!['src.identity'], 'spiffe://cluster.local/ns/shop/sa/cart');
  assert.equal(line!['dst.identity'], 'spiffe://cluster.local/ns/shop/sa/orders');
  assert.match(String(line!['clause']), /8080/);
});
