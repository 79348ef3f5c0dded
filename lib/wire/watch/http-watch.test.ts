// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Agent, createServer as createHttpServer, request as httpRequest, type IncomingMessage } from 'node:http';
import { createServer as createHttp2Server, connect as http2Connect } from 'node:http2';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import { test } from 'node:test';
import { GET as GET_H2, headers, settingsFrame } from '#lib/testkit/h2-peer.ts';
import { listenAnywhere } from '#lib/testkit/listen.ts';
import fc from '#lib/testkit/properties.ts';
import { until } from '#lib/testkit/until.ts';
import { ErrorCode, PREFACE } from '../h2/protocol.ts';
import { HttpWatch } from './http-watch.ts';

/** What was heard, as lines. */
function watched(clock: () => number = () => 0): { readonly lines: string[]; readonly watch: HttpWatch } {
  const lines: string[] = [];
  const watch = new HttpWatch(
    {
      onExchange: (version, method, status) => lines.push(`h${version} ${method} ${status}`),
      onGaveUp: (reason) => lines.push(reason),
    },
    clock,
  );
  return { lines, watch };
}

/** Shows both directions, requests first, each cut at `cuts`, and ends. */
function heard(requests: string, responses: string, cuts: readonly number[] = []): string[] {
  const { lines, watch } = watched();
  const show = (text: string, pass: (buffer: Buffer, start: number, end: number) => void): void => {
    const bytes = Buffer.from(text, 'latin1');
    const bounds = [...new Set([...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length])].sort((a, b) => a - b);
    for (let from = 0, i = 0; i < bounds.length; from = bounds[i++]!) {
      // In the midst of something else, and gone afterwards: nothing may be kept by reference.
      const arena = Buffer.concat([Buffer.alloc(3), bytes.subarray(from, bounds[i])]);
      if (arena.length > 3) pass(arena, 3, arena.length);
      arena.fill(0xdd);
    }
  };
  show(requests, (buffer, start, end) => watch.request(buffer, start, end));
  show(responses, (buffer, start, end) => watch.response(buffer, start, end));
  watch.end();
  return lines;
}

const GET = 'GET /a HTTP/1.1\r\nHost: a\r\n\r\n';
const POST = 'POST /b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nGET /\r\n0\r\n\r\n';
const HEAD = 'HEAD /c HTTP/1.1\r\nHost: a\r\n\r\n';
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nHTTP/';

const HTTP1: readonly (readonly [what: string, requests: string, responses: string, heard: readonly string[]])[] = [
  ['one request', GET, OK, ['h1 GET 200']],
  [
    'pipelined ones, the answer to HEAD without content, an interim answer',
    GET + POST + HEAD + GET,
    `${OK}HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n${OK.slice(0, -5)}HTTP/1.1 304 x\r\n\r\n`,
    ['h1 GET 200', 'h1 POST 201', 'h1 HEAD 200', 'h1 GET 304'],
  ],
  ['an answer until the end of the connection', GET, 'HTTP/1.1 503 no\r\n\r\nbecause', ['h1 GET 503']],
  ['a request that never got its answer', GET + GET, OK, ['h1 GET 200', 'h1 GET 0']],
  ['an answer that was cut', GET, OK.slice(0, -1), ['h1 GET 200']],
  ['another protocol after an upgrade', GET, 'HTTP/1.1 101 s\r\nUpgrade: x\r\n\r\n\0\0', ['h1 GET 101', 'upgraded']],
  ['a tunnel', 'CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n\0\0\0', '', ['upgraded']],
  ['a request that two parsers could read differently', GET.replace('\r\nHost', '\nHost'), '', ['unreadable']],
  ['an answer that is none', GET, 'SSH-2.0-x\r\n\r\n', ['unreadable']],
  ['an answer to nothing', GET, OK + OK, ['h1 GET 200', 'unreadable']],
  ['a head without end', `GET /${'x'.repeat(20_000)}`, '', ['unreadable']],
  ['more requests than are kept in mind', GET.repeat(65), '', ['too_many']],
  ['a TLS client', '\x16\x03\x01\x02\x00\x01', '', ['not_http']],
  ['a line of another protocol', 'EHLO mail.example\r\n', '', ['not_http']],
  ['a server that speaks first', '', '220 mail.example\r\n', ['not_http']],
  ['nothing', '', '', []],
];

test('HTTP/1.1 is read along however its bytes are cut, and what is none is given up', () => {
  for (const [what, requests, responses, lines] of HTTP1) {
    assert.deepEqual(heard(requests, responses), lines, what);
    fc.assert(
      fc.property(fc.array(fc.nat(400), { maxLength: 8 }), (cuts) => {
        assert.deepEqual(heard(requests, responses, cuts), lines, what);
      }),
      { numRuns: 50 },
    );
  }
});

test('an HTTP/2 server may send its SETTINGS first, another server may not', () => {
  const requests = Buffer.concat([PREFACE, settingsFrame([]), headers(1, GET_H2, true)]);
  const settings = settingsFrame([[3, 100]]);
  for (const cut of [1, 4, 10, settings.length]) {
    const { lines, watch } = watched();
    watch.response(settings, 0, cut);
    watch.request(requests, 0, 10);
    if (cut < settings.length) watch.response(settings, cut, settings.length);
    watch.request(requests, 10, requests.length);
    const answer = headers(1, [[':status', '204']], true);
    watch.response(answer, 0, answer.length);
    assert.deepEqual(lines, ['h2 GET 204'], `cut at ${cut}`);
  }
  for (const [first, then, reason] of [
    ['220 mail.example', '', 'not_http'],
    ['\0\0\0\x04\0\0\0\0\0', GET, 'not_http'],
    [`\0\0\0\x04${'x'.repeat(1100)}`, '', 'not_http'],
  ] as const) {
    const { lines, watch } = watched();
    watch.response(Buffer.from(first), 0, first.length);
    watch.request(Buffer.from(then), 0, then.length);
    assert.deepEqual(lines, [reason]);
  }
});

test('a request counts from its first octet to the last of its answer', () => {
  let now = 10;
  const spans: [number, number][] = [];
  const watch = new HttpWatch(
    { onExchange: (_version, _method, _status, startedAt) => spans.push([startedAt, now]), onGaveUp: assert.fail },
    () => now,
  );
  const show = (text: string, pass: (buffer: Buffer, start: number, end: number) => void): void =>
    pass(Buffer.from(text), 0, text.length);
  for (const part of [GET.slice(0, 20), GET.slice(20)]) {
    show(part, (buffer, start, end) => watch.request(buffer, start, end));
    now += 5;
  }
  for (const part of [OK.slice(0, -2), OK.slice(-2)]) {
    show(part, (buffer, start, end) => watch.response(buffer, start, end));
    now += 5;
  }
  assert.deepEqual(spans, [[10, 25]]);
});

/** A relay to `server` that shows what passes. */
async function relay(server: Server): Promise<{ port: number; lines: string[]; close: () => void }> {
  await listenAnywhere(server);
  const { lines, watch } = watched();
  const front = createServer((client) => {
    const upstream = connect((server.address() as AddressInfo).port, '127.0.0.1');
    client.on('data', (bytes: Buffer) => {
      watch.request(bytes, 0, bytes.length);
      upstream.write(bytes);
    });
    upstream.on('data', (bytes: Buffer) => {
      watch.response(bytes, 0, bytes.length);
      client.write(bytes);
    });
    client.on('error', () => upstream.destroy()).on('close', () => upstream.destroy());
    upstream.on('error', () => client.destroy()).on('close', () => client.destroy());
  });
  const port = await listenAnywhere(front);
  const close = (): void => {
    front.close();
    server.close();
  };
  return { port, lines, close };
}

test('what Node’s HTTP/1.1 client and server say to each other is understood', async () => {
  const server = createHttpServer((request, response) => {
    request.resume().on('end', () => {
      response.writeHead(request.url === '/missing' ? 404 : 200);
      response.write('a'.repeat(70_000));
      response.end('b');
    });
  });
  const { close, lines, port } = await relay(server);
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  try {
    for (const path of ['/', '/missing']) {
      const asked = httpRequest({ agent, host: '127.0.0.1', port, method: 'POST', path });
      asked.end('x'.repeat(100_000));
      const [response] = (await once(asked, 'response')) as [IncomingMessage];
      await once(response.resume(), 'end');
    }
    await until('both are heard', () => lines.length === 2);
    assert.deepEqual(lines, ['h1 POST 200', 'h1 POST 404']);
  } finally {
    agent.destroy();
    close();
  }
});

test('what Node’s HTTP/2 client and server say to each other is understood, streams interleaved', async () => {
  const server = createHttp2Server({ settings: { headerTableSize: 16_384 } }, (request, response) => {
    if (request.url === '/never') response.stream.close(ErrorCode.cancel);
    request.resume().on('end', () => {
      if (response.stream.closed) return;
      response.writeHead(request.url === '/missing' ? 404 : 200, { 'x-long': 'y'.repeat(3000), etag: request.url });
      response.write('a'.repeat(40_000));
      response.end('b');
    });
  });
  const { close, lines, port } = await relay(server as unknown as Server);
  const session = http2Connect(`http://127.0.0.1:${port}`, { settings: { headerTableSize: 32_768 } });
  try {
    const asked = Array.from({ length: 40 }, async (_, i) => {
      const path = i % 4 === 3 ? '/missing' : `/${i}`;
      const stream = session.request({ ':method': i % 2 === 0 ? 'GET' : 'PUT', ':path': path, 'x-n': String(i) });
      stream.resume().end(i % 2 === 0 ? undefined : 'body');
      await once(stream, 'end');
    });
    await Promise.all(asked);
    await until('all are heard', () => lines.length === 40);
    const count = (line: string): number => lines.filter((one) => one === line).length;
    assert.deepEqual([count('h2 GET 200'), count('h2 PUT 200'), count('h2 PUT 404')], [20, 10, 10]);
    const cancelled = session.request({ ':method': 'POST', ':path': '/never' }, { endStream: true });
    cancelled.on('error', () => {});
    await until('the cancelled one is heard', () => lines.at(-1) === 'h2 POST 0');
  } finally {
    session.destroy();
    close();
  }
});
