// SPDX-License-Identifier: Apache-2.0
// Fuzzes the HTTP/1.1 reader: the split of the bytes does not matter, and llhttp agrees about every first message.
import assert from 'node:assert/strict';
import { METHODS } from 'node:http';
import { join } from 'node:path';
import { fuzz } from '#lib/testkit/fuzz.ts';
import { type RecordedMessage, readHttp1 } from '#lib/testkit/http1-recorder.ts';
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
      assert.equal(JSON.stringify(readHttp1(kind, input, cuts)), JSON.stringify(whole));
      if (whole.messages[0]?.complete === true) neverMoreLenient(kind, input, whole.messages);
      return `${whole.messages.map(({ complete, fields, trailers }) => [complete, fields.length, trailers.length])} ${whole.error}`;
    },
  });

/** What we read as messages, llhttp reads as the same messages: method, target, fields, content, and where the next begins. */
function neverMoreLenient(kind: 'request' | 'response', input: Buffer, messages: readonly RecordedMessage[]): void {
  const { error, messages: theirs } = llhttp(kind, input);
  for (const [i, ours] of messages.entries()) {
    if (!ours.complete || ours.method === 'CONNECT') return;
    const same = theirs[i];
    if (same === undefined) {
      // Methods that it does not know are none of its business; what follows a last message is our owner's to leave unread.
      if ((kind === 'request' && !METHODS.includes(ours.method)) || error === 'HPE_CLOSED_CONNECTION') return;
      assert.fail(`llhttp refuses message ${i + 1}: ${error}`);
    }
    const fields = ours.fields.flat();
    assert.equal(
      JSON.stringify([same.url, same.status, same.body, lower(same.headers)]),
      JSON.stringify([ours.target, ours.status, ours.body, fields]),
    );
    // What follows is not read any more by llhttp, and by us only until the owner has closed.
    if (fields.some((text, at) => at % 2 === 1 && /close|upgrade/i.test(text)) || ours.status === 101) return;
  }
}

/** Names and values in turn, names as ours are told. */
function lower(pairs: readonly string[]): string[] {
  return pairs.map((text, at) => (at % 2 === 0 ? text.toLowerCase() : text));
}
