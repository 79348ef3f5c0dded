// SPDX-License-Identifier: Apache-2.0
// One port number of two services, requests of the one and streams of the other: each is taken by its own service's protocol.
import assert from 'node:assert/strict';
import { createServer as createHttp } from 'node:http';
import { createServer, type Server, type Socket } from 'node:net';
import { after, before, test } from 'node:test';
import { listenAnywhere } from '#lib/testkit/listen.ts';
import { MeshClient } from '#lib/testkit/mesh-client.ts';
import { until } from '#lib/testkit/until.ts';
import { serviceOf, WaypointProgram } from '#lib/testkit/waypoint.ts';

const PROTOCOLS = { web: 'HTTP11', greeter: 'TCP' } as const;
const VIPS = { web: '127.127.3.1', greeter: '127.127.3.2' } as const;

let program: WaypointProgram;
let client: MeshClient;
const sockets = new Set<Socket>();
const web = createHttp((_request, response) => response.end('ok'));
/** Speaks first, and of HTTP not a word. */
const greeter = createServer((socket) => {
  sockets.add(socket);
  socket.on('error', () => {});
  socket.write('hello');
  socket.pipe(socket);
});

before(async () => {
  const ports = { web: await listenAnywhere(web as Server), greeter: await listenAnywhere(greeter) };
  const names = ['web', 'greeter'] as const;
  program = await WaypointProgram.start(
    {
      services: [],
      routes: [],
      more: {
        services: names.map((name) => ({
          name,
          namespace: 'default',
          hostname: `${name}.default.svc.cluster.local`,
          vips: [`/${VIPS[name]}`],
          ports: { 80: 0 },
          protocols: { 80: PROTOCOLS[name] },
        })),
        workloads: names.map((name) => ({
          uid: name,
          name,
          namespace: 'default',
          workloadIps: ['127.0.0.1'],
          services: { [serviceOf(name)]: { 80: ports[name] } },
        })),
      },
    },
    { FAKE_CA: 'true', POD_NAMESPACE: 'default', SERVICE_ACCOUNT: 'waypoint' },
  );
  client = await MeshClient.as('spiffe://cluster.local/ns/default/sa/client', program.port('mesh'));
});
after(async () => {
  client?.close();
  await program?.stop();
  for (const socket of sockets) socket.destroy();
  greeter.close();
  web.close().closeAllConnections();
});

test('one port number may be HTTP of one service and TCP of another, and a server of either speaks as it likes', async () => {
  const stream = await client.open(`${VIPS.greeter}:80`);
  if (typeof stream === 'number') throw new Error(`CONNECT was answered with ${stream}`);
  let heard = '';
  stream.removeAllListeners('error').on('error', () => {});
  stream.on('data', (part: Buffer) => {
    heard += part.toString();
  });
  await until('the server speaks first', () => heard === 'hello');
  stream.write('GET / HTTP/1.1\r\n\r\n');
  await until('what looks like HTTP is passed on as it is', () => heard === 'helloGET / HTTP/1.1\r\n\r\n');
  stream.end();
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
