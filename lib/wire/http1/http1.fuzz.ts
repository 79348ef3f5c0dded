// SPDX-License-Identifier: Apache-2.0
// Fuzzes the HTTP/1.1 reader: the split of the bytes does not matter, and llhttp agrees about every first message.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { fuzz } from '#lib/testkit/fuzz.ts';
import { readHttp1 } from '#lib/testkit/http1-recorder.ts';
import { llhttp } from '#lib/testkit/llhttp.ts';

const SEEDS = {
  request: [
    'GET / HTTP/1.1\r\nHost: a\r\n\r\n',
    'POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\nHost: b\r\n\r\n',
    'POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\nX-T: 1\r\n\r\n',
    'CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n',
    'GET http://a/ HTTP/1.0\r\nConnection: keep-alive, close\r\nX:\ty \r\n\r\n',
  ],
  response: [
    'HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc',
    'HTTP/1.1 100 Go on\r\n\r\nHTTP/1.1 204 No\r\n\r\n',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n',
    'HTTP/1.0 404 \r\n\r\nrest',
  ],
} as const;

for (const kind of ['request', 'response'] as const)
  fuzz({
    name: `any bytes are ${kind}s or are refused, however they are cut, and llhttp reads the same`,
    corpus: join(import.meta.dirname, 'testdata', kind),
    seeds: SEEDS[kind].map((text) => Buffer.from(text)),
    run(input) {
      const whole = readHttp1(kind, input);
      const cuts = Array.from({ length: Math.ceil(input.length / 5) }, (_, i) => i * 5);
      assert.deepEqual(readHttp1(kind, input, cuts), whole);
      const ours = whole.messages[0];
      if (ours === undefined || !ours.complete || ours.method === 'CONNECT') return;
      const theirs = llhttp(kind, input).messages[0];
      // Methods that llhttp does not know are none of its business.
      if (theirs === undefined && kind === 'request' && !/^(GET|POST)$/.test(ours.method)) return;
      assert.ok(theirs);
      assert.deepEqual([theirs.url, theirs.status, theirs.body], [ours.target, ours.status, ours.body]);
    },
  });
