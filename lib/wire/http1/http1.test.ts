// SPDX-License-Identifier: Apache-2.0
// HTTP/1.1 reading: what is accepted, what is refused, against llhttp, and however the bytes are cut.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { readHttp1 } from '#lib/testkit/http1-recorder.ts';
import { llhttp } from '#lib/testkit/llhttp.ts';
import fc from '#lib/testkit/properties.ts';
import { Http1Head } from './head.ts';
import { http1Reason, http1Status } from './reason.ts';
import { CHUNK_END, CHUNK_HEAD, fieldLine, LAST_CHUNK, requestLine, statusLine, writeChunkHead } from './writer.ts';

const bytes = (text: string): Buffer => Buffer.from(text.replaceAll('\n', '\r\n').replaceAll('\r\r', '\r'), 'latin1');
const request = (text: string): { messages: ReturnType<typeof readHttp1>['messages']; error: string } =>
  readHttp1('request', bytes(text));
const response = (text: string, method = 'GET', closes = false): ReturnType<typeof readHttp1> =>
  readHttp1('response', bytes(text), [], method, closes);
const GET = 'GET /a?b=c HTTP/1.1\nHost: shop\n';

describe('requests', () => {
  test('a head is read into offsets, names without case, values without outer blanks', () => {
    const head = new Http1Head();
    const text = bytes(
      'POST /x HTTP/1.1\nHost: shop:80\nX-A: \t one two \t\nx-a:three\nX-Empty:\nConnection: Keep-Alive, X-A\n\nbody',
    );
    assert.equal(head.parseRequest(text, 0, text.length), text.length - 4);
    assert.deepEqual([head.method, head.target, head.minor, head.authority], ['POST', '/x', 1, 'shop:80']);
    assert.deepEqual([head.get('x-a'), head.get('x-empty'), head.get('none')], ['one two', '', undefined]);
    assert.equal(head.value(head.find('x-a', head.find('x-a') + 1)), 'three');
    assert.equal(head.name(1), 'x-a');
    assert.deepEqual(head.connectionOptions(), ['keep-alive', 'x-a']);
    assert.deepEqual([head.close, head.chunked, head.contentLength], [false, false, -1]);
  });

  test('content by length, in chunks with trailers, and none; one message after another', () => {
    const { messages, error } = request(
      `POST /1 HTTP/1.1\nHost: a\nContent-Length: 3\n\nabc` +
        `POST /2 HTTP/1.1\nHost: a\nTransfer-Encoding: Chunked\n\n3;x="y"\nabc\n0a\n0123456789\n0\nX-Sum: 1\n\n` +
        `${GET}\n`,
    );
    assert.equal(error, '');
    assert.deepEqual(
      messages.map(({ target, body, trailers, complete }) => [target, body, trailers, complete]),
      [
        ['/1', 'abc', [], true],
        ['/2', 'abc0123456789', [['x-sum', '1']], true],
        ['/a?b=c', '', [], true],
      ],
    );
  });

  test('targets fit their methods', () => {
    const good = ['OPTIONS *', 'GET http://shop/x', 'CONNECT shop:443', 'GET /%20?a|b', 'CONNECT [fd00::1]:443'];
    for (const line of good) assert.equal(request(`${line} HTTP/1.1\nHost: shop\n\n`).error, '', line);
    const bad = [
      'GET *',
      'GET shop',
      'CONNECT /x',
      'CONNECT shop',
      'GET http://other/x',
      'GET ftp://shop/x',
      'GET http:///x',
      'GET /a b',
      'GET /a#b',
      'GET ',
    ];
    for (const line of bad) assert.notEqual(request(`${line} HTTP/1.1\nHost: shop\n\n`).error, '', line);
  });

  test('HTTP/1.0 closes unless it says otherwise, and needs no Host', () => {
    const head = new Http1Head();
    const parse = (text: string): boolean => {
      const buffer = bytes(text);
      assert.equal(head.parseRequest(buffer, 0, buffer.length), buffer.length);
      return head.close;
    };
    assert.equal(parse('GET / HTTP/1.0\n\n'), true);
    assert.equal(parse('GET / HTTP/1.0\nConnection: keep-alive\n\n'), false);
    assert.equal(parse(`${GET}Connection: x, CLOSE\n\n`), true);
  });

  test('what two parsers could read differently is refused', () => {
    const bad = [
      'get\n\n',
      'GET  / HTTP/1.1\nHost: a\n\n',
      'GET / HTTP/1.1 \nHost: a\n\n',
      'GET / HTTP/1.2\nHost: a\n\n',
      'GET / http/1.1\nHost: a\n\n',
      'GET\t/ HTTP/1.1\nHost: a\n\n',
      'G@T / HTTP/1.1\nHost: a\n\n',
      'GET / HTTP/1.1\n\n',
      'GET / HTTP/1.1\nHost: a\nHost: a\n\n',
      'GET / HTTP/1.1\nHost: a b\n\n',
      'GET / HTTP/1.1\nHost: a/b\n\n',
      'GET / HTTP/1.1\nHost: u@a\n\n',
      `${GET}X : y\n\n`,
      `${GET}X\n\n`,
      `${GET}: y\n\n`,
      `${GET}X: y\n folded\n\n`,
      ` ${GET}\n`,
      `${GET} X: y\n\n`,
      `${GET}X: a\0b\n\n`,
      `${GET}X: a\x7fb\n\n`,
      `${GET}X\x80: a\n\n`,
      `${GET}Content-Length: 1\nContent-Length: 1\n\na`,
      `${GET}Content-Length: 1, 1\n\na`,
      `${GET}Content-Length: +1\n\na`,
      `${GET}Content-Length: 0x1\n\na`,
      `${GET}Content-Length:\n\na`,
      `${GET}Content-Length: 99999999999999999\n\na`,
      `${GET}Content-Length: 3\nTransfer-Encoding: chunked\n\n0\n\n`,
      `${GET}Transfer-Encoding: chunked\nTransfer-Encoding: chunked\n\n0\n\n`,
      `${GET}Transfer-Encoding: gzip, chunked\n\n0\n\n`,
      `${GET}Transfer-Encoding: identity\n\n`,
      `${GET}Transfer-Encoding: xchunked\n\n`,
      `${GET}Transfer-Encoding: "chunked"\n\n`,
      `${GET}Transfer-Encoding: chunked\t\n\n0\n\n`,
      `${GET}Transfer-Encoding: chunked \t \n\n0\n\n`,
      `${GET}Transfer-Encoding:\tchunked\n\n0\n\n`,
      `${GET}Transfer-Encoding: \t chunked\n\n0\n\n`,
      'POST / HTTP/1.0\nTransfer-Encoding: chunked\n\n0\n\n',
    ];
    for (const text of bad) assert.notEqual(request(text).error, '', JSON.stringify(text));
    for (const raw of [
      'GET / HTTP/1.1\nHost: a\r\n\r\n',
      'GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n',
      'GET / HTTP/1.1\r\nHost: a\r\r\n\r\n',
    ])
      assert.notEqual(readHttp1('request', Buffer.from(raw)).error, '', JSON.stringify(raw));
  });

  test('bad chunks are refused', () => {
    const chunked = (rest: string): string =>
      request(`POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n${rest}`).error;
    assert.equal(chunked('1\na\n0\n\n'), '');
    for (const rest of [
      '\n',
      'g\n',
      '-1\n',
      ' 1\na\n',
      '1 \na\n',
      '0x1\na\n',
      '1\nab\n',
      '1\na0\n\n',
      '12345678901\n',
      `1;${'x'.repeat(300)}\n`,
      '1;\x01\na\n',
    ])
      assert.notEqual(chunked(rest), '', JSON.stringify(rest));
    for (const trailer of [
      'X\n\n',
      ' folded\n\n',
      'Content-Length: 1\n\n',
      'Host: b\n\n',
      'Transfer-Encoding: chunked\n\n',
      `X: ${'y'.repeat(9000)}\n\n`,
    ])
      assert.notEqual(chunked(`0\n${trailer}`), '', JSON.stringify(trailer.slice(0, 40)));
    const raw = 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n';
    for (const rest of ['1\na\r\n', '1\r\na\n', '0\r\nX: y\n\r\n'])
      assert.notEqual(readHttp1('request', Buffer.from(raw + rest)).error, '', JSON.stringify(rest));
  });

  test('heads above the limits are refused, also when they never end', () => {
    assert.equal(request(`${GET}${'X: y\n'.repeat(200)}\n`).error, 'there are too many fields');
    assert.equal(request(`${GET}X: ${'y'.repeat(70_000)}`).error, 'the header section is too large');
    const endless = readHttp1(
      'request',
      Buffer.alloc(100_000, 0x61),
      Array.from({ length: 500 }, (_, i) => i * 200),
    );
    assert.equal(endless.error, 'the header section is too large');
    assert.equal(http1Status(-10), 431);
    assert.match(http1Reason(-99), /unknown/);
  });
});

describe('responses', () => {
  test('where the content ends depends on status and request', () => {
    const outcome = (text: string, method = 'GET', closes = false): unknown[] => {
      const { messages, error } = response(text, method, closes);
      return [error, ...messages.map(({ status, body, complete }) => [status, body, complete])];
    };
    assert.deepEqual(outcome('HTTP/1.1 200 OK\nContent-Length: 2\n\nab'), ['', [200, 'ab', true]]);
    assert.deepEqual(outcome('HTTP/1.1 200\nContent-Length: 0\n\n'), ['', [200, '', true]]);
    assert.deepEqual(outcome('HTTP/1.1 200 OK\nContent-Length: 2\n\n', 'HEAD'), ['', [200, '', true]]);
    assert.deepEqual(outcome('HTTP/1.1 304 Not\nContent-Length: 2\n\n'), ['', [304, '', true]]);
    assert.deepEqual(outcome('HTTP/1.1 204 No\n\n'), ['', [204, '', true]]);
    assert.deepEqual(outcome('HTTP/1.1 200 OK\n\nab'), ['', [200, 'ab', false]]);
    assert.deepEqual(outcome('HTTP/1.1 200 OK\n\nab', 'GET', true), ['', [200, 'ab', true]]);
    assert.deepEqual(outcome('HTTP/1.1 100 Go on\n\nHTTP/1.1 200 OK\nContent-Length: 1\n\na'), [
      '',
      [100, '', false],
      [200, 'a', true],
    ]);
    assert.deepEqual(outcome('HTTP/1.1 101 Switch\nUpgrade: x\n\n\0\x01'), ['', [101, '\0\x01', false]]);
    assert.deepEqual(outcome('HTTP/1.1 200 OK\nContent-Length: 5\n\nHTTP/1.1', 'CONNECT'), [
      '',
      [200, 'HTTP/1.1', false],
    ]);
    assert.deepEqual(outcome('HTTP/1.1 200 OK\nContent-Length: 5\n\nab', 'GET', true), [
      'the connection ended within a message',
      [200, 'ab', false],
    ]);
  });

  test('malformed status lines, and content where there is none, are refused', () => {
    for (const text of [
      'HTTP/1.1 99 X\n\n',
      'HTTP/1.1 2000 X\n\n',
      'HTTP/1.1  200 OK\n\n',
      'HTTP/2 200 OK\n\n',
      'HTTP/1.1 200\tOK\n\n',
      'HTTP/1.1 20x OK\n\n',
      'HTTP/1.1 200 O\0K\n\n',
      'HTTP/1.1 204 No\nContent-Length: 1\n\n',
      'HTTP/1.1 100 Go\nTransfer-Encoding: chunked\n\n',
    ])
      assert.notEqual(response(text).error, '', JSON.stringify(text));
  });
});

// Pieces of messages, good and bad, that a generator joins.
const line = fc.constantFrom(
  'GET / HTTP/1.1',
  'POST /a HTTP/1.1',
  'GET /b HTTP/1.0',
  'HEAD http://a/ HTTP/1.1',
  'GET  / HTTP/1.1',
  'OPTIONS * HTTP/1.1',
);
const field = fc.constantFrom(
  'Host: a',
  'Content-Length: 3',
  'Content-Length: 0',
  'content-length : 3',
  'Transfer-Encoding: chunked',
  'Transfer-Encoding: gzip',
  'Connection: close',
  'Connection: keep-alive',
  'X: y',
  'X-Tab:\ty z\t',
  ' folded',
  'Bad Name: x',
);
const content = fc.constantFrom(
  '',
  'abc',
  '3\r\nabc\r\n0\r\n\r\n',
  '3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n',
  '03;e=1\r\nabc\r\n000\r\n\r\n',
  '3\r\nabcd\r\n',
);
const lineEnd = fc.oneof(
  { weight: 40, arbitrary: fc.constant('\r\n') },
  { weight: 1, arbitrary: fc.constantFrom('\n', '\r', '\r\r\n') },
);
const message = fc
  .tuple(
    line,
    fc.array(field, { maxLength: 4 }),
    content,
    fc.array(lineEnd, { minLength: 6, maxLength: 6 }),
    fc.boolean(),
  )
  .map(([start, fields, body, ends, hosted]) => {
    const lines = [start, ...(hosted ? ['Host: a'] : []), ...fields];
    return `${lines.map((text, i) => text + ends[i]!).join('')}\r\n${body}`;
  });

test('any split of the bytes gives the same messages', () => {
  fc.assert(
    fc.property(fc.array(message, { maxLength: 4 }), fc.array(fc.nat(1000), { maxLength: 20 }), (texts, cuts) => {
      const whole = Buffer.from(texts.join(''), 'latin1');
      assert.deepEqual(readHttp1('request', whole, cuts), readHttp1('request', whole));
    }),
    { numRuns: 2000 },
  );
});

test('whatever we take for a message, llhttp takes for the same message', () => {
  let compared = 0;
  fc.assert(
    fc.property(message, (text) => {
      const whole = Buffer.from(text, 'latin1');
      const ours = readHttp1('request', whole).messages[0];
      if (ours === undefined || !ours.complete) return;
      const theirs = llhttp('request', whole).messages[0];
      assert.ok(theirs, `llhttp refuses ${JSON.stringify(text)}`);
      const pairs = Array.from({ length: theirs.headers.length / 2 }, (_, i) => [
        theirs.headers[2 * i]!.toLowerCase(),
        theirs.headers[2 * i + 1]!,
      ]);
      assert.deepEqual([theirs.url, theirs.body, theirs.complete], [ours.target, ours.body, true]);
      assert.deepEqual(pairs, ours.fields);
      compared++;
    }),
    { numRuns: 3000 },
  );
  assert.ok(compared > 300, `only ${compared} messages were compared`);
});

describe('writing', () => {
  test('what is written is read back', () => {
    const head = requestLine('POST', '/x?y') + fieldLine('host', 'shop') + fieldLine('transfer-encoding', 'chunked');
    const chunk = Buffer.alloc(CHUNK_HEAD + 300, 0x61);
    const from = writeChunkHead(chunk, CHUNK_HEAD, 300);
    const parts = [Buffer.from(`${head}\r\n`), chunk.subarray(from), CHUNK_END, LAST_CHUNK];
    const { messages, error } = readHttp1('request', Buffer.concat(parts));
    assert.equal(error, '');
    assert.deepEqual([messages[0]!.target, messages[0]!.body, messages[0]!.complete], ['/x?y', 'a'.repeat(300), true]);
    const answer = readHttp1('response', Buffer.from(`${statusLine(404)}${fieldLine('content-length', '0')}\r\n`));
    assert.equal(answer.messages[0]!.status, 404);
  });

  test('sizes of chunks from 1 to 4 GiB fit into their room', () => {
    for (const size of [1, 15, 16, 255, 65_536, 0xffff_ffff]) {
      const buffer = Buffer.alloc(CHUNK_HEAD);
      const from = writeChunkHead(buffer, CHUNK_HEAD, size);
      assert.equal(buffer.toString('latin1', from), `${size.toString(16)}\r\n`);
    }
  });

  test('what would break a line is not written', () => {
    for (const write of [
      () => requestLine('GET', '/a b'),
      () => requestLine('GET', '/a\r\nX: y'),
      () => requestLine('', '/'),
      () => requestLine('G T', '/'),
      () => fieldLine('x:', 'y'),
      () => fieldLine('x', 'a\r\nb: c'),
      () => fieldLine('', 'y'),
    ])
      assert.throws(write, { code: 'HTTP1_INVALID' });
  });
});
