// SPDX-License-Identifier: Apache-2.0
// HTTP/2 through the waypoint, from it, and between it and HTTP/1.1; gRPC's ways among them.
import assert from 'node:assert/strict';
import { createServer as createHttp1, type Server } from 'node:http';
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  createServer as createHttp2,
  type Http2Server,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2';
import { createConnection } from 'node:net';
import { after, before, test } from 'node:test';
import { GET, headers, parseFrames, type SentFrame, settingsFrame } from '#lib/testkit/h2-peer.ts';
import { listenAnywhere } from '#lib/testkit/listen.ts';
import { until } from '#lib/testkit/until.ts';
import { backendOf, serviceOf, WaypointProgram } from '#lib/testkit/waypoint.ts';
import { Flag, FrameType, PREFACE } from '#lib/wire/h2/protocol.ts';

const MIB = 1 << 20;
let program: WaypointProgram;
let session: ClientHttp2Session;
const closing: (() => void)[] = [];

function listen(server: Server | Http2Server): Promise<number> {
  return listenAnywhere(server);
}

before(async () => {
  const two = createHttp2({ maxSessionMemory: 1000 });
  const sessions = new Set<{ destroy(): void }>();
  two.on('session', (one) => sessions.add(one));
  two.on('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
    stream.on('error', () => {});
    const path = headers[':path'] ?? '';
    if (path.endsWith('/echo')) {
      stream.respond(
        { ':status': 200, 'content-type': 'application/grpc', 'x-te': headers['te'] ?? '' },
        { waitForTrailers: true },
      );
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0', 'grpc-message': 'fine' }));
      stream.pipe(stream);
    } else if (path.endsWith('/only-trailers')) {
      stream.respond({ ':status': 200, 'content-type': 'application/grpc', 'grpc-status': '5' }, { endStream: true });
    } else if (path.endsWith('/reset')) stream.close(2);
    else {
      stream.respond({ ':status': 200, 'x-method': String(headers[':method']) });
      stream.end(Buffer.alloc(Number(headers['x-size'] ?? 2), 'x'));
    }
  });
  const one = createHttp1((request, response) => {
    let bytes = 0;
    request.on('data', (part: Buffer) => {
      bytes += part.length;
    });
    request.on('end', () => {
      if (request.url?.endsWith('/known')) {
        response.end(Buffer.alloc(Number(request.headers['x-size']), 'k'));
        return;
      }
      response.setHeader('trailer', 'x-sum');
      response.setHeader('x-cookie', request.headers.cookie ?? '');
      response.setHeader('x-host', request.headers.host ?? '');
      response.write(Buffer.alloc(Number(request.headers['x-size'] ?? 2), 'y'));
      response.addTrailers({ 'x-sum': String(bytes) });
      response.end();
    });
  });
  closing.push(
    () => two.close(),
    () => one.close().closeAllConnections(),
    () => {
      for (const each of sessions) each.destroy();
    },
  );
  program = await WaypointProgram.start({
    services: [
      { name: 'two', ports: [await listen(two)] },
      { name: 'one', ports: [await listen(one)] },
    ],
    routes: [
      {
        match: { path: { kind: 'KIND_SEGMENTS', value: '/two' } },
        rule: { backends: [backendOf('two')], retry: { attempts: 0 } },
      },
      { match: { path: { kind: 'KIND_SEGMENTS', value: '/one' } }, rule: { backends: [backendOf('one')] } },
      {
        match: { path: { kind: 'KIND_SEGMENTS', value: '/astray' } },
        rule: { backends: [{ weight: 1, invalid: 'BackendNotFound' }] },
      },
    ],
    more: {
      trafficPolicies: [
        {
          name: serviceOf('two'),
          upstreams: [
            {
              pool: {
                maxConnections: 4,
                maxPendingRequests: 100,
                maxRequests: 100,
                maxRetries: 3,
                connectTimeoutMs: 60_000,
                httpIdleTimeoutMs: 60_000,
                h2Upgrade: 'UPGRADE_ALWAYS',
              },
            },
          ],
        },
      ],
    },
  });
  session = connect(program.url());
  session.on('error', () => {});
});
after(async () => {
  session?.destroy();
  await program?.stop();
  for (const close of closing) close();
});

interface Answer {
  readonly headers: IncomingHttpHeaders;
  readonly trailers: IncomingHttpHeaders;
  readonly body: Buffer;
  readonly stream: ClientHttp2Stream;
}

function ask(headers: OutgoingHttpHeaders, body?: Buffer): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const stream = session.request(headers, { endStream: body === undefined });
    let answer: IncomingHttpHeaders = {};
    let trailers: IncomingHttpHeaders = {};
    const parts: Buffer[] = [];
    stream.on('response', (one) => {
      answer = one;
    });
    stream.on('trailers', (one) => {
      trailers = one;
    });
    stream.on('data', (part: Buffer) => parts.push(part));
    stream.on('error', reject);
    stream.on('end', () => resolve({ headers: answer, trailers, body: Buffer.concat(parts), stream }));
    if (body !== undefined) stream.end(body);
  });
}

test('HTTP/2 to HTTP/2: content both ways, many streams at once', async () => {
  const answers = await Promise.all(
    Array.from({ length: 50 }, (_, i) => ask({ ':path': '/two', 'x-size': String(i * 1000) })),
  );
  assert.deepEqual(
    answers.map(({ body }) => body.length),
    Array.from({ length: 50 }, (_, i) => i * 1000),
  );
  const { body, trailers } = await ask(
    { ':method': 'POST', ':path': '/two/echo', te: 'trailers' },
    Buffer.alloc(8 * MIB, 'z'),
  );
  assert.deepEqual([body.length, trailers['grpc-status'], trailers['grpc-message']], [8 * MIB, '0', 'fine']);
});

test('HTTP/2 to HTTP/1.1: chunks, trailers, one Cookie, one Host', async () => {
  const { body, headers, trailers } = await ask(
    {
      ':method': 'POST',
      ':path': '/one',
      ':authority': 'shop.example',
      'x-size': String(3 * MIB),
      cookie: ['a=1', 'b=2'],
    },
    Buffer.alloc(2 * MIB, 'q'),
  );
  assert.equal(headers[':status'], 200);
  assert.deepEqual([headers['x-cookie'], headers['x-host']], ['a=1; b=2', 'shop.example']);
  assert.deepEqual([body.length, trailers['x-sum']], [3 * MIB, String(2 * MIB)]);
  assert.equal(headers['transfer-encoding'], undefined);
});

test('a connection to an HTTP/1.1 server whose answer came faster than it was taken serves the next request', async () => {
  // What waits for the client is above the mark at which the server is paused when its last octet has come.
  for (const size of [70_000, 1, 100_000, 1, 120_000, 1]) {
    const { body } = await ask({ ':path': '/one/known', 'x-size': String(size) });
    assert.equal(body.length, size);
  }
});

test('an answer of HTTP/1.1 whose length is known ends with its last content, and is whole whatever its length', async () => {
  const sizes = [0, 1, 4095, 4096, 4097, 16_384, 70_000, 300_000];
  const answers = await Promise.all(sizes.map((size) => ask({ ':path': '/one/known', 'x-size': String(size) })));
  assert.deepEqual(
    answers.map(({ body }) => body.length),
    sizes,
  );
  assert.ok(answers.every(({ body }) => body.every((octet) => octet === 0x6b)));
  for (const size of [64, 1024, 4096]) {
    const data = (await framesOf('/one/known', size)).filter(({ type }) => type === FrameType.data);
    assert.deepEqual(
      data.map(({ flags, payload }) => [payload.length, flags]),
      [[size, Flag.endStream]],
    );
  }
});

/** Frames of the answer to a request for so many octets, on a connection of its own. */
async function framesOf(path: string, size: number): Promise<SentFrame[]> {
  const { hostname, port } = new URL(program.url());
  const socket = createConnection(Number(port), hostname);
  let bytes = Buffer.alloc(0);
  socket.on('data', (part: Buffer) => {
    bytes = Buffer.concat([bytes, part]);
  });
  socket.on('error', () => {});
  // The answer is what comes first, and ends with its content.
  const frames = (): SentFrame[] => parseFrames(bytes).filter(({ streamId }) => streamId === 1);
  try {
    const request = [...GET.slice(0, 3), [':path', path], ['x-size', String(size)]] as const;
    socket.write(Buffer.concat([PREFACE, settingsFrame([]), headers(1, request, true)]));
    const content = Buffer.alloc(size, 'k');
    await until('the content', () => bytes.subarray(-size).equals(content));
    return frames();
  } finally {
    socket.destroy();
  }
}

test('HTTP/1.1 to HTTP/2', async () => {
  const answer = await fetch(program.url('/two'), { method: 'PUT', body: 'x', headers: { 'x-size': '70000' } });
  assert.deepEqual([answer.status, answer.headers.get('x-method'), (await answer.text()).length], [200, 'PUT', 70_000]);
});

test('a gRPC stream carries messages both ways at the same time', async () => {
  const stream = session.request({
    ':method': 'POST',
    ':path': '/two/echo',
    te: 'trailers',
    'content-type': 'application/grpc',
  });
  let text = '';
  let te = '';
  stream.setEncoding('utf8').on('data', (part: string) => {
    text += part;
  });
  stream.on('response', (headers) => {
    te = String(headers['x-te']);
  });
  for (const word of ['one', 'two', 'three']) {
    stream.write(word);
    await until(`the echo of ${word}`, () => text.endsWith(word));
  }
  assert.equal(te, 'trailers');
  const trailers = new Promise<IncomingHttpHeaders>((resolve) => {
    stream.on('trailers', resolve);
  });
  stream.end();
  assert.equal((await trailers)['grpc-status'], '0');
});

test('the proxy’s own answers to gRPC clients are gRPC’s', async () => {
  const grpc = { ':method': 'POST', 'content-type': 'application/grpc' };
  const lost = await ask({ ...grpc, ':path': '/nowhere' });
  assert.deepEqual([lost.headers[':status'], lost.headers['grpc-status']], [200, '12']);
  const astray = await ask({ ...grpc, ':path': '/astray' });
  assert.deepEqual([astray.headers[':status'], astray.headers['grpc-status']], [200, '14']);
  const reset = await ask({ ...grpc, ':path': '/two/reset' });
  assert.deepEqual([reset.headers[':status'], reset.headers['grpc-status']], [200, '14']);
  assert.match(String(reset.headers['grpc-message']), /^upstream connect error/);
  const only = await ask({ ...grpc, ':path': '/two/only-trailers' });
  assert.deepEqual([only.headers[':status'], only.headers['grpc-status']], [200, '5']);
  await until('it is counted', async () =>
    /request_protocol="grpc",response_code="200",grpc_response_status="5"/.test(await program.metrics()),
  );
});

test('a client that gives up a stream ends it at the server, and disturbs no other', async () => {
  const kept = session.request({ ':method': 'POST', ':path': '/two/echo' });
  // One that is far from its end: close() ends our side first, and an echo could be complete before the reset comes.
  const dropped = session.request({ ':path': '/two', 'x-size': String(16 * MIB) });
  dropped.on('error', () => {});
  dropped.pause();
  await new Promise((resolve) => dropped.once('response', resolve));
  dropped.close(8);
  const echo = new Promise((resolve) => kept.once('data', (part: Buffer) => resolve(part.toString())));
  kept.write('alive');
  assert.equal(await echo, 'alive');
  kept.end();
  assert.equal(
    (await until('its record', () => program.records.find((one) => one['response_flags'] === 'DC')))['path'],
    '/two',
  );
});

test('eight readers that stop do not hold up a ninth', async () => {
  const stopped = Array.from({ length: 8 }, () => {
    const stream = session.request({ ':path': '/two', 'x-size': String(16 * MIB) });
    stream.pause();
    stream.on('error', () => {});
    return stream;
  });
  const { body } = await ask({ ':path': '/two', 'x-size': String(4 * MIB) });
  assert.equal(body.length, 4 * MIB);
  for (const stream of stopped) stream.close(8);
});
