// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { acceptKey, encodeFrame, WebSocketDecoder } from './websocket.ts';

/** A client's frame: masked, by RFC 6455 section 5.3. */
function clientFrame(opcode: number, data: Buffer, final = true): Buffer {
  const mask = Buffer.from([1, 2, 3, 4]);
  const head =
    data.length < 126
      ? Buffer.from([(final ? 0x80 : 0) | opcode, 0x80 | data.length])
      : Buffer.from([(final ? 0x80 : 0) | opcode, 0x80 | 126, data.length >> 8, data.length & 255]);
  return Buffer.concat([head, mask, Buffer.from(data.map((byte, i) => byte ^ mask[i & 3]!))]);
}

test('the key is answered as in RFC 6455 section 1.3', () => {
  assert.equal(acceptKey('dGhlIHNhbXBsZSBub25jZQ=='), 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=');
});

test('any split of the byte stream gives the same messages', () => {
  const stream = Buffer.concat([
    clientFrame(2, Buffer.from('one')),
    clientFrame(1, Buffer.from('two '), false),
    clientFrame(9, Buffer.from('p')),
    clientFrame(0, Buffer.from('parts')),
    clientFrame(2, Buffer.alloc(300, 7)),
    clientFrame(8, Buffer.alloc(0)),
  ]);
  for (let size = 1; size <= stream.length; size += 7) {
    const decoder = new WebSocketDecoder();
    const events = [];
    for (let at = 0; at < stream.length; at += size) events.push(...decoder.write(stream.subarray(at, at + size)));
    assert.deepEqual(
      events.map((event) => (event.kind === 'message' ? event.data.toString().slice(0, 9) : event.kind)),
      ['one', 'ping', 'two parts', '\x07'.repeat(9), 'close'],
    );
  }
});

test('a frame that is not masked and a message without end are refused', () => {
  assert.equal(new WebSocketDecoder().write(encodeFrame('binary', Buffer.from('x')))[0]?.kind, 'error');
  const endless = Buffer.from([0x82, 0xff, 0, 0, 0, 0, 0x7f, 0, 0, 0]);
  assert.deepEqual(new WebSocketDecoder().write(endless)[0], { kind: 'error', message: 'a message is too large' });
});

test('frames of every size carry their length', () => {
  assert.equal(encodeFrame('binary', Buffer.alloc(125)).length, 127);
  assert.equal(encodeFrame('binary', Buffer.alloc(126)).readUInt16BE(2), 126);
  assert.equal(encodeFrame('binary', Buffer.alloc(70_000)).readBigUInt64BE(2), 70_000n);
});
