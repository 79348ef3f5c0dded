// SPDX-License-Identifier: Apache-2.0
// What a node proxy answers to a CONNECT, by a client that the test plays by hand: the first check that fails decides.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTestCa } from '#lib/testkit/certificates.ts';
import { App, AppServer } from '#lib/testkit/plain-app.ts';
import { PeerStream, TunnelPeer } from '#lib/testkit/tunnel-peer.ts';
import { at, denial, infoOf, type TwoNodes, twoNodes } from '#lib/testkit/two-nodes.ts';
import { HeaderBlock } from '#lib/wire/h2/headers.ts';

const ca = await createTestCa();
const CART = 'spiffe://cluster.local/ns/shop/sa/cart';
const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';

async function client(rig: TwoNodes, uri = CART) {
  const outside = rig.network.pod('outside', { captured: false });
  const peer = await TunnelPeer.create(rig.loop, ca, uri);
  const tunnel = peer.dial(at(rig.orders, 15008), outside.netns);
  const ask = (authority: string, headers: Readonly<Record<string, string>> = {}): PeerStream => {
    const request = HeaderBlock.request('CONNECT', '', authority, '');
    for (const [name, value] of Object.entries(headers)) request.add(name, value);
    return peer.request(tunnel, request);
  };
  return { peer, tunnel, ask, outside };
}

test('success is answered 200 with the destination’s baggage, after the application was reached; errors carry none', async () => {
  await using rig = await twoNodes(ca);
  new AppServer(rig.loop, at(rig.orders, 8080), (app) => app.send('hi'), rig.orders.netns);
  const { peer, ask } = await client(rig);
  await rig.until('the tunnel opens', () => peer.usable === 1);
  const good = ask(`${rig.orders.ip}:8080`);
  await rig.until('it is served', () => good.status === 200 && good.received === 2);
  assert.match(good.headers!.get('baggage') ?? '', /^k8s\.cluster\.name=Kubernetes,k8s\.namespace\.name=shop,/);
  const nobody = ask(`${rig.orders.ip}:9999`);
  await rig.until('nobody listens there', () => nobody.status === 503);
  assert.equal(nobody.headers!.get('baggage'), undefined);
  await rig.until('it is counted', () => rig.two.metric('failed_total', 'response_flags="CONNECT"') === 1);
});

test('what a client says before the answer, and its end, reach the application; a refusal is told nevertheless', async () => {
  await using rig = await twoNodes(ca);
  const server = new AppServer(rig.loop, at(rig.orders, 8080), () => {}, rig.orders.netns);
  const { peer, tunnel } = await client(rig);
  await rig.until('the tunnel opens', () => peer.usable === 1);
  const connect = (port: number) => HeaderBlock.request('CONNECT', '', `${rig.orders.ip}:${port}`, '');
  const hasty = peer.requestSaying(tunnel, connect(8080), 'hello');
  const nobody = peer.requestSaying(tunnel, connect(9999), 'hello');
  await rig.until('the application has heard it all', () => server.connections[0]?.end === 'fin');
  const [app] = server.connections;
  assert.equal(app!.text, 'hello');
  app!.send('bye');
  app!.finish();
  await rig.until('the answer comes', () => hasty.status === 200 && hasty.received === 3);
  await rig.until('nobody listens there', () => nobody.status === 503);
  await rig.until('both are logged', () => rig.two.lines.length === 2);
  const served = rig.two.lines.find((line) => line['dst.hbone_addr'] === `${rig.orders.ip}:8080`);
  assert.deepEqual([served!['bytes_recv'], served!['bytes_sent'], served!['error']], [5, 3, undefined]);
});

test('a CONNECT that is its client’s last word is answered, and the application hears the end', async () => {
  await using rig = await twoNodes(ca);
  const server = new AppServer(rig.loop, at(rig.orders, 8080), (app) => app.send('hi'), rig.orders.netns);
  const { peer, tunnel } = await client(rig);
  await rig.until('the tunnel opens', () => peer.usable === 1);
  const listener = new PeerStream();
  tunnel.request(HeaderBlock.request('CONNECT', '', `${rig.orders.ip}:8080`, ''), listener, true);
  await rig.until('the application hears the end', () => server.connections[0]?.end === 'fin');
  await rig.until('what it says arrives', () => listener.status === 200 && listener.received === 2);
});

test('without response baggage neither is the answer told of nor the request’s read', async () => {
  await using rig = await twoNodes(ca, { responseBaggage: false });
  new AppServer(rig.loop, at(rig.orders, 8080), (app) => app.finish(), rig.orders.netns);
  const { peer, ask } = await client(rig);
  await rig.until('the tunnel opens', () => peer.usable === 1);
  const good = ask(`${rig.orders.ip}:8080`, { baggage: 'k8s.namespace.name=elsewhere,service.name=stranger' });
  await rig.until('it is served', () => good.status === 200);
  assert.equal(good.headers!.get('baggage'), undefined);
  peer.sessions[0]!.drop('enough');
  await rig.until('it is logged', () => rig.two.lines.length === 1);
  assert.equal(rig.two.lines[0]!['src.namespace'], undefined);
});

test('a client that no record knows is described by its baggage, and the trace goes on', async () => {
  await using rig = await twoNodes(ca);
  new AppServer(rig.loop, at(rig.orders, 8080), (app) => app.finish(), rig.orders.netns);
  const { peer, ask } = await client(rig);
  await rig.until('the tunnel opens', () => peer.usable === 1);
  const good = ask(`${rig.orders.ip}:8080`, {
    baggage: 'k8s.cluster.name=far,k8s.namespace.name=elsewhere,k8s.deployment.name=stranger,service.name=odd',
    traceparent: `00-${TRACE}-00f067aa0ba902b7-01`,
  });
  await rig.until('it is served', () => good.status === 200);
  peer.sessions[0]!.drop('enough');
  await rig.until('it is logged', () => rig.two.lines.length === 1);
  const [line] = rig.two.lines;
  assert.deepEqual([line!['src.namespace'], line!['src.cluster']], ['elsewhere', 'far']);
  assert.equal((line!['inbound'] as { id: string }).id, TRACE);
});

test('a denied request is answered 401, an illegal port 503, and neither reaches an application', async () => {
  await using rig = await twoNodes(ca);
  const server = new AppServer(rig.loop, at(rig.orders, 8080), () => {}, rig.orders.netns);
  rig.two.mesh.putPolicy(denial('p', 8080));
  await rig.two.settle();
  const { peer, ask } = await client(rig);
  await rig.until('the tunnel opens', () => peer.usable === 1);
  const denied = ask(`${rig.orders.ip}:8080`);
  const illegal = [15001, 15006, 15008].map((port) => ask(`${rig.orders.ip}:${port}`));
  await rig.until('all are answered', () => [denied, ...illegal].every(({ status }) => status > 0));
  assert.equal(denied.status, 401);
  assert.deepEqual(
    illegal.map(({ status }) => status),
    [503, 503, 503],
  );
  assert.equal(server.connections.length, 0);
  const circles = () => rig.two.lines.filter((line) => /^attempted recursive call/.test(String(line['error'])));
  await rig.until('the circles are told of', () => circles().length === 3);
});

test('a client of another trust domain gets no tunnel, whoever signed it', async () => {
  await using rig = await twoNodes(ca);
  const { peer } = await client(rig, 'spiffe://elsewhere.example/ns/shop/sa/cart');
  await rig.until('it is refused', () => peer.ended.length === 1);
  await rig.until('the refusal is told', () => /not of trust domain cluster.local/.test(JSON.stringify(rig.two.lines)));
});

test('callers of a pod whose record does not come are given up after a while, and the log says whose it is', async () => {
  await using rig = await twoNodes(ca, { recordWaitMs: 300 });
  const late = rig.network.pod('late');
  await rig.two.addPod(infoOf(late), late.netns);
  const { outside } = await client(rig);
  const knock = App.dial(rig.loop, at(late, 15008), outside.netns);
  // What a ClientHello begins with.
  knock.send('\x16\x03\x01\x02\x00\x01');
  await rig.until('it is given up', () => knock.end !== '');
  const whose = /failed to fetch information about local workload: late.shop \(late\)/;
  await rig.until('the log says whose', () => whose.test(JSON.stringify(rig.two.lines)));
});

test('plaintext to the proxy’s own ports is dropped, so that nothing runs in a circle', async () => {
  await using rig = await twoNodes(ca);
  const { outside } = await client(rig);
  const knocks = [15001, 15006].map((port) => App.dial(rig.loop, at(rig.orders, port), outside.netns));
  await rig.until('both are dropped', () => knocks.every(({ end }) => end === 'reset'));
  await rig.until('both are told', () => rig.two.lines.length === 2);
  for (const line of rig.two.lines) assert.equal(line['error'], 'attempted recursive call to ourselves');
});
