// SPDX-License-Identifier: Apache-2.0
// HTTP/1.1 through the waypoint, octet by octet: what arrives at the server, what comes back.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { RawClient, type RawPeer, RawServer } from '#lib/testkit/raw-http.ts';
import { until } from '#lib/testkit/until.ts';
import { backendOf, WaypointProgram } from '#lib/testkit/waypoint.ts';

let server: RawServer;
let program: WaypointProgram;
let tests = 0;
before(async () => {
  server = await RawServer.listen();
  program = await WaypointProgram.start({
    services: [{ name: 'app', ports: [server.port] }],
    routes: [{ rule: { backends: [backendOf('app')], retry: { attempts: 0 } } }],
  });
});
after(async () => {
  await program?.stop();
  await server?.[Symbol.asyncDispose]();
});

/** A client with its request, and the server's end of the connection that the request came by, from its first octet on. */
async function pair(request: string): Promise<{ client: RawClient; peer: RawPeer }> {
  const client = await RawClient.connect(program.port());
  const mark = `X-Test: ${++tests}`;
  client.send(request.replace('\n', `\n${mark}\n`));
  const peer = await until('the request at the server', () =>
    server.connections.find(({ received }) => received.includes(`${mark}\r\n`)),
  );
  const [line = ''] = request.split('\n');
  const start = line.slice(0, line.lastIndexOf(' '));
  peer.received = peer.received
    .slice(peer.received.lastIndexOf(start, peer.received.indexOf(`${mark}\r\n`)))
    .replace(`${mark}\r\n`, '');
  return { client, peer };
}

test('a request is passed on as it came, without what was for one hop, with what a proxy adds', async () => {
  const { client, peer } = await pair(
    'GET /a?b=c HTTP/1.1\nHost: shop\nX-Own: One\nConnection: close, X-Hop\nX-Hop: gone\nKeep-Alive: 5\nTE: trailers\n\n',
  );
  const [head] = await peer.sees(/^[\s\S]*\r\n\r\n/);
  const lines = head!.trim().split('\r\n');
  assert.deepEqual(lines.slice(0, 3), ['GET /a?b=c HTTP/1.1', 'Host: shop', 'X-Own: One']);
  assert.deepEqual(
    lines
      .slice(3)
      .map((line) => line.replace(/: [0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/, ': UUID')),
    ['x-forwarded-proto: http', 'x-request-id: UUID', 'x-envoy-attempt-count: 1'],
  );
  peer.send('HTTP/1.1 200 Fine\nContent-Length: 2\nServer: own\nX-Up: Yes\nConnection: keep-alive\n\nok');
  await client.sees(/ok$/);
  assert.match(
    client.received,
    /^HTTP\/1\.1 200 Fine\r\nContent-Length: 2\r\nX-Up: Yes\r\nserver: istio-envoy\r\nx-envoy-upstream-service-time: \d+\r\nconnection: close\r\n\r\nok$/,
  );
  await client.end();
});

test('content in chunks passes both ways with its trailers', async () => {
  const { client, peer } = await pair(
    'POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n3\nabc\n0\nX-Sum: 1\n\n',
  );
  await peer.sees(/transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-sum: 1\r\n\r\n$/);
  peer.send('HTTP/1.1 200 OK\nTransfer-Encoding: chunked\nTrailer: X-End\n\n4\nwxyz\n0\nX-End: 2\n\n');
  await client.sees(/transfer-encoding: chunked\r\n\r\n4\r\nwxyz\r\n0\r\nx-end: 2\r\n\r\n$/);
  client.close();
});

test('content until the end of the connection becomes chunks, and its end is seen', async () => {
  const { client, peer } = await pair('GET / HTTP/1.1\nHost: a\n\n');
  await peer.sees(/\r\n\r\n$/);
  peer.send('HTTP/1.1 200 OK\n\nall of it');
  await client.sees(/9\r\nall of it\r\n$/);
  peer.socket.end();
  await client.sees(/\r\n0\r\n\r\n$/);
  client.close();
});

test('an answer that is cut short is cut short for the client, too', async () => {
  const { client, peer } = await pair('GET /cut HTTP/1.1\nHost: a\n\n');
  await peer.sees(/\r\n\r\n$/);
  peer.send('HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n4\nhalf\n');
  await client.sees(/half/);
  peer.socket.destroy();
  await client.end();
  assert.doesNotMatch(client.received, /\r\n0\r\n\r\n$/);
  assert.equal((await program.record('/cut'))['response_flags'], 'UPE');
});

test('100 and 103 pass; the content follows when the server has asked for it', async () => {
  const { client, peer } = await pair('PUT / HTTP/1.1\nHost: a\nContent-Length: 4\nExpect: 100-continue\n\n');
  await peer.sees(/Expect: 100-continue[\s\S]*\r\n\r\n$/);
  peer.send('HTTP/1.1 103 Early Hints\nLink: </x>\n\nHTTP/1.1 100 Continue\n\n');
  await client.sees(/^HTTP\/1\.1 103 Early Hints\r\nLink: <\/x>\r\n\r\nHTTP\/1\.1 100 Continue\r\n\r\n$/);
  client.send('done');
  await peer.sees(/done$/);
  peer.send('HTTP/1.1 201 Created\nContent-Length: 0\n\n');
  await client.sees(/201 Created/);
  assert.doesNotMatch(client.received, /connection: close/);
  client.close();
});

test('answers without content stay without: HEAD, 204, 304', async () => {
  const { client, peer } = await pair('HEAD / HTTP/1.1\nHost: a\n\n');
  await peer.sees(/^HEAD/);
  peer.send('HTTP/1.1 200 OK\nContent-Length: 5\n\n');
  await client.sees(/^HTTP\/1\.1 200 OK\r\nContent-Length: 5\r\n[\s\S]*\r\n\r\n$/);
  client.send('GET /204 HTTP/1.1\nHost: a\n\n');
  await peer.sees(/\/204/);
  peer.send('HTTP/1.1 204 No Content\n\n');
  await client.sees(/204 No Content\r\n(?:(?!content-length|transfer).)*\r\n\r\n$/s);
  client.send('GET /304 HTTP/1.1\nHost: a\n\n');
  await peer.sees(/\/304/);
  peer.send('HTTP/1.1 304 Not Modified\nETag: "x"\n\n');
  await client.sees(/304 Not Modified\r\nETag: "x"[\s\S]*\r\n\r\n$/);
  client.close();
});

test('requests that come together are answered one after the other', async () => {
  const { client, peer } = await pair(
    'GET /1 HTTP/1.1\nHost: a\n\nGET /2 HTTP/1.1\nHost: a\n\nGET /3 HTTP/1.1\nHost: a\n\n',
  );
  for (const n of [1, 2, 3]) {
    await peer.sees(new RegExp(`GET /${n} `));
    assert.doesNotMatch(peer.received, new RegExp(`GET /${n + 1} `));
    peer.send(`HTTP/1.1 200 OK\nContent-Length: 1\n\n${n}`);
  }
  await client.sees(/\r\n\r\n1[\s\S]*\r\n\r\n2[\s\S]*\r\n\r\n3$/);
  client.close();
});

test('a WebSocket is opened and carries bytes both ways, each way with its own end', async () => {
  const { client, peer } = await pair(
    'GET /chat HTTP/1.1\nHost: a\nConnection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Key: k\n\n',
  );
  await peer.sees(/Sec-WebSocket-Key: k[\s\S]*connection: upgrade\r\nupgrade: websocket\r\n\r\n$/);
  peer.send('HTTP/1.1 101 Switching Protocols\nConnection: Upgrade\nUpgrade: websocket\n\nhello');
  await client.sees(/^HTTP\/1\.1 101 Switching Protocols\r\n[\s\S]*upgrade: websocket\r\n\r\nhello$/);
  client.sendRaw('\x81~GET / HTTP/1.1\r\n\r\n');
  await peer.sees(/\x81~GET \/ HTTP\/1\.1\r\n\r\n$/);
  client.socket.end();
  await until('the server sees the end', () => peer.ended);
  peer.send('bye');
  await client.sees(/bye$/);
  peer.socket.end();
  await client.end();
  assert.equal((await program.record('/chat'))['response_code'], 101);
});

test('a protocol that nobody asked for is not switched to', async () => {
  const { client, peer } = await pair('GET / HTTP/1.1\nHost: a\n\n');
  await peer.sees(/\r\n\r\n$/);
  peer.send('HTTP/1.1 101 Switching Protocols\nUpgrade: x\n\n');
  await client.sees(/^HTTP\/1\.1 502 /);
  client.close();
});

test('what a server sends behind its answer reaches nobody, and its connection is not used again', async () => {
  const { client, peer } = await pair('GET / HTTP/1.1\nHost: a\n\n');
  await peer.sees(/\r\n\r\n$/);
  peer.send('HTTP/1.1 200 OK\nContent-Length: 2\n\nokHTTP/1.1 200 OK\nContent-Length: 6\n\nsecret');
  await client.sees(/ok$/);
  await until('the connection to be given up', () => peer.ended);
  client.send('GET /next HTTP/1.1\nHost: a\n\n');
  const other = await until('the next request', () =>
    server.connections.find(({ received }) => received.includes('/next')),
  );
  assert.notEqual(other, peer);
  assert.doesNotMatch(client.received, /secret/);
  client.close();
});

test('an early answer ends a request whose content is still on its way', async () => {
  const { client, peer } = await pair('POST /big HTTP/1.1\nHost: a\nContent-Length: 1000000\n\nsome');
  await peer.sees(/some$/);
  peer.send('HTTP/1.1 413 Too Large\nContent-Length: 0\nConnection: close\n\n');
  await client.sees(/^HTTP\/1\.1 413 /);
  client.close();
});

test('a client of HTTP/1.0 gets content by the end of the connection, and may keep it', async () => {
  const first = await pair('GET / HTTP/1.0\n\n');
  await first.peer.sees(/^GET \/ HTTP\/1\.1\r\n/);
  first.peer.send('HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n2\nok\n0\n\n');
  await first.client.end();
  assert.match(first.client.received, /\r\nconnection: close\r\n\r\nok$/);
  const second = await RawClient.connect(program.port());
  second.send('GET /keep HTTP/1.0\nConnection: keep-alive\n\n');
  const peer = await until('the request', () => server.connections.find(({ received }) => received.includes('/keep')));
  peer.send('HTTP/1.1 200 OK\nContent-Length: 2\n\nok');
  await second.sees(/connection: keep-alive\r\n\r\nok$/);
  second.close();
});

/** Far more than kernels keep for a few connections. */
const TOTAL_MIB = 512;

test('a slow reader stops its server, and nothing else', async () => {
  const { client, peer } = await pair('GET /slow HTTP/1.1\nHost: a\n\n');
  await peer.sees(/\r\n\r\n$/);
  client.socket.pause();
  const piece = Buffer.alloc(1 << 20, 0x61);
  peer.send(`HTTP/1.1 200 OK\nContent-Length: ${TOTAL_MIB * 1024 * 1024}\n\n`);
  let written = 0;
  const pump = (): void => {
    while (written < TOTAL_MIB && peer.socket.write(piece)) written++;
  };
  peer.socket.on('drain', () => {
    written++;
    pump();
  });
  pump();
  let last = -1;
  await until('the server to be stopped', async () => {
    const now = written;
    await new Promise((resolve) => setTimeout(resolve, 200));
    const still = now === last;
    last = now;
    return still && now === written;
  });
  assert.ok(written < TOTAL_MIB / 2, `${written} MiB were taken for a client that reads nothing`);
  const other = await RawClient.connect(program.port());
  other.send('GET /other HTTP/1.1\nHost: a\n\n');
  const free = await until('the other request', () =>
    server.connections.find(({ received }) => received.includes('/other')),
  );
  free.send('HTTP/1.1 200 OK\nContent-Length: 2\n\nok');
  await other.sees(/ok$/);
  other.close();
  client.close();
});
