// SPDX-License-Identifier: Apache-2.0
// Fuzzes the engine in both roles with frames gone wrong: whatever comes, its output stays well-formed, its windows
// stay in range, and the split of the input does not matter.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { fuzz } from '#lib/testkit/fuzz.ts';
import {
  block,
  CONNECT,
  connectFrame,
  dataFrame,
  frame,
  GET,
  H2Peer,
  headers,
  parseFrames,
  resetFrame,
  settingsAck,
  settingsFrame,
  uint32,
  windowFrame,
} from '#lib/testkit/h2-peer.ts';
import type { Role } from './connection.ts';
import { HeaderBlock } from './headers.ts';
import { FrameType, MAX_31, PREFACE } from './protocol.ts';

const frames = [
  settingsFrame([
    [3, 10],
    [4, 1000],
    [5, 20_000],
  ]),
  connectFrame(1),
  headers(3, GET, true),
  headers(3, [[':status', '200']]),
  headers(1, [['x-sum', '1']], true),
  dataFrame(1, Buffer.from('hello')),
  frame(FrameType.data, 0x09, 3, '03 6869 000000'),
  windowFrame(0, 100),
  windowFrame(1, 1),
  resetFrame(1, 8),
  frame(FrameType.ping, 0, 0, '0102030405060708'),
  frame(FrameType.priority, 0, 5, '0000000110'),
  frame(FrameType.goaway, 0, 0, Buffer.concat([uint32(3), uint32(0)])),
  frame(FrameType.headers, 1, 5, block(CONNECT).subarray(0, 6)),
  frame(FrameType.continuation, 4, 5, block(CONNECT).subarray(6)),
];

/** Runs the input through an engine, in one piece or in pieces of `step`. */
function play(role: Role, input: Buffer, step: number): { events: string; sent: Buffer } {
  const peer = new H2Peer(role);
  peer.recorder.react = (event, stream) => {
    if (event !== 'headers' || stream === undefined || stream.headersSent || role === 'client') return;
    peer.connection.respond(stream, HeaderBlock.response(200), false);
    peer.connection.writeData(stream, Buffer.alloc(3000), 0, 3000, stream.remoteEnded);
  };
  if (role === 'client')
    for (let i = 0; i < 3; i++) peer.connection.request(HeaderBlock.request('CONNECT', '', 'a:1', ''), false);
  else peer.feed(PREFACE);
  for (let at = 0; at < input.length; at += step) peer.connection.receive(input, at, Math.min(input.length, at + step));
  peer.connection.forEachStream((stream) => {
    assert.ok(stream.sendWindow <= MAX_31 && stream.recvWindow >= 0 && stream.undelivered >= 0);
    assert.ok(!stream.closed);
  });
  return { events: peer.events().join('\n'), sent: Buffer.from(peer.output.take()) };
}

const isRefusal = (line: string): boolean => line.startsWith('error') || line.startsWith('refused');

for (const role of ['server', 'client'] as const)
  fuzz({
    name: `a ${role} survives any bytes, answers in whole frames, and does not care how they are cut`,
    corpus: join(import.meta.dirname, 'testdata', role),
    seeds: [
      Buffer.concat([settingsFrame([]), settingsAck(), ...frames]),
      ...frames.map((one) => Buffer.concat([settingsFrame([]), connectFrame(1), headers(3, GET), one])),
    ],
    run(input) {
      const whole = play(role, input, input.length + 1);
      parseFrames(whole.sent);
      const cut = play(role, input, 7);
      assert.equal(cut.events, whole.events);
      assert.ok(cut.sent.equals(whole.sent), 'it answers otherwise when the input is cut');
      const lines = whole.events.split('\n');
      return [...lines.slice(-4).map((line) => line.split(' ', 1)[0]), lines.findLast(isRefusal)].join(' ');
    },
  });
