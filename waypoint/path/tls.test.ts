// SPDX-License-Identifier: Apache-2.0
// HTTPS through a waypoint that does not open it: from the client's handshake to the server's, by tunnels as the node proxy makes them.
import assert from 'node:assert/strict';
import { request as httpRequest } from 'node:http';
import { createServer as createHttps } from 'node:https';
import type { Server } from 'node:net';
import { after, before, test } from 'node:test';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { createTestCa } from '#lib/testkit/certificates.ts';
import { listenAnywhere } from '#lib/testkit/listen.ts';
import { MeshClient } from '#lib/testkit/mesh-client.ts';
import { until } from '#lib/testkit/until.ts';
import { backendOf, serviceOf, WaypointProgram } from '#lib/testkit/waypoint.ts';

const VIP = '127.127.0.43';
const DIRECT = 443;
const ROUTED = 8443;
const SNIFFED = 9443;

let program: WaypointProgram;
let client: MeshClient;
let roots: string;
const servers: Server[] = [];

before(async () => {
  const ca = await createTestCa();
  roots = ca.rootPem;
  const ports: number[] = [];
  for (const name of ['a', 'b']) {
    const { chainPem: cert, keyPem: key } = await ca.issue([
      { type: 'dns', value: `${name}.example` },
      { type: 'dns', value: 'both.example' },
    ]);
    const server = createHttps({ cert, key }, (request, response) => {
      const { servername } = request.socket as TLSSocket & { servername?: string };
      response.end(`${name} as ${servername}`);
    });
    servers.push(server);
    ports.push(await listenAnywhere(server));
  }
  const names = ['a', 'b'];
  const table = `${serviceOf('web')}:${ROUTED}`;
  program = await WaypointProgram.start(
    {
      services: [],
      routes: [],
      more: {
        services: [
          {
            name: 'web',
            namespace: 'default',
            hostname: 'web.default.svc.cluster.local',
            vips: [`/${VIP}`],
            ports: { [DIRECT]: 0, [ROUTED]: 0, [SNIFFED]: 0 },
            protocols: { [DIRECT]: 'TLS', [ROUTED]: 'TLS' },
          },
          ...names.map((name) => ({
            name,
            namespace: 'default',
            hostname: `${name}.default.svc.cluster.local`,
            ports: { 80: 0 },
          })),
        ],
        workloads: names.map((name, i) => ({
          uid: name,
          name,
          namespace: 'default',
          workloadIps: ['127.0.0.1'],
          services: {
            [serviceOf(name)]: { 80: ports[i]! },
            // The service itself has the first alone.
            ...(i === 0
              ? { [serviceOf('web')]: { [DIRECT]: ports[0]!, [ROUTED]: ports[0]!, [SNIFFED]: ports[0]! } }
              : {}),
          },
        })),
        routeTables: [
          {
            name: table,
            tls: [
              { hosts: ['b.example'], origin: 'TLSRoute t/b', backends: [backendOf('b')] },
              { hosts: ['both.example'], origin: 'TLSRoute t/both', backends: [backendOf('a'), backendOf('b')] },
            ],
          },
        ],
      },
    },
    { FAKE_CA: 'true', POD_NAMESPACE: 'default', SERVICE_ACCOUNT: 'waypoint' },
  );
  client = await MeshClient.as('spiffe://cluster.local/ns/default/sa/client', program.port('mesh'));
});
after(async () => {
  client?.close();
  await program?.stop();
  for (const server of servers) server.close();
});

/** What the server that is reached says, once it has proven that name; or why there was none. */
async function ask(port: number, servername: string): Promise<string> {
  const stream = await client.open(`${VIP}:${port}`);
  if (typeof stream === 'number') return String(stream);
  return await new Promise((resolve) => {
    const socket = connectTls({ socket: stream, servername, ca: roots });
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    socket.on('close', () => resolve('closed'));
    socket.on('secureConnect', () => {
      const asked = httpRequest(
        { path: '/', headers: { host: servername }, createConnection: () => socket },
        (answer) => {
          let content = '';
          answer.setEncoding('utf8').on('data', (part: string) => {
            content += part;
          });
          answer.on('end', () => resolve(content));
        },
      );
      asked.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message)).end();
    });
  });
}

test('a port of TLS passes HTTPS through: client and server prove themselves to each other, not to the waypoint', async () => {
  assert.equal(await ask(DIRECT, 'a.example'), 'a as a.example');
  await until('it is counted as a stream', async () =>
    /istio_tcp_connections_opened_total\{reporter="waypoint".*source_principal="spiffe:\/\/cluster\.local\/ns\/default\/sa\/client".*destination_service_name="web"/.test(
      await program.metrics(),
    ),
  );
});

test('a port of which nothing is said passes HTTPS through, too', async () => {
  assert.equal(await ask(SNIFFED, 'a.example'), 'a as a.example');
});

test('TLSRoutes of a service lead by server name', async () => {
  assert.equal(await ask(ROUTED, 'b.example'), 'b as b.example');
  const seen = new Set<string>();
  await until('both destinations have served', async () => {
    seen.add(await ask(ROUTED, 'both.example'));
    return seen.size === 2;
  });
  assert.deepEqual([...seen].sort(), ['a as both.example', 'b as both.example']);
});

test('a server name that no TLSRoute has goes to the service itself', async () => {
  assert.equal(await ask(ROUTED, 'a.example'), 'a as a.example');
});
