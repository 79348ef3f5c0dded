// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deflateSync } from 'node:zlib';
import { dataFrame, pingFrame, rstFrame, SpdyDecoder, synReplyFrame } from './spdy-codec.ts';
import { DICTIONARY, HeaderCodec, parseBlock, writeBlock } from './spdy-headers.ts';
import { SpdySession, type SpdyStream } from './spdy-session.ts';

/** A client's SYN_STREAM: like SYN_REPLY with six more bytes, and type 1. */
function synStream(id: number, headers: Buffer, fin = false): Buffer {
  const frame = Buffer.concat([Buffer.alloc(8), Buffer.alloc(10), headers]);
  frame.writeUInt16BE(0x8003, 0);
  frame.writeUInt16BE(1, 2);
  frame[4] = fin ? 1 : 0;
  frame.writeUIntBE(10 + headers.length, 5, 3);
  frame.writeUInt32BE(id, 8);
  return frame;
}

test('the dictionary is the one that peers name by its checksum', () => {
  assert.equal(DICTIONARY.length, 1423);
  assert.equal(deflateSync(Buffer.from('x'), { dictionary: DICTIONARY }).subarray(2, 6).toString('hex'), 'e3c6a7c2');
});

test('header blocks go through one context, in order', async () => {
  const sender = new HeaderCodec();
  const receiver = new HeaderCodec();
  for (const port of ['80', '81', '82']) {
    const headers = new Map([
      ['streamtype', 'data'],
      ['port', port],
    ]);
    assert.deepEqual(await receiver.decode(await sender.encode(headers)), headers);
  }
  sender.close();
  receiver.close();
});

test('a header block that is cut off or endless is refused', () => {
  const whole = writeBlock(new Map([['a', 'b']]));
  assert.deepEqual([...parseBlock(whole)], [['a', 'b']]);
  for (let size = 0; size < whole.length; size++) assert.throws(() => parseBlock(whole.subarray(0, size)));
  const many = Buffer.alloc(4);
  many.writeUInt32BE(1_000_000);
  assert.throws(() => parseBlock(many), /has 1000000 headers/);
});

test('any split of the byte stream gives the same frames', () => {
  const stream = Buffer.concat([
    dataFrame(1, Buffer.from('abc'), true),
    pingFrame(7),
    rstFrame(3, 5),
    synReplyFrame(1, Buffer.from('h')),
  ]);
  for (let size = 1; size <= stream.length; size++) {
    const decoder = new SpdyDecoder();
    const kinds: string[] = [];
    for (let at = 0; at < stream.length; at += size) {
      kinds.push(...decoder.write(stream.subarray(at, at + size)).map(({ kind }) => kind));
    }
    assert.deepEqual(kinds, ['data', 'ping', 'rst-stream', 'ignored']);
  }
});

test('a session opens streams, hands on their data and ends, and answers pings', async () => {
  const sent: Buffer[] = [];
  const seen: string[] = [];
  const ended = Promise.withResolvers<void>();
  let stream: SpdyStream | undefined;
  const session = new SpdySession({ write: (data) => sent.push(data), close: () => undefined }, (opened) => {
    stream = opened;
    opened.listener = { data: (chunk) => seen.push(chunk.toString()), end: () => ended.resolve() };
  });
  const client = new HeaderCodec();
  session.receive(synStream(1, await client.encode(new Map([['streamtype', 'data']]))));
  session.receive(pingFrame(9));
  session.receive(dataFrame(1, Buffer.from('hello'), true));
  await ended.promise;
  assert.deepEqual([stream?.headers.get('streamtype'), seen], ['data', ['hello']]);
  stream?.write(Buffer.from('back'));
  stream?.end();
  const kinds = new SpdyDecoder()
    .write(Buffer.concat(sent))
    .map((frame) => (frame.kind === 'data' ? frame.data.toString() : frame.kind));
  assert.deepEqual(kinds, ['ignored', 'ping', 'back', '']);
  client.close();
  session.close();
});
