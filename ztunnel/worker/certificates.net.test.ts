// SPDX-License-Identifier: Apache-2.0
// What becomes of connections when certificates are renewed, roots change, and certificates are taken back.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTestCa } from '#lib/testkit/certificates.ts';
import { App, AppServer } from '#lib/testkit/plain-app.ts';
import { at, twoNodes } from '#lib/testkit/two-nodes.ts';
import { until } from '#lib/testkit/until.ts';
import { pemBlocks } from '#lib/wire/pem.ts';

const ca = await createTestCa();
const CART = 'spiffe://cluster.local/ns/shop/sa/cart';
const ORDERS = 'spiffe://cluster.local/ns/shop/sa/orders';

test('renewed certificates break no connection, and new ones are shown to whoever comes next', async () => {
  await using rig = await twoNodes(ca);
  const server = new AppServer(rig.loop, at(rig.orders, 8080), (app) => app.send('hi'), rig.orders.netns);
  const old = App.dial(rig.loop, at(rig.orders, 8080), rig.cart.netns);
  await rig.until('served', () => old.text === 'hi');
  for (let k = 0; k < 3; k++) {
    await rig.one.replaceCa(ca);
    await rig.two.replaceCa(ca);
    const fresh = App.dial(rig.loop, at(rig.orders, 8080), rig.cart.netns);
    await rig.until('a new connection is served', () => fresh.text === 'hi');
  }
  old.send('still here');
  await rig.until('the old one goes on', () => server.connections[0]!.text === 'still here');
});

test('while a root gives way to another both are trusted, and nothing is cut until the old one goes', async () => {
  await using rig = await twoNodes(ca);
  const next = await createTestCa('next root');
  const both = { ...ca, rootPem: `${ca.rootPem}\n${next.rootPem}` };
  const server = new AppServer(rig.loop, at(rig.orders, 8080), (app) => app.send('hi'), rig.orders.netns);
  const old = App.dial(rig.loop, at(rig.orders, 8080), rig.cart.netns);
  await rig.until('served', () => old.text === 'hi');
  // One node is ahead of the other, as it happens: the old authority's leaf there, the new one's here.
  for (const proxy of [rig.one, rig.two]) await proxy.replaceCa(both);
  await rig.two.replaceCa({ ...next, rootPem: both.rootPem });
  const mixed = App.dial(rig.loop, at(rig.orders, 8080), rig.cart.netns);
  await rig.until('a new connection is served', () => mixed.text === 'hi');
  await rig.one.replaceCa({ ...next, rootPem: both.rootPem });
  old.send('still here');
  await rig.until('the old one goes on', () => server.connections[0]!.text === 'still here');
  assert.equal(old.end, '');
  for (const proxy of [rig.one, rig.two]) await proxy.replaceCa(next);
  await rig.until('what the old root vouched for is cut', () => old.end === 'reset');
  const last = App.dial(rig.loop, at(rig.orders, 8080), rig.cart.netns);
  await rig.until('the new root serves', () => last.text === 'hi');
});

test('a server whose certificate is taken back loses its tunnels at once, and gets no new ones', async () => {
  await using rig = await twoNodes(ca);
  new AppServer(rig.loop, at(rig.orders, 8080), (app) => app.send('hi'), rig.orders.netns);
  const client = App.dial(rig.loop, at(rig.orders, 8080), rig.cart.netns);
  await rig.until('served', () => client.text === 'hi');
  const list = pemBlocks(await ca.revoke([await rig.two.chainOf(ORDERS)]), 'X509 CRL');
  rig.one.revoke(list);
  await rig.until('its connection is cut', () => client.end === 'reset');
  const again = App.dial(rig.loop, at(rig.orders, 8080), rig.cart.netns);
  await rig.until('a new one is refused', () => again.end === 'reset');
  await rig.until('both are logged', () => rig.one.lines.length === 2);
  for (const line of rig.one.lines) assert.equal(line['error'], 'connection closed: peer certificate revoked by CRL');
  await until('it is counted', () => rig.one.metric('failed_total', 'response_flags="CERT_REVOKED"') === 2);
  await until('and as rejections', () => rig.one.metric('istio_crl_policy_rejections_total', 'source') === 2);
  rig.one.revoke([]);
  const pardoned = App.dial(rig.loop, at(rig.orders, 8080), rig.cart.netns);
  await rig.until('without the list it is served', () => pardoned.text === 'hi');
});

test('a client whose certificate is taken back is cut off by the server that knows it', async () => {
  await using rig = await twoNodes(ca);
  new AppServer(rig.loop, at(rig.orders, 8080), (app) => app.send('hi'), rig.orders.netns);
  const client = App.dial(rig.loop, at(rig.orders, 8080), rig.cart.netns);
  await rig.until('served', () => client.text === 'hi');
  rig.two.revoke(pemBlocks(await ca.revoke([await rig.one.chainOf(CART)]), 'X509 CRL'));
  await rig.until('its connection is cut', () => client.end === 'reset');
  const again = App.dial(rig.loop, at(rig.orders, 8080), rig.cart.netns);
  await rig.until('a new one is refused', () => again.end === 'reset');
  await rig.until('the refusal is told', () => /revoked by CRL/.test(JSON.stringify(rig.two.lines)));
  await until('it is counted', () => rig.two.metric('istio_crl_policy_rejections_total', 'destination') >= 2);
});

test('with post-quantum keys required on one end only, the other end agrees to them', async () => {
  await using rig = await twoNodes(ca, {}, { tls: { tls12: true, groups: 'X25519MLKEM768' } });
  new AppServer(rig.loop, at(rig.orders, 8080), (app) => app.send('hi'), rig.orders.netns);
  const client = App.dial(rig.loop, at(rig.orders, 8080), rig.cart.netns);
  await rig.until('served', () => client.text === 'hi');
});
