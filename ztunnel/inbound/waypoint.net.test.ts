// SPDX-License-Identifier: Apache-2.0
// A waypoint that has the node proxy end its tunnels: an application tunnel, with and without a PROXY header in front.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { Endpoint } from '#lib/linux/address.ts';
import { createTestCa, type TestCa } from '#lib/testkit/certificates.ts';
import { service, type WorkloadText } from '#lib/testkit/mesh.ts';
import { App, AppServer } from '#lib/testkit/plain-app.ts';
import { at, recordOf, twoNodes } from '#lib/testkit/two-nodes.ts';
import { parseProxyV2, TLV_SOURCE_IDENTITY } from '#lib/wire/proxy-v2.ts';

let ca: TestCa;
before(async () => {
  ca = await createTestCa();
});

const VIP = '10.96.0.7';
const VIP6 = 'fd96::7';

/** Pod `orders` is the waypoint of service `web`, which has no other endpoint here. */
async function sandwich(tunnel: NonNullable<WorkloadText['applicationTunnel']>, settings = {}) {
  const rig = await twoNodes(ca, settings);
  for (const proxy of [rig.one, rig.two]) {
    proxy.mesh.putWorkload(recordOf(rig.orders, 'two', { applicationTunnel: tunnel }));
    proxy.mesh.putService(
      service({
        name: 'web',
        namespace: 'shop',
        vips: [VIP, VIP6],
        ports: { 80: 8080 },
        waypoint: `${rig.orders.ip}:15008`,
      }),
    );
    await proxy.settle();
  }
  return rig;
}

const mapped = (ip: string): string => {
  const [a, b, c, d] = ip.split('.').map(Number) as [number, number, number, number];
  return `::ffff:${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`;
};

const parsed = (app: App) => {
  const got = parseProxyV2(Buffer.concat(app.chunks));
  assert.equal(got.kind, 'header');
  if (got.kind !== 'header') throw new Error('no header');
  return { ...got, rest: Buffer.concat(app.chunks).subarray(got.length).toString() };
};

for (const vip of [VIP, VIP6]) {
  test(`a program behind a PROXY tunnel is told client, destination ${vip} and identity, on its loopback`, async () => {
    await using rig = await sandwich({ protocol: 'proxy', port: 15088 });
    const server = new AppServer(rig.loop, Endpoint.parse('127.0.0.1', 15088)!, () => {}, rig.orders.netns);
    const client = App.dial(rig.loop, Endpoint.parse(vip, 80)!, rig.cart.netns);
    client.send('GET /');
    await rig.until('it arrives', () => server.connections[0]?.text.endsWith('GET /') === true);
    const { header, rest } = parsed(server.connections[0]!);
    assert.equal(rest, 'GET /');
    assert.equal(server.connections[0]!.peerIp(), '127.0.0.1');
    const { source, destination } = header.addresses!;
    assert.deepEqual(destination, { ip: vip, port: 80 });
    // The tunnel came over IPv4; beside an IPv6 destination its address is written mapped.
    assert.equal(source.ip, vip === VIP ? rig.cart.ip : mapped(rig.cart.ip));
    assert.ok(source.port > 0);
    assert.deepEqual(
      header.tlvs.map(({ type, value }) => [type, value.toString()]),
      [[TLV_SOURCE_IDENTITY, 'spiffe://cluster.local/ns/shop/sa/cart']],
    );
    server.connections[0]!.send('200');
    await rig.until('the answer returns', () => client.text === '200');
  });
}

test('with LOCALHOST_APP_TUNNEL off the PROXY tunnel leads to the address of the pod', async () => {
  await using rig = await sandwich({ protocol: 'proxy', port: 15088 }, { localhostAppTunnel: false });
  const server = new AppServer(rig.loop, at(rig.orders, 15088), () => {}, rig.orders.netns);
  const client = App.dial(rig.loop, Endpoint.parse(VIP, 80)!, rig.cart.netns);
  client.send('hi');
  await rig.until('it arrives', () => server.connections[0]?.text.endsWith('hi') === true);
  assert.deepEqual(parsed(server.connections[0]!).header.addresses!.destination, { ip: VIP, port: 80 });
});

test('a tunnel without a protocol leads to its port, and nothing is put in front', async () => {
  await using rig = await sandwich({ protocol: 'none', port: 15088 });
  const server = new AppServer(rig.loop, at(rig.orders, 15088), () => {}, rig.orders.netns);
  const client = App.dial(rig.loop, Endpoint.parse(VIP, 80)!, rig.cart.netns);
  client.send('hi');
  await rig.until('it arrives', () => server.connections[0]?.text === 'hi');
  assert.equal(server.connections[0]!.peerIp(), rig.cart.ip);
});

test('a PROXY program that is not there is a refused connection, and nothing is sent', async () => {
  await using rig = await sandwich({ protocol: 'proxy', port: 15088 });
  const client = App.dial(rig.loop, Endpoint.parse(VIP, 80)!, rig.cart.netns);
  await rig.until('it is cut', () => client.end === 'reset');
  await rig.until('it is logged', () => rig.two.lines.length === 1);
  assert.match(String(rig.two.lines[0]!['error']), /ECONNREFUSED/);
});
