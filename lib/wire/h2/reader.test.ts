// SPDX-License-Identifier: Apache-2.0
// However the byte stream is cut, the engine says and sends the same.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  block,
  CONNECT,
  connectFrame,
  dataFrame,
  frame,
  GET,
  H2Peer,
  headers,
  resetFrame,
  settingsAck,
  settingsFrame,
  uint32,
  windowFrame,
} from '#lib/testkit/h2-peer.ts';
import fc from '#lib/testkit/properties.ts';
import { HeaderBlock } from './headers.ts';
import { FrameType, PREFACE } from './protocol.ts';
import { FrameReader, type FrameSink } from './reader.ts';

const id = fc.oneof(
  { weight: 30, arbitrary: fc.constantFrom(1, 3, 5) },
  { weight: 1, arbitrary: fc.constantFrom(0, 2, 7, 9) },
);
const newId = fc.constantFrom(5, 7, 9, 11);
const payload = fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes));
const anyFrame = fc.oneof(
  newId.map(connectFrame),
  fc.tuple(id, fc.boolean()).map(([stream, end]) => headers(stream, GET, end)),
  fc.tuple(id, payload, fc.boolean()).map(([stream, bytes, end]) => dataFrame(stream, bytes, end)),
  fc
    .tuple(id, payload, fc.integer({ min: 0, max: 50 }), fc.integer({ min: 0, max: 15 }))
    .map(([stream, bytes, pad, flags]) =>
      frame(FrameType.data, flags, stream, Buffer.concat([Buffer.from([pad]), bytes])),
    ),
  fc.tuple(id, fc.constantFrom(0, 1, 1000, 0x7fff_ffff)).map(([stream, by]) => windowFrame(stream, by)),
  fc.tuple(id, fc.constantFrom(0, 8)).map(([stream, code]) => resetFrame(stream, code)),
  fc.constant(settingsFrame([[4, 1000]])),
  fc.constant(settingsAck()),
  fc.constant(frame(FrameType.ping, 0, 0, '0102030405060708')),
  fc.constant(frame(FrameType.goaway, 0, 0, Buffer.concat([uint32(1), uint32(0), Buffer.from('why not')]))),
  id.map((stream) => frame(FrameType.priority, 0, stream, '0000000110')),
  // A header block in three frames.
  id.map((stream) => {
    const bytes = block(CONNECT);
    return Buffer.concat([
      frame(FrameType.headers, 0, stream, bytes.subarray(0, 5)),
      frame(FrameType.continuation, 0, stream, bytes.subarray(5, 6)),
      frame(FrameType.continuation, 4, stream, bytes.subarray(6)),
    ]);
  }),
  {
    weight: 1,
    arbitrary: fc.tuple(fc.integer({ min: 0, max: 12 }), id, payload).map(([t, s, p]) => frame(t, 4, s, p)),
  },
);

/** What a server that answers and echoes says and sends for a stream of bytes in these pieces. */
function outcome(stream: Buffer, cuts: readonly number[]): { events: string[]; sent: string[] } {
  const peer = new H2Peer('server');
  peer.recorder.react = (event, opened) => {
    if (event === 'headers' && !opened!.headersSent)
      peer.connection.respond(opened!, HeaderBlock.response(200), opened!.remoteEnded);
  };
  const bounds = [...new Set([0, ...cuts.map((cut) => cut % (stream.length + 1)), stream.length])].sort(
    (a, b) => a - b,
  );
  for (let i = 1; i < bounds.length; i++) {
    // A copy each time: what was passed before must not be needed any more.
    const piece = Buffer.from(stream.subarray(bounds[i - 1], bounds[i]));
    peer.connection.receive(piece, 0, piece.length);
    piece.fill(0xdd);
  }
  return { events: peer.events(), sent: peer.sent() };
}

test('any split of the byte stream gives the same events and the same answers', () => {
  fc.assert(
    fc.property(fc.array(anyFrame, { maxLength: 25 }), fc.array(fc.nat(2000), { maxLength: 30 }), (frames, cuts) => {
      const opening = [connectFrame(1), headers(3, GET)];
      const stream = Buffer.concat([PREFACE, settingsFrame([]), settingsAck(), ...opening, ...frames]);
      assert.deepEqual(outcome(stream, cuts), outcome(stream, []));
    }),
    { numRuns: 1500 },
  );
});

test('a stream that comes octet by octet gives the same as in one piece', () => {
  const stream = Buffer.concat([
    PREFACE,
    settingsFrame([[4, 5]]),
    settingsAck(),
    connectFrame(1),
    dataFrame(1, Buffer.from('hello')),
    frame(FrameType.data, 0x09, 1, '05 6869 0000000000'),
    frame(FrameType.goaway, 0, 0, Buffer.concat([uint32(0), uint32(2), Buffer.alloc(100, 1)])),
    headers(3, GET, true),
  ]);
  const bytewise = outcome(
    stream,
    Array.from({ length: stream.length }, (_, i) => i),
  );
  assert.deepEqual(bytewise, outcome(stream, []));
  assert.equal(bytewise.events[2], 'data 1 68656c6c6f6869 end');
});

test('the reader knows whether the transport ended in the middle of a frame', () => {
  const nothing = (): void => {};
  const sink: FrameSink = {
    onDataStart: () => true,
    onDataBytes: nothing,
    onHeaderBlock: nothing,
    onRstStream: nothing,
    onSettings: nothing,
    onSettingsAck: nothing,
    onPing: nothing,
    onPong: nothing,
    onGoawayFrame: nothing,
    onWindowUpdate: nothing,
    onIgnored: nothing,
    onStreamViolation: nothing,
    onViolation: nothing,
  };
  const bytes = Buffer.concat([settingsFrame([[4, 5]]), dataFrame(1, Buffer.from('abc'))]);
  for (let end = 0; end <= bytes.length; end++) {
    const reader = new FrameReader(sink, false, 16_384, 16_384, 8, 8);
    reader.read(bytes, 0, end);
    assert.equal(reader.midFrame, ![0, 15, bytes.length].includes(end), `after ${end}`);
  }
});

test('one call reads no more than is work enough, and the next goes on where it ended', () => {
  const { connection } = H2Peer.ready('server');
  const read = (bytes: Buffer): number[] => {
    const ends: number[] = [];
    for (let at = 0; at < bytes.length; ends.push(at)) at = connection.receiveSome(bytes, at, bytes.length);
    return ends;
  };
  const pings = Buffer.concat(Array.from({ length: 200 }, () => frame(FrameType.ping, 0, 0, '0000000000000000')));
  assert.equal(read(pings).length, 7, 'frames that carry nothing are 32 a call');
  const opened = Buffer.concat(Array.from({ length: 40 }, (_, k) => headers(2 * k + 1, GET)));
  assert.equal(read(opened).length, 11, 'streams are opened 4 a call, the last of each in the next');
  assert.equal(connection.openStreams, 40);
  const bulk = Buffer.concat(Array.from({ length: 30 }, () => dataFrame(1, Buffer.alloc(2000))));
  assert.equal(read(bulk).length, 1, 'content is as much as comes');
});
