// SPDX-License-Identifier: Apache-2.0
// Requests that two parsers could read differently: each known trick is refused, its connection ends, and the server behind
// hears nothing of what was hidden in it.
import assert from 'node:assert/strict';
import { connect } from 'node:http2';
import { after, before, test } from 'node:test';
import { RawClient, RawServer } from '#lib/testkit/raw-http.ts';
import { until } from '#lib/testkit/until.ts';
import { backendOf, WaypointProgram } from '#lib/testkit/waypoint.ts';

let server: RawServer;
let program: WaypointProgram;
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

const HIDDEN = 'GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n';
const POST = 'POST / HTTP/1.1\r\nHost: a\r\n';

/** Name of the trick, and its octets. */
const TRICKS: readonly (readonly [trick: string, octets: string])[] = [
  ['CL.TE: both lengths', `${POST}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${HIDDEN}`],
  [
    'TE.CL: both lengths, the other way round',
    `${POST}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n22\r\n${HIDDEN}\r\n0\r\n\r\n`,
  ],
  ['CL.CL: two lengths that differ', `${POST}Content-Length: 0\r\nContent-Length: ${HIDDEN.length}\r\n\r\n${HIDDEN}`],
  ['CL.CL: two lengths that agree', `${POST}Content-Length: 2\r\nContent-Length: 2\r\n\r\nab${HIDDEN}`],
  ['CL with a list', `${POST}Content-Length: 0, ${HIDDEN.length}\r\n\r\n${HIDDEN}`],
  ['CL with a sign', `${POST}Content-Length: +0\r\n\r\n${HIDDEN}`],
  ['CL in hexadecimal', `${POST}Content-Length: 0x10\r\n\r\n${HIDDEN}`],
  ['CL with a blank inside', `${POST}Content-Length: 1 0\r\n\r\n${HIDDEN}`],
  ['CL that is empty', `${POST}Content-Length:\r\n\r\n${HIDDEN}`],
  ['CL beyond what a number holds', `${POST}Content-Length: 18446744073709551616\r\n\r\n${HIDDEN}`],
  [
    'TE.TE: an encoding nobody knows before chunked',
    `${POST}Transfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${HIDDEN}`,
  ],
  ['TE with chunked twice', `${POST}Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n${HIDDEN}`],
  ['TE that is not chunked last', `${POST}Transfer-Encoding: chunked, identity\r\n\r\n${HIDDEN}`],
  ['TE misspelt', `${POST}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n${HIDDEN}`],
  ['TE quoted', `${POST}Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n${HIDDEN}`],
  ['TE with a vertical tab', `${POST}Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n${HIDDEN}`],
  ['TE in HTTP/1.0', `POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${HIDDEN}`],
  ['a blank before the colon', `${POST}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n${HIDDEN}`],
  ['a tab before the colon', `${POST}Content-Length\t: 4\r\n\r\nabcd${HIDDEN}`],
  ['a folded line', `${POST}Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n${HIDDEN}`],
  ['a field line that begins with a blank', `${POST} Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n${HIDDEN}`],
  ['a NUL in a name', `${POST}Transfer-Encoding\0: chunked\r\n\r\n0\r\n\r\n${HIDDEN}`],
  ['a NUL in a value', `${POST}X: a\0b\r\n\r\n${HIDDEN}`],
  ['a bare line feed between fields', `POST / HTTP/1.1\r\nHost: a\nContent-Length: 4\r\n\r\nabcd${HIDDEN}`],
  ['a bare line feed behind the request line', `POST / HTTP/1.1\nHost: a\r\n\r\n${HIDDEN}`],
  ['a bare carriage return in a value', `${POST}X: a\rContent-Length: 4\r\n\r\n${HIDDEN}`],
  ['a bare line feed behind a chunk size', `${POST}Transfer-Encoding: chunked\r\n\r\n2\nab\r\n0\r\n\r\n${HIDDEN}`],
  ['a bare line feed behind a chunk', `${POST}Transfer-Encoding: chunked\r\n\r\n2\r\nab\n0\r\n\r\n${HIDDEN}`],
  ['a chunk longer than its size', `${POST}Transfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n${HIDDEN}`],
  ['a chunk size with a sign', `${POST}Transfer-Encoding: chunked\r\n\r\n-2\r\nab\r\n0\r\n\r\n${HIDDEN}`],
  ['a chunk size with 0x', `${POST}Transfer-Encoding: chunked\r\n\r\n0x2\r\nab\r\n0\r\n\r\n${HIDDEN}`],
  [
    'a chunk size that wraps around',
    `${POST}Transfer-Encoding: chunked\r\n\r\n10000000000000002\r\nab\r\n0\r\n\r\n${HIDDEN}`,
  ],
  [
    'a chunk extension with a bare line feed',
    `${POST}Transfer-Encoding: chunked\r\n\r\n2;a\nb\r\nab\r\n0\r\n\r\n${HIDDEN}`,
  ],
  ['a length among the trailers', `${POST}Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 9\r\n\r\n${HIDDEN}`],
  ['two hosts', `GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n${HIDDEN}`],
  ['no host', `GET / HTTP/1.1\r\n\r\n${HIDDEN}`],
  ['a host that differs from the target', `GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n${HIDDEN}`],
  ['a host with a path', `GET / HTTP/1.1\r\nHost: a/b\r\n\r\n${HIDDEN}`],
  ['a host with credentials', `GET / HTTP/1.1\r\nHost: u@a\r\n\r\n${HIDDEN}`],
  ['a blank in the target', `GET /a b HTTP/1.1\r\nHost: a\r\n\r\n${HIDDEN}`],
  ['a fragment in the target', `GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n${HIDDEN}`],
  ['tabs in the request line', `GET\t/\tHTTP/1.1\r\nHost: a\r\n\r\n${HIDDEN}`],
  ['two blanks in the request line', `GET  / HTTP/1.1\r\nHost: a\r\n\r\n${HIDDEN}`],
  ['a version that is none', `GET / HTTP/1.9\r\nHost: a\r\n\r\n${HIDDEN}`],
  ['HTTP/0.9', `GET /\r\n${HIDDEN}`],
  ['a path with an encoded NUL', `GET /a%00 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`],
];

for (const [trick, octets] of TRICKS) {
  test(`refused: ${trick}`, async () => {
    const client = await RawClient.connect(program.port());
    client.sendRaw(octets);
    await client.end();
    assert.match(client.received, /^(HTTP\/1\.1 (400|505) [^\r]*\r\n[\s\S]*|)$/);
    assert.equal(client.received.split('HTTP/1.1 ').length - 1 <= 1, true, client.received);
    assert.ok(!server.connections.some(({ received }) => received.includes('/hidden')), 'the hidden request arrived');
    client.close();
  });
}

/** Fields of HTTP/2 that would frame a message of HTTP/1 anew. */
const H2_TRICKS: readonly (readonly [trick: string, headers: Record<string, string>])[] = [
  ['H2.TE: transfer-encoding', { 'transfer-encoding': 'chunked' }],
  ['H2.CL: a length that the content has not', { 'content-length': '3' }],
  ['connection', { connection: 'keep-alive' }],
  ['a line end in a value', { 'x-a': 'b\r\ncontent-length: 5' }],
  ['a line end in a path', { ':path': '/ HTTP/1.1\r\nHost: b\r\n\r\nGET /hidden' }],
  ['a blank in a method', { ':method': 'GET /hidden' }],
];

for (const [trick, headers] of H2_TRICKS) {
  test(`refused by HTTP/2: ${trick}`, async () => {
    const session = connect(program.url());
    session.on('error', () => {});
    let status = 0;
    let code = -1;
    try {
      const stream = session.request({ ':method': 'POST', ':path': '/h2', ...headers });
      stream.on('error', () => {});
      stream.on('response', (answer) => {
        status = Number(answer[':status']);
      });
      stream.end('longer than three');
      await until('the stream to end', () => {
        code = stream.rstCode ?? 0;
        return stream.closed || stream.destroyed;
      });
    } catch {
      // Node itself will not send it: what it refuses cannot arrive.
      status = 400;
    }
    assert.ok(status === 400 || code > 0, `answered ${status}, reset ${code}`);
    assert.ok(!server.connections.some(({ received }) => received.includes('/hidden')));
    session.destroy();
  });
}
