// SPDX-License-Identifier: Apache-2.0
// The data plane between real namespaces: applications dial each other as if there were no mesh.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync, readlinkSync } from 'node:fs';
import { before, test } from 'node:test';
import { Endpoint } from '#lib/linux/address.ts';
import { Loop } from '#lib/loop/loop.ts';
import { createTestCa, type TestCa } from '#lib/testkit/certificates.ts';
import { policy, service, workload } from '#lib/testkit/mesh.ts';
import { NodeProxy, TEST_SETTINGS } from '#lib/testkit/node-proxy.ts';
import { App, AppServer } from '#lib/testkit/plain-app.ts';
import { PodNetwork } from '#lib/testkit/pod-network.ts';
import { at, infoOf, recordOf, twoNodes } from '#lib/testkit/two-nodes.ts';
import { until, untilOn } from '#lib/testkit/until.ts';

let ca: TestCa;
before(async () => {
  ca = await createTestCa();
});

test('a connection between pods of two nodes travels in a tunnel and keeps the client address', async () => {
  await using rig = await twoNodes(ca);
  const server = new AppServer(rig.loop, at(rig.orders, 8080), () => {}, rig.orders.netns);
  const client = App.dial(rig.loop, at(rig.orders, 8080), rig.cart.netns);
  client.send('ping');
  await rig.until('the server hears', () => server.connections[0]?.text === 'ping');
  assert.equal(server.connections[0]!.peerIp(), rig.cart.ip);
  server.connections[0]!.send('pong');
  await rig.until('the client hears', () => client.text === 'pong');
  client.finish();
  await rig.until('the server sees FIN', () => server.connections[0]!.end === 'fin');
  server.connections[0]!.finish();
  await rig.until('the client sees FIN', () => client.end === 'fin');
  await rig.until('both proxies log', () => rig.one.lines.length === 1 && rig.two.lines.length === 1);
  const [out] = rig.one.lines;
  const [into] = rig.two.lines;
  assert.equal(out!['dst.identity'], 'spiffe://cluster.local/ns/shop/sa/orders');
  assert.equal(out!['bytes_sent'], 4);
  assert.equal(into!['src.identity'], 'spiffe://cluster.local/ns/shop/sa/cart');
  assert.equal(into!['bytes_recv'], 4);
  await until('it is counted', () => rig.one.metric('istio_tcp_connections_opened_total', 'reporter="source"') === 1);
  await until('it is counted', () => rig.two.metric('istio_tcp_connections_closed_total', 'response_flags="-"') === 1);
});

test('IPv6 travels like IPv4', async () => {
  await using rig = await twoNodes(ca);
  const to = Endpoint.parse(rig.orders.ip6, 8080)!;
  const server = new AppServer(rig.loop, to, (app) => app.send('six'), rig.orders.netns);
  const client = App.dial(rig.loop, to, rig.cart.netns);
  await rig.until('the client hears', () => client.text === 'six');
  assert.equal(server.connections[0]!.peerIp(), rig.cart.ip6);
  assert.deepEqual(
    (await rig.two.connections()).map(({ protocol, src }) => [protocol, src.startsWith(`[${rig.cart.ip6}]`)]),
    [['HBONE', true]],
  );
});

test('an unknown address inside the cluster waits for the mesh, then passes and is counted', async () => {
  const network = new PodNetwork();
  await using one = new NodeProxy(ca, {
    nodeName: 'one',
    unknownAddress: { clusterRanges: ['10.91.0.0/16'], waitMs: 300, outcome: 'pass' },
  });
  using _network = network;
  const loop = new Loop({ spin: false });
  const cart = network.pod('cart');
  const late = network.pod('late', { captured: false });
  one.mesh.putWorkload(recordOf(cart, 'one'));
  await one.settle();
  await one.addPod(infoOf(cart), cart.netns);
  new AppServer(loop, at(late, 8080), (app) => app.send('hi'), late.netns);
  const start = performance.now();
  const client = App.dial(loop, at(late, 8080), cart.netns);
  await untilOn(loop)('it passes', () => client.text === 'hi');
  assert.ok(performance.now() - start > 150);
  await until('it is counted', () => one.metric('ambit_unknown_address_total', 'outcome="passed"') === 1);
  assert.ok(one.heard.some((said) => said.kind === 'wanted' && said.name === `/${late.ip}`));
  loop.dispose();
});

test('pods of one node are joined without a tunnel, under the same policy', async () => {
  const network = new PodNetwork();
  const loop = new Loop({ spin: false });
  const proxy = new NodeProxy(ca, { nodeName: 'one' });
  try {
    const [cart, orders] = [network.pod('cart'), network.pod('orders')];
    for (const pod of [cart, orders]) proxy.mesh.putWorkload(recordOf(pod, 'one'));
    await proxy.settle();
    for (const pod of [cart, orders]) await proxy.addPod(infoOf(pod), pod.netns);
    const untilHere = untilOn(loop);
    const server = new AppServer(loop, at(orders, 8080), (app) => app.send('near'), orders.netns);
    const client = App.dial(loop, at(orders, 8080), cart.netns);
    await untilHere('served', () => client.text === 'near');
    assert.equal(server.connections[0]!.peerIp(), cart.ip);
    assert.equal(proxy.heard.filter((said) => said.kind === 'identity-wanted').length, 0);
    client.finish();
    await untilHere('FIN arrives', () => server.connections[0]!.end === 'fin');
    server.connections[0]!.finish();
    await untilHere('FIN returns', () => client.end === 'fin');
    await until('both ends are logged', () => proxy.lines.length === 2);
    assert.deepEqual(proxy.lines.map((line) => [line['direction'], line['src.identity']]).sort(), [
      ['inbound', 'spiffe://cluster.local/ns/shop/sa/cart'],
      ['outbound', 'spiffe://cluster.local/ns/shop/sa/cart'],
    ]);
    await until('it is counted', () => proxy.metric('opened_total', 'connection_security_policy="node_local"') === 2);
    proxy.mesh.putPolicy(policy({ name: 'none', namespace: 'shop', scope: 'namespace', action: 'allow', rules: [] }));
    await proxy.settle();
    const denied = App.dial(loop, at(orders, 8080), cart.netns);
    await untilHere('denied', () => denied.end === 'reset');
    await untilHere('it is logged', () => /policy rejection/.test(JSON.stringify(proxy.lines)));
  } finally {
    loop.dispose();
    await proxy.stop();
    network[Symbol.dispose]();
  }
});

test('a refused endpoint is exchanged for another while no byte has been sent', async () => {
  await using rig = await twoNodes(ca);
  for (const proxy of [rig.one, rig.two]) {
    proxy.mesh.putService(service({ name: 'orders', namespace: 'shop', vips: ['10.96.0.1'], ports: { 80: 8080 } }));
    proxy.mesh.putWorkload({
      ...recordOf(rig.orders, 'two'),
      services: new Map([['shop/orders.shop.svc.cluster.local', []]]),
    });
    proxy.mesh.putWorkload(
      workload({
        name: 'ghost',
        namespace: 'shop',
        ips: ['10.91.0.77'],
        protocol: 'none',
        capacity: 50,
        serves: { 'shop/orders.shop.svc.cluster.local': {} },
      }),
    );
    await proxy.settle();
  }
  // The ghost's address refuses at once: nobody listens there, and it is local to the client.
  execFileSync('ip', ['-n', rig.network.netnsName(rig.cart), 'addr', 'add', '10.91.0.77/32', 'dev', 'lo']);
  new AppServer(rig.loop, at(rig.orders, 8080), (app) => app.send('found'), rig.orders.netns);
  for (let k = 0; k < 5; k++) {
    const client = App.dial(rig.loop, Endpoint.parse('10.96.0.1', 80)!, rig.cart.netns);
    await rig.until('served', () => client.text === 'found');
  }
  await until('retries are counted', () => rig.one.metric('ambit_connect_retries_total') > 0);
});

test('trap 16: a deleted pod leaves nothing that holds its namespace', async () => {
  await using rig = await twoNodes(ca);
  new AppServer(rig.loop, at(rig.orders, 8080), (app) => app.send('hi'), rig.orders.netns);
  const client = App.dial(rig.loop, at(rig.orders, 8080), rig.cart.netns);
  await rig.until('served', () => client.text === 'hi');
  rig.one.deletePod('uid-cart');
  await rig.until('its connection is cut', () => client.end === 'reset');
  const pid = rig.one.workers.list()[0]!.pid!;
  const inode = rig.cart.netns.id.split(':')[1]!;
  const held = () =>
    readdirSync(`/proc/${pid}/fd`).some((fd) => {
      try {
        return readlinkSync(`/proc/${pid}/fd/${fd}`) === `net:[${inode}]`;
      } catch {
        return false;
      }
    });
  await rig.until('the handle is closed', () => !held());
  const sockets = execFileSync('ip', ['netns', 'exec', rig.network.netnsName(rig.cart), 'ss', '-Htanp'], {
    encoding: 'utf8',
  });
  assert.doesNotMatch(sockets, new RegExp(`pid=${pid},`));
  await rig.until('it is logged', () => /closed due to connection drain/.test(JSON.stringify(rig.one.lines)));
});

test('a graceful drain lets what is open finish and takes nothing new', async () => {
  await using rig = await twoNodes(ca);
  const server = new AppServer(rig.loop, at(rig.orders, 8080), (app) => app.send('hi'), rig.orders.netns);
  const client = App.dial(rig.loop, at(rig.orders, 8080), rig.cart.netns);
  await rig.until('served', () => client.text === 'hi');
  const draining = rig.two.workers.list()[0]!;
  rig.two.drain('graceful', 600_000);
  await rig.until('nobody listens any more', () => {
    const listening = execFileSync('ip', ['netns', 'exec', rig.network.netnsName(rig.orders), 'ss', '-Htln'], {
      encoding: 'utf8',
    });
    return !listening.includes(':15008');
  });
  client.send('still served');
  await rig.until('the open one goes on', () => server.connections[0]!.text === 'still served');
  client.finish();
  server.connections[0]!.finish();
  await rig.until('the process ends by itself', () => !draining.alive);
});

test('trap 9: a root that is no longer trusted ends its tunnels, and new ones are made under the new root', async () => {
  await using rig = await twoNodes(ca);
  const server = new AppServer(rig.loop, at(rig.orders, 8080), (app) => app.send('hi'), rig.orders.netns);
  const old = App.dial(rig.loop, at(rig.orders, 8080), rig.cart.netns);
  await rig.until('it talks', () => old.text === 'hi');
  const next = await createTestCa('next root');
  await rig.one.replaceCa(next);
  await rig.two.replaceCa(next);
  await rig.until('the old connection is cut', () => old.end === 'reset');
  await rig.until('the cause is logged', () => rig.two.lines.length > 0 && rig.one.lines.length > 0);
  const fresh = App.dial(rig.loop, at(rig.orders, 8080), rig.cart.netns);
  await rig.until('a new connection talks', () => fresh.text === 'hi');
  server.close();
});

test('trap 23: one proxy takes over from another under load, and no connection is lost', async () => {
  await using rig = await twoNodes(ca);
  await using next = new NodeProxy(ca, { nodeName: 'two' });
  for (const pod of [rig.cart, rig.orders]) next.mesh.putWorkload(recordOf(pod, pod === rig.cart ? 'one' : 'two'));
  await next.settle();
  const served: App[] = [];
  new AppServer(
    rig.loop,
    at(rig.orders, 8080),
    (app) => {
      app.send('ok');
      app.finish();
      served.push(app);
    },
    rig.orders.netns,
  );
  const clients: App[] = [];
  const done = () => clients.filter((client) => client.text === 'ok' && client.end === 'fin').length;
  const broken = () => clients.filter(({ end }) => end === 'reset').length;
  // A few at a time, always, before, while and after the old one goes.
  const keepBusy = () => {
    for (const client of clients) if (client.end === 'fin') client.finish();
    while (clients.length - done() - broken() < 8 && clients.length < 600) {
      clients.push(App.dial(rig.loop, at(rig.orders, 8080), rig.cart.netns));
    }
  };
  await rig.until('the old one serves', () => {
    keepBusy();
    return done() > 100;
  });
  await next.addPod(infoOf(rig.orders), rig.orders.netns);
  rig.two.drain('graceful', 600_000);
  await rig.until('all are served', () => {
    keepBusy();
    return done() + broken() === 600;
  });
  assert.equal(broken(), 0);
  assert.ok((await next.connections()).length >= 0);
  await until('the new one served too', () => next.metric('istio_tcp_connections_opened_total') > 0);
});

test('where same-node joining is switched off, pods of one node use a tunnel', async () => {
  const network = new PodNetwork();
  const loop = new Loop({ spin: false });
  const proxy = new NodeProxy(ca, { nodeName: 'one', sameNode: 'tunnel' });
  try {
    const [cart, orders] = [network.pod('cart'), network.pod('orders')];
    for (const pod of [cart, orders]) proxy.mesh.putWorkload(recordOf(pod, 'one'));
    await proxy.settle();
    for (const pod of [cart, orders]) await proxy.addPod(infoOf(pod), pod.netns);
    const server = new AppServer(loop, at(orders, 8080), (app) => app.send('far'), orders.netns);
    const client = App.dial(loop, at(orders, 8080), cart.netns);
    await untilOn(loop)('served', () => client.text === 'far');
    assert.equal(server.connections[0]!.peerIp(), cart.ip);
    const protocols = (await proxy.connections()).map(({ direction, protocol }) => [direction, protocol]);
    assert.deepEqual(protocols.sort(), [
      ['inbound', 'HBONE'],
      ['outbound', 'HBONE'],
    ]);
  } finally {
    loop.dispose();
    await proxy.stop();
    network[Symbol.dispose]();
  }
});

test('a pod that calls itself by its service is served', async () => {
  const network = new PodNetwork();
  const loop = new Loop({ spin: false });
  const proxy = new NodeProxy(ca, { nodeName: 'one' });
  try {
    const cart = network.pod('cart');
    const key = 'shop/cart.shop.svc.cluster.local';
    proxy.mesh.putService(service({ name: 'cart', namespace: 'shop', vips: ['10.96.0.9'], ports: { 80: 8080 } }));
    proxy.mesh.putWorkload({ ...recordOf(cart, 'one'), services: new Map([[key, []]]) });
    await proxy.settle();
    await proxy.addPod(infoOf(cart), cart.netns);
    new AppServer(loop, at(cart, 8080), (app) => app.send('me'), cart.netns);
    const client = App.dial(loop, Endpoint.parse('10.96.0.9', 80)!, cart.netns);
    await untilOn(loop)('served', () => client.text === 'me');
  } finally {
    loop.dispose();
    await proxy.stop();
    network[Symbol.dispose]();
  }
});

test('thousands of connections that reset at once do not cut the tunnel they share with others', async () => {
  await using rig = await twoNodes(ca);
  const server = new AppServer(rig.loop, at(rig.orders, 8080), (app) => app.send('hi'), rig.orders.netns);
  const steady = App.dial(rig.loop, at(rig.orders, 8080), rig.cart.netns);
  await rig.until('the steady one is served', () => steady.text === 'hi');
  let reset = 0;
  let open: App[] = [];
  await rig.until(
    'all have been and gone',
    () => {
      for (const app of open) {
        if (app.text !== 'hi') continue;
        app.socket.abort();
        reset++;
      }
      open = open.filter((app) => !app.socket.closed);
      while (open.length < 50 && reset + open.length < 2500) {
        open.push(App.dial(rig.loop, at(rig.orders, 8080), rig.cart.netns));
      }
      return reset === 2500;
    },
    120_000,
  );
  steady.send('still here');
  await rig.until('the steady one goes on', () => server.connections[0]!.text === 'still here');
});

test('a tunnel that comes before the record of its pod waits for it, and a deleted pod does not keep it waiting', async () => {
  await using rig = await twoNodes(ca);
  rig.two.mesh.removeWorkload(recordOf(rig.orders, 'two').uid);
  await rig.two.settle();
  new AppServer(rig.loop, at(rig.orders, 8080), (app) => app.send('hi'), rig.orders.netns);
  const early = App.dial(rig.loop, at(rig.orders, 8080), rig.cart.netns);
  const start = performance.now();
  await rig.until('some time passes', () => performance.now() - start > 200);
  assert.equal(early.received, 0);
  rig.two.mesh.putWorkload(recordOf(rig.orders, 'two'));
  await rig.two.settle();
  await rig.until('it is served', () => early.text === 'hi');
  rig.two.mesh.removeWorkload(recordOf(rig.orders, 'two').uid);
  await rig.two.settle();
  rig.one.deletePod('uid-cart');
  await rig.one.addPod(infoOf(rig.cart), rig.cart.netns);
  const late = App.dial(rig.loop, at(rig.orders, 8080), rig.cart.netns);
  const again = performance.now();
  await rig.until('it is on its way', () => performance.now() - again > 200);
  rig.two.deletePod('uid-orders');
  // Long before it would be given up.
  await rig.until('it is cut at once', () => late.end === 'reset', TEST_SETTINGS.recordWaitMs / 2);
});
