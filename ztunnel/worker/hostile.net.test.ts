// SPDX-License-Identifier: Apache-2.0
// Peers that hold a certificate of the mesh and no manners, against a real node proxy: what they do ends their own connections only.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTestCa } from '#lib/testkit/certificates.ts';
import { App, AppServer } from '#lib/testkit/plain-app.ts';
import { TunnelPeer } from '#lib/testkit/tunnel-peer.ts';
import { at, recordOf, twoNodes } from '#lib/testkit/two-nodes.ts';
import { HeaderBlock } from '#lib/wire/h2/headers.ts';

const ca = await createTestCa();
const CART = 'spiffe://cluster.local/ns/shop/sa/cart';
const LATE = 'spiffe://cluster.local/ns/shop/sa/late';

/** Another pod, not captured, whose tunnels the test serves by hand. */
async function handServed(rig: Awaited<ReturnType<typeof twoNodes>>, answer: Parameters<typeof TunnelPeer.create>[3]) {
  const late = rig.network.pod('late', { captured: false });
  rig.one.mesh.putWorkload(recordOf(late, 'elsewhere'));
  await rig.one.settle();
  const peer = await TunnelPeer.create(rig.loop, ca, LATE, answer);
  peer.serve(at(late, 15008), late.netns);
  return { late, peer };
}

test('a peer that never answers a CONNECT is given up in time, and the application is cut', async () => {
  await using rig = await twoNodes(ca, {}, { connectReplyMs: 300 });
  const { late, peer } = await handServed(rig, () => {});
  const client = App.dial(rig.loop, at(late, 8080), rig.cart.netns);
  await rig.until('it is cut', () => client.end === 'reset');
  await rig.until('it is logged', () => rig.one.lines.length === 1);
  assert.equal(rig.one.lines[0]!['error'], 'no answer to CONNECT in time');
  await rig.until('the peer was asked once', () => peer.requests.length === 1);
});

test('an answer with more headers than are taken ends its stream, and the tunnel goes on', async () => {
  await using rig = await twoNodes(ca);
  let big = true;
  const { late, peer } = await handServed(rig, (session, stream) => {
    const answer = HeaderBlock.response(200);
    for (let k = 0; big && k < 20; k++) answer.add(`x-much-${k}`, 'm'.repeat(1000));
    session.h2.respond(stream, answer, false);
    big = false;
  });
  const client = App.dial(rig.loop, at(late, 8080), rig.cart.netns);
  await rig.until('it is cut', () => client.end === 'reset');
  const next = App.dial(rig.loop, at(late, 8080), rig.cart.netns);
  next.send('hello');
  await rig.until('the next is joined', () => peer.requests.length === 2 && next.end === '');
});

test('a request with 16 KiB of headers is served, one with 70 KiB is refused, and neighbours go on', async () => {
  await using rig = await twoNodes(ca);
  new AppServer(rig.loop, at(rig.orders, 8080), (app) => app.send('hi'), rig.orders.netns);
  const neighbour = App.dial(rig.loop, at(rig.orders, 8080), rig.cart.netns);
  await rig.until('a neighbour is served', () => neighbour.text === 'hi');
  const outside = rig.network.pod('outside', { captured: false });
  const peer = await TunnelPeer.create(rig.loop, ca, CART);
  const tunnel = peer.dial(at(rig.orders, 15008), outside.netns);
  await rig.until('the tunnel opens', () => peer.usable === 1);
  const ask = (bytes: number) => {
    const request = HeaderBlock.request('CONNECT', '', `${rig.orders.ip}:8080`, '');
    for (let k = 0; k < bytes / 1024; k++) request.add(`x-much-${k}`, 'm'.repeat(1000));
    return peer.request(tunnel, request);
  };
  const fits = ask(16 * 1024);
  await rig.until('it is served', () => fits.status === 200);
  const tooMuch = ask(70 * 1024);
  await rig.until('it is refused', () => tooMuch.status >= 400 || tooMuch.gone !== '' || peer.ended.length > 0);
  assert.notEqual(tooMuch.status, 200);
  neighbour.send('still here');
  const again = App.dial(rig.loop, at(rig.orders, 8080), rig.cart.netns);
  await rig.until('others are served', () => again.text === 'hi' && neighbour.end === '');
});

test('requests that are no CONNECT, or name nothing, are answered 400, and the tunnel takes the next', async () => {
  await using rig = await twoNodes(ca);
  new AppServer(rig.loop, at(rig.orders, 8080), (app) => app.send('hi'), rig.orders.netns);
  const outside = rig.network.pod('outside', { captured: false });
  const peer = await TunnelPeer.create(rig.loop, ca, CART);
  const tunnel = peer.dial(at(rig.orders, 15008), outside.netns);
  await rig.until('the tunnel opens', () => peer.usable === 1);
  const bad = [
    HeaderBlock.request('GET', 'https', 'orders', '/'),
    HeaderBlock.request('CONNECT', '', 'nonsense', ''),
    HeaderBlock.request('CONNECT', '', '10.99.99.99:8080', ''),
  ].map((request) => peer.request(tunnel, request));
  await rig.until('all are answered', () => bad.every(({ status }) => status > 0));
  assert.deepEqual(
    bad.map(({ status }) => status),
    [400, 400, 400],
  );
  const good = peer.request(tunnel, HeaderBlock.request('CONNECT', '', `${rig.orders.ip}:8080`, ''));
  await rig.until('the good one is served', () => good.status === 200 && good.received === 2);
});

test('what is no TLS, and what hangs in the handshake, hurts nobody', async () => {
  await using rig = await twoNodes(ca);
  new AppServer(rig.loop, at(rig.orders, 8080), (app) => app.send('hi'), rig.orders.netns);
  const outside = rig.network.pod('outside', { captured: false });
  const [nonsense, silent] = [0, 1].map(() => App.dial(rig.loop, at(rig.orders, 15008), outside.netns));
  nonsense!.send('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
  await rig.until('nonsense is cut off', () => nonsense!.end !== '');
  await rig.until('it is told', () => /TLS handshake failed/.test(JSON.stringify(rig.two.lines)));
  const client = App.dial(rig.loop, at(rig.orders, 8080), rig.cart.netns);
  await rig.until('others are served', () => client.text === 'hi');
  assert.equal(silent!.end, '');
});
