// SPDX-License-Identifier: Apache-2.0
// What the hot path may not do: allocate.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { connectFrame, dataFrame, H2Peer, settingsFrame, windowFrame } from '#lib/testkit/h2-peer.ts';
import { HeaderBlock } from './headers.ts';
import { SettingId } from './protocol.ts';
import type { H2Stream } from './stream.ts';

setFlagsFromString('--expose-gc');
// Code is optimised when it is due, not when another thread gets round to it.
setFlagsFromString('--no-concurrent-recompilation');
const collect = runInNewContext('gc') as () => void;

/** Bytes of heap that `body` allocates: what the young generation has grown by, without a collection in between. */
function allocated(body: () => void): number {
  collect();
  const before = process.memoryUsage().heapUsed;
  body();
  return process.memoryUsage().heapUsed - before;
}

/** A server with one tunnel whose handler takes content at once, without writing it down. */
function tunnel(): { peer: H2Peer; stream: H2Stream } {
  const peer = H2Peer.ready('server', {}, settingsFrame([[SettingId.initialWindowSize, 1 << 30]]));
  peer.feed(connectFrame(1), windowFrame(0, 1 << 30));
  const stream = peer.stream(1);
  peer.connection.respond(stream, HeaderBlock.response(200), false);
  peer.recorder.onData = (own, _buffer, start, end) => peer.connection.consumed(own, end - start);
  return { peer, stream };
}

test('trap 22: neither a received nor a sent DATA frame allocates', () => {
  const { peer, stream } = tunnel();
  const frames = Buffer.concat(Array.from({ length: 1000 }, () => dataFrame(1, Buffer.alloc(64))));
  const header = Buffer.alloc(9);
  peer.output.reserve(4096);
  const round = (): void => {
    peer.connection.receive(frames, 0, frames.length - 40);
    peer.connection.receive(frames, frames.length - 40, frames.length);
    for (let i = 0; i < 1000; i++)
      peer.connection.writeDataHeader(header, 0, stream, Math.min(64, peer.connection.dataQuota(stream)), false);
    peer.output.offset = 0;
  };
  for (let i = 0; i < 300; i++) round();
  // The engine makes objects of its own now and then; frames that allocated would do so every time.
  let perFrame = Number.POSITIVE_INFINITY;
  for (let k = 0; k < 5 && perFrame >= 1; k++) {
    const octets = allocated(() => {
      for (let i = 0; i < 100; i++) round();
    });
    perFrame = Math.min(perFrame, octets / 200_000);
  }
  assert.ok(perFrame < 1, `${perFrame} octets a frame`);
});
