// SPDX-License-Identifier: Apache-2.0
// Fuzzes reading along: whatever passes, it hears the same however the bytes are cut, keeps to its bounds, and writes
// to nothing. The first octet says how much of the rest is the client's.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { fuzz } from '#lib/testkit/fuzz.ts';
import { connectFrame, dataFrame, GET, headers, resetFrame, settingsFrame } from '#lib/testkit/h2-peer.ts';
import { PREFACE } from '../h2/protocol.ts';
import { HttpWatch } from './http-watch.ts';

const both = (requests: Buffer | string, responses: Buffer | string): Buffer => {
  const [up, down] = [Buffer.from(requests as string, 'latin1'), Buffer.from(responses as string, 'latin1')];
  return Buffer.concat([Buffer.from([Math.ceil((up.length * 256) / (up.length + down.length + 1))]), up, down]);
};

/** What is heard when each direction is shown in pieces of `step`. */
function hear(up: Buffer, down: Buffer, step: number): string {
  const lines: string[] = [];
  const watch = new HttpWatch(
    {
      onExchange: (version, method, status) => lines.push(`${version} ${method} ${status}`),
      onGaveUp: (reason) => lines.push(reason),
    },
    () => 0,
  );
  for (let at = 0; at < up.length; at += step) watch.request(up, at, Math.min(up.length, at + step));
  for (let at = 0; at < down.length; at += step) watch.response(down, at, Math.min(down.length, at + step));
  watch.end();
  return lines.join('\n');
}

fuzz({
  name: 'any two directions of a connection are read along or given up, the same however they are cut',
  corpus: join(import.meta.dirname, 'testdata', 'watch'),
  seeds: [
    both(
      'GET / HTTP/1.1\r\nHost: a\r\n\r\nHEAD / HTTP/1.1\r\nHost: a\r\n\r\n',
      'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabHTTP/1.1 404 no\r\nContent-Length: 2\r\n\r\n',
    ),
    both(
      'PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n',
      'HTTP/1.1 100 c\r\n\r\nHTTP/1.1 503 x\r\n\r\nrest',
    ),
    both('GET / HTTP/1.1\r\nHost: a\r\n\r\n', 'HTTP/1.1 101 s\r\n\r\nxxxx'),
    both(
      Buffer.concat([PREFACE, settingsFrame([[1, 8192]]), headers(1, GET, true), headers(3, GET), resetFrame(3, 8)]),
      Buffer.concat([
        settingsFrame([]),
        headers(1, [[':status', '200']]),
        dataFrame(1, Buffer.from('hello')),
        dataFrame(1, Buffer.from('bye'), true),
      ]),
    ),
    both(
      Buffer.concat([PREFACE, settingsFrame([]), connectFrame(1), dataFrame(1, Buffer.from('x'), true)]),
      Buffer.concat([settingsFrame([]), headers(1, [[':status', '503']], true)]),
    ),
    both('EHLO a\r\n', '220 b\r\n'),
  ],
  run(input) {
    const split = input.length === 0 ? 0 : 1 + Math.floor(((input.length - 1) * input[0]!) / 256);
    const [up, down] = [Buffer.from(input.subarray(1, split)), Buffer.from(input.subarray(split))];
    const whole = hear(up, down, input.length + 1);
    assert.ok(up.equals(input.subarray(1, split)) && down.equals(input.subarray(split)), 'bytes were changed');
    assert.equal(hear(up, down, 7), whole);
    return whole.split('\n').slice(-3).join();
  },
});
