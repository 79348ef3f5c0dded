// SPDX-License-Identifier: Apache-2.0
// Endpoints that the mesh knows by host name only: their address is asked for when a connection needs one.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { Endpoint } from '#lib/linux/address.ts';
import { createTestCa, type TestCa } from '#lib/testkit/certificates.ts';
import { DnsUpstream } from '#lib/testkit/dns-upstream.ts';
import { service, workload } from '#lib/testkit/mesh.ts';
import { TEST_SETTINGS } from '#lib/testkit/node-proxy.ts';
import { App, AppServer } from '#lib/testkit/plain-app.ts';
import { at, twoNodes } from '#lib/testkit/two-nodes.ts';
import { until } from '#lib/testkit/until.ts';

let ca: TestCa;
before(async () => {
  ca = await createTestCa();
});

const VIP = Endpoint.parse('240.0.0.1', 5432)!;
const KEY = 'shop/db.example.org';

/** Service `db.example.org` with an endpoint for each of `hostnames`, and a resolver that answers for them. */
async function external(upstream: DnsUpstream, hostnames: readonly string[], tryMs = TEST_SETTINGS.dns.tryMs) {
  const rig = await twoNodes(ca, { dns: { ...TEST_SETTINGS.dns, servers: [upstream.endpoint], tryMs } });
  const outside = rig.network.pod('outside', { captured: false });
  rig.one.mesh.putService(
    service({ name: 'db', namespace: 'shop', hostname: 'db.example.org', vips: ['240.0.0.1'], ports: { 5432: 15432 } }),
  );
  for (const hostname of hostnames) {
    rig.one.mesh.putWorkload(
      workload({ name: hostname, namespace: 'shop', hostname, protocol: 'none', serves: { [KEY]: {} } }),
    );
  }
  await rig.one.settle();
  return { ...rig, outside };
}

test('an endpoint known by host name is resolved once for as long as the answer lives', async () => {
  await using upstream = await DnsUpstream.start();
  await using rig = await external(upstream, ['real.example.org']);
  upstream.names.set('real.example.org', [{ type: 'A', name: 'real.example.org', ttl: 60, data: rig.outside.ip }]);
  new AppServer(rig.loop, at(rig.outside, 15432), (app) => app.send('db'), rig.outside.netns);
  const first = App.dial(rig.loop, VIP, rig.cart.netns);
  await rig.until('it is served', () => first.text === 'db');
  const second = App.dial(rig.loop, VIP, rig.cart.netns);
  await rig.until('it is served', () => second.text === 'db');
  assert.deepEqual([...upstream.asked].sort(), ['real.example.org A udp', 'real.example.org AAAA udp']);
  const counted = () =>
    rig.one.metric('istio_on_demand_dns_total', 'hostname="real.example.org"', 'source_workload="cart"');
  await until('both are counted', () => counted() === 2);
  assert.deepEqual(
    (await rig.one.connections()).map(({ actualDst }) => actualDst),
    [`${rig.outside.ip}:15432`, `${rig.outside.ip}:15432`],
  );
});

test('an endpoint whose name does not exist is exchanged for one whose name does', async () => {
  await using upstream = await DnsUpstream.start();
  await using rig = await external(upstream, ['gone.example.org', 'real.example.org']);
  upstream.names.set('real.example.org', [{ type: 'A', name: 'real.example.org', ttl: 60, data: rig.outside.ip }]);
  new AppServer(rig.loop, at(rig.outside, 15432), (app) => app.send('db'), rig.outside.netns);
  // One in two begins with the missing name: that none of so many does is a chance of one in 10^12.
  const asked = () => upstream.asked.includes('gone.example.org A udp');
  for (let k = 0; k < 2 || (k < 40 && !asked()); k++) {
    const client = App.dial(rig.loop, VIP, rig.cart.netns);
    await rig.until('it is served', () => client.text === 'db');
  }
  assert.ok(asked(), 'no connection began with the missing name');
});

test('a name that nobody can resolve ends the connection, and the log says which', async () => {
  await using upstream = await DnsUpstream.start();
  await using rig = await external(upstream, ['gone.example.org']);
  const client = App.dial(rig.loop, VIP, rig.cart.netns);
  await rig.until('it is cut', () => client.end === 'reset');
  await rig.until('it is logged', () => rig.one.lines.length === 1);
  assert.equal(rig.one.lines[0]!['error'], 'host name gone.example.org has no address');
});

test('while no resolver answers a connection to a name ends, and the log says which', async () => {
  await using upstream = await DnsUpstream.start();
  upstream.silent = true;
  await using rig = await external(upstream, ['mute.example.org'], 100);
  const client = App.dial(rig.loop, VIP, rig.cart.netns);
  await rig.until('it is cut', () => client.end === 'reset');
  await rig.until('it is logged', () => rig.one.lines.length === 1);
  assert.equal(rig.one.lines[0]!['error'], 'no resolver could tell the address of mute.example.org');
});
