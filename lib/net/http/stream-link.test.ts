// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Loop } from '#lib/loop/loop.ts';
import { connectFrame, dataFrame, H2Peer, resetFrame } from '#lib/testkit/h2-peer.ts';
import { ErrorCode } from '#lib/wire/h2/protocol.ts';
import type { Session } from '../session.ts';
import { HttpBench } from './bench.ts';
import type { LinkOwner } from './link.ts';
import { StreamLink } from './stream-link.ts';

/** A stream of a tunnel whose client has said `last` and has then reset it without an error, in one go. */
function fixture() {
  const loop = new Loop({ spin: false });
  const bench = new HttpBench(loop);
  const peer = H2Peer.ready('server').feed(connectFrame(1));
  const stream = peer.recorder.streams.get(1)!;
  let gone = 0;
  const session = { h2: peer.connection, wantsToSend: () => {}, streamGone: () => gone++ } as unknown as Session;
  const heard: string[] = [];
  const owner: LinkOwner = {
    onBytes: (_, arena, start, end) => heard.push(arena.bytes.toString('latin1', start, end)),
    onFin: () => heard.push('fin'),
    onBroken: (_, cause) => heard.push(cause),
    onDrained: () => heard.push('drained'),
  };
  const link = new StreamLink(bench, session, stream, owner);
  const wantsNoMore = (): void => {
    peer.feed(dataFrame(1, Buffer.from('last'), true), resetFrame(1, ErrorCode.noError));
    link.onData(0, bench.receive.bytes.write('last'), true);
    link.onReset(ErrorCode.noError);
    loop.turn(0);
  };
  /** What the session does when it sends. */
  const fill = (): number => link.fill(bench.staging, 0, bench.staging.size, bench.staging.size);
  const write = (): void => link.transmit(bench.receive, 0, 100);
  return { fill, gone: () => gone, heard, link, loop, wantsNoMore, write };
}

test('a peer that has said all and wants no more is heard out, and our end is not written to a stream that is closed', () => {
  const { fill, gone, heard, link, loop, wantsNoMore } = fixture();
  wantsNoMore();
  assert.deepEqual(heard, ['last', 'fin']);
  assert.equal(gone(), 0, 'our side has not ended yet');
  link.finish();
  assert.equal(fill(), 0);
  assert.equal(gone(), 1);
  loop.dispose();
});

test('our end may be on its way when the peer wants no more', () => {
  const { fill, gone, heard, link, loop, wantsNoMore } = fixture();
  link.finish();
  wantsNoMore();
  assert.equal(fill(), 0);
  assert.deepEqual(heard, ['last', 'fin']);
  assert.equal(gone(), 1);
  loop.dispose();
});

test('what waited for such a peer is dropped, and whoever goes on writing to it learns that it is gone', () => {
  const { fill, gone, heard, link, loop, wantsNoMore, write } = fixture();
  write();
  assert.equal(link.backlog, 100);
  wantsNoMore();
  assert.deepEqual([link.backlog, fill(), ...heard], [0, 0, 'last', 'fin', 'drained']);
  write();
  loop.turn(0);
  assert.equal(heard.at(-1), 'stream reset by peer: it wants no more');
  assert.equal(gone(), 1);
  loop.dispose();
});

test('a paused owner hears all of it later, and closing is over at once', () => {
  const { gone, heard, link, loop, wantsNoMore } = fixture();
  link.pause();
  wantsNoMore();
  assert.deepEqual(heard, []);
  link.resume();
  loop.turn(0);
  assert.deepEqual(heard, ['last', 'fin']);
  link.close();
  assert.equal(gone(), 1);
  loop.dispose();
});
