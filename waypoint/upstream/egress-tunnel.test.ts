// SPDX-License-Identifier: Apache-2.0
// Streams through an HTTP proxy, as a DestinationRule's `tunnel` has them, seen from the proxy and from the client.
import assert from 'node:assert/strict';
import { createServer as createHttp, type IncomingMessage } from 'node:http';
import type { Server, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { after, before, test } from 'node:test';
import { listenAnywhere } from '#lib/testkit/listen.ts';
import type { HeardStream } from '#lib/testkit/mesh-client.ts';
import { until } from '#lib/testkit/until.ts';
import { WaypointMesh } from '#lib/testkit/waypoint-mesh.ts';

const FAR = { host: 'db.example.com', port: 5432 };
const TUNNELS: Readonly<Record<string, object>> = {
  connect: { protocol: 'CONNECT', ...FAR },
  post: { protocol: 'POST', host: '2001:db8::1', port: 443 },
  refused: { protocol: 'CONNECT', host: 'forbidden.example.com', port: 1 },
  impossible: { protocol: 'CONNECT', host: '', port: 0, invalid: 'it names no host' },
};
const vipOf = (name: string): string => `127.127.2.${Object.keys(TUNNELS).indexOf(name) + 1}`;

let mesh: WaypointMesh;
const sockets = new Set<Duplex>();
/** What the proxy was asked, and all it was sent by CONNECT. */
const asked: IncomingMessage[] = [];
let tunnelled = '';
let tunnelEnded = false;

const proxy = createHttp((request, response) => {
  asked.push(request);
  if (request.method !== 'POST') {
    response.end('the proxy itself');
    return;
  }
  // The content's echo, until it ends.
  response.writeHead(200);
  response.flushHeaders();
  request.on('data', (part: Buffer) => response.write(part.toString().toUpperCase()));
  request.on('end', () => response.end('.'));
});
proxy.on('connection', (socket: Socket) => sockets.add(socket));
proxy.on('connect', (request: IncomingMessage, socket: Duplex) => {
  asked.push(request);
  socket.on('error', () => {});
  if (request.url?.startsWith('forbidden') === true) {
    socket.end('HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n');
    return;
  }
  // The far end speaks first, and says no more; what it hears goes on.
  socket.on('data', (part: Buffer) => {
    tunnelled += part.toString();
  });
  socket.on('end', () => {
    tunnelEnded = true;
  });
  socket.end('HTTP/1.1 200 OK\r\n\r\nwelcome');
});

before(async () => {
  const port = await listenAnywhere(proxy as Server);
  mesh = await WaypointMesh.start(
    Object.keys(TUNNELS).map((name) => ({
      name,
      vip: vipOf(name),
      ports: { 80: ['HTTP11', port], 90: ['TCP', port] },
      upstream: { tunnel: TUNNELS[name] },
    })),
  );
});
after(async () => {
  await mesh?.stop();
  for (const socket of sockets) socket.destroy();
  proxy.close();
});

const open = (name: string): Promise<HeardStream> => mesh.client.listen(`${vipOf(name)}:90`);

/** What the proxy was last asked by that method. */
const last = (method: string): IncomingMessage | undefined => asked.findLast((one) => one.method === method);

test('CONNECT: the proxy is asked for the target, and each direction keeps its own end', async () => {
  const opened = await open('connect');
  await until('the far end is heard, and its end', () => opened.text === 'welcome' && opened.ended);
  assert.equal(last('CONNECT')?.url, 'db.example.com:5432');
  assert.equal(last('CONNECT')?.headers.host, 'db.example.com:5432');
  opened.stream.write('still ');
  opened.stream.end('here');
  await until('the far end hears on', () => tunnelled === 'still here' && tunnelEnded);
});

test('POST: both directions are content, of any size, and end as such', async () => {
  const opened = await open('post');
  const much = 'much '.repeat(100_000);
  opened.stream.write('some ');
  await until('an answer before the end', () => opened.text === 'SOME ');
  opened.stream.end(much);
  await until('all of it', () => opened.ended);
  assert.equal(opened.text, `SOME ${much.toUpperCase()}.`);
  assert.equal(last('POST')?.url, '/');
  assert.equal(last('POST')?.headers.host, '[2001:db8::1]:443');
});

test('a proxy that refuses ends the stream, and the log says what it answered', async () => {
  const opened = await open('refused');
  await until('it is ended', () => opened.closed);
  assert.equal(opened.text, '');
  const line = await until('its line', () =>
    mesh.program.records.find((one) =>
      /answered CONNECT with 403/.test(String(one['upstream_transport_failure_reason'])),
    ),
  );
  assert.equal(line['response_flags'], 'UF');
});

test('a tunnel that cannot be asked for lets nothing pass beside it', async () => {
  const before = asked.length;
  const opened = await open('impossible');
  await until('it is ended', () => opened.closed);
  assert.equal(asked.length, before);
  await until('the log says why', () => mesh.program.output.includes('it names no host'));
});

test('requests are for the proxy itself', async () => {
  const { status } = await mesh.client.ask(`${vipOf('connect')}:80`, { path: '/itself', headers: { host: 'a' } });
  assert.equal(status, 200);
  assert.equal(last('GET')?.url, '/itself');
});
