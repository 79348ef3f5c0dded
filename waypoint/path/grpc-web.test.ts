// SPDX-License-Identifier: Apache-2.0
// Browsers' gRPC at a waypoint: calls by HTTP/1.1 to a port of gRPC, whose server speaks HTTP/2 and nothing of gRPC-Web.
import assert from 'node:assert/strict';
import { createServer, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import { after, before, test } from 'node:test';
import { listenAnywhere } from '#lib/testkit/listen.ts';
import { MeshClient } from '#lib/testkit/mesh-client.ts';
import { serviceOf, WaypointProgram } from '#lib/testkit/waypoint.ts';
import { trailerFrame } from '#lib/wire/grpc/web.ts';

const VIP = '127.127.0.80';
const MESSAGE = Buffer.from([0, 0, 0, 0, 3, 1, 2, 3]);
const GOOD_END = trailerFrame([
  ['grpc-status', '0'],
  ['grpc-message', 'fine'],
]);

let program: WaypointProgram;
let client: MeshClient;
const asked: { readonly headers: IncomingHttpHeaders; readonly content: Buffer }[] = [];
const sessions = new Set<{ destroy(): void }>();
const server = createServer();
server.on('session', (session) => sessions.add(session));
server.on('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
  const parts: Buffer[] = [];
  stream.on('error', () => {});
  stream.on('data', (part: Buffer) => parts.push(part));
  stream.on('end', () => {
    // A call that was given up ends, too.
    if (stream.aborted || stream.destroyed || stream.rstCode !== 0) return;
    const content = Buffer.concat(parts);
    asked.push({ headers, content });
    const path = headers[':path'];
    if (path === '/page') {
      stream.respond({ ':status': 404, 'content-type': 'text/html' });
      stream.end('<html>');
    } else if (path === '/trailers-only') {
      stream.respond({ ':status': 200, 'content-type': 'application/grpc', 'grpc-status': '5' }, { endStream: true });
    } else {
      stream.respond({ ':status': 200, 'content-type': 'application/grpc+proto' }, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0', 'grpc-message': 'fine' }));
      stream.end(content);
    }
  });
});

before(async () => {
  const port = await listenAnywhere(server);
  program = await WaypointProgram.start(
    {
      services: [],
      routes: [],
      more: {
        services: ['GRPC', 'HTTP2'].map((protocol, i) => ({
          name: `calls-${i}`,
          namespace: 'default',
          hostname: `calls-${i}.default.svc.cluster.local`,
          vips: [`/127.127.0.${80 + i}`],
          ports: { 80: port },
          protocols: { 80: protocol },
        })),
        workloads: [0, 1].map((i) => ({
          uid: `calls-${i}`,
          name: `calls-${i}`,
          namespace: 'default',
          workloadIps: ['127.0.0.1'],
          services: { [serviceOf(`calls-${i}`)]: { 80: port } },
        })),
      },
    },
    { FAKE_CA: 'true', POD_NAMESPACE: 'default', SERVICE_ACCOUNT: 'waypoint' },
  );
  client = await MeshClient.as('spiffe://cluster.local/ns/default/sa/browser', program.port('mesh'));
});
after(async () => {
  client?.close();
  await program?.stop();
  for (const session of sessions) session.destroy();
  server.close();
});

function call(path: string, headers: Readonly<Record<string, string>>, content: Buffer | string, vip = VIP) {
  return client.ask(`${vip}:80`, { method: 'POST', path, headers }, content);
}

test('a gRPC-Web client calls a gRPC server, and finds its trailers at the end of the content', async () => {
  const answer = await call('/s/binary', { 'content-type': 'application/grpc-web+proto' }, MESSAGE);
  assert.equal(answer.status, 200);
  assert.equal(answer.headers['content-type'], 'application/grpc-web+proto');
  assert.deepEqual(answer.body, Buffer.concat([MESSAGE, GOOD_END]));
  const { content, headers } = asked.at(-1)!;
  assert.deepEqual(content, MESSAGE);
  assert.equal(headers['content-type'], 'application/grpc+proto');
  assert.equal(headers['te'], 'trailers');
  const record = await program.record('/s/binary');
  assert.equal(record['protocol'], 'HTTP/1.1');
});

test('what comes as text is octets to the server, and goes back as text', async () => {
  const answer = await call('/s/text', { 'content-type': 'application/grpc-web-text' }, MESSAGE.toString('base64'));
  assert.equal(answer.headers['content-type'], 'application/grpc-web-text+proto');
  const pieces = answer.body.toString().match(/[A-Za-z0-9+/]+=*/g) ?? [];
  const octets = Buffer.concat(pieces.map((piece) => Buffer.from(piece, 'base64')));
  assert.deepEqual(octets, Buffer.concat([MESSAGE, GOOD_END]));
  assert.deepEqual(asked.at(-1)!.content, MESSAGE);
});

test('the client says in which of the two forms it wants the answer', async () => {
  const headers = { 'content-type': 'application/grpc-web', accept: 'application/grpc-web-text' };
  const answer = await call('/s/accept', headers, MESSAGE);
  assert.equal(answer.headers['content-type'], 'application/grpc-web-text+proto');
});

test('a failure that is told in the head stays there', async () => {
  const answer = await call('/trailers-only', { 'content-type': 'application/grpc-web' }, MESSAGE);
  assert.deepEqual([answer.headers['grpc-status'], answer.headers['content-type']], ['5', 'application/grpc-web']);
  assert.equal(answer.body.length, 0);
});

test('an answer that is no gRPC passes as it is', async () => {
  const answer = await call('/page', { 'content-type': 'application/grpc-web' }, MESSAGE);
  assert.deepEqual(
    [answer.status, answer.headers['content-type'], answer.body.toString()],
    [404, 'text/html', '<html>'],
  );
});

test('text that is none is refused in gRPC’s way, also when it ends too early', async () => {
  const before = asked.length;
  for (const content of ['AAA*', 'AAAAAA']) {
    const answer = await call('/s/bad', { 'content-type': 'application/grpc-web-text' }, content);
    assert.deepEqual([answer.status, answer.headers['grpc-status']], [200, '13'], content);
  }
  assert.equal(asked.length, before);
});

test('ports of other protocols, and other clients of a port of gRPC, are left alone', async () => {
  const plain = await call('/s/plain', { 'content-type': 'application/grpc' }, MESSAGE);
  assert.equal(plain.headers['content-type'], 'application/grpc+proto');
  assert.deepEqual(plain.body, MESSAGE);
  await call('/s/http2', { 'content-type': 'application/grpc-web' }, MESSAGE, '127.127.0.81');
  assert.equal(asked.at(-1)!.headers['content-type'], 'application/grpc-web');
});
