// SPDX-License-Identifier: Apache-2.0
// One port number of two services, requests of the one and streams of the other: each is taken by its own service's protocol.
import assert from 'node:assert/strict';
import { createServer as createHttp } from 'node:http';
import type { Server } from 'node:net';
import { after, before, test } from 'node:test';
import { Greeter } from '#lib/testkit/greeter.ts';
import { listenAnywhere } from '#lib/testkit/listen.ts';
import { until } from '#lib/testkit/until.ts';
import { WaypointMesh } from '#lib/testkit/waypoint-mesh.ts';

const VIPS = { web: '127.127.3.1', greeter: '127.127.3.2' } as const;

let mesh: WaypointMesh;
const web = createHttp((_request, response) => response.end('ok'));
const greeter = new Greeter();

before(async () => {
  mesh = await WaypointMesh.start([
    { name: 'web', vip: VIPS.web, ports: { 80: ['HTTP11', await listenAnywhere(web as Server)] } },
    { name: 'greeter', vip: VIPS.greeter, ports: { 80: ['TCP', await greeter.listen()] } },
  ]);
});
after(async () => {
  await mesh?.stop();
  greeter.stop();
  web.close().closeAllConnections();
});

test('one port number may be HTTP of one service and TCP of another, and a server of either speaks as it likes', async () => {
  const { client, program } = mesh;
  const heard = await client.listen(`${VIPS.greeter}:80`);
  await until('the server speaks first', () => heard.text === 'hello');
  heard.stream.write('GET / HTTP/1.1\r\n\r\n');
  await until('what looks like HTTP is passed on as it is', () => heard.text === 'helloGET / HTTP/1.1\r\n\r\n');
  heard.stream.end();
  const line = await until('the line of the stream', () =>
    program.records.find((one) => one['upstream_cluster'] === 'inbound-vip|80|tcp|greeter.default.svc.cluster.local'),
  );
  assert.deepEqual(
    ['method', 'path', 'protocol', 'response_code', 'response_flags', 'bytes_received', 'bytes_sent'].map(
      (name) => line[name],
    ),
    ['-', '-', '-', 0, '-', 18, 23],
  );
  assert.match(String(line['upstream_host']), /^127\.0\.0\.1:\d+$/);
  assert.equal(line['src.identity'], 'spiffe://cluster.local/ns/default/sa/client');
  const { status } = await client.ask(`${VIPS.web}:80`, { path: '/', headers: { host: 'a' } });
  assert.equal(status, 200);
  const record = await program.record('/');
  assert.equal(record['response_code'], 200);
});
