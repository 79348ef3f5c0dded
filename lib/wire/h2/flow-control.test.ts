// SPDX-License-Identifier: Apache-2.0
// Windows in both directions (RFC 9113 section 5.2), and what they promise about memory and neighbours.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  connectFrame,
  dataFrame,
  frame,
  H2Peer,
  headers,
  settingsAck,
  settingsFrame,
  windowFrame,
} from '#lib/testkit/h2-peer.ts';
import fc from '#lib/testkit/properties.ts';
import { HeaderBlock } from './headers.ts';
import { FrameType, MAX_31, PREFACE, SettingId } from './protocol.ts';
import type { H2Stream } from './stream.ts';

const bytes = (length: number): Buffer => Buffer.alloc(length, 0x61);

/** A server with open, answered tunnels 1, 3, 5, …; the peer's windows are HTTP/2's defaults unless given. */
function tunnels(count: number, peerWindow = 65_535, settings = {}): H2Peer {
  const peer = H2Peer.ready('server', settings, settingsFrame([[SettingId.initialWindowSize, peerWindow]]));
  for (let i = 0; i < count; i++) {
    peer.feed(connectFrame(2 * i + 1));
    peer.connection.respond(peer.stream(2 * i + 1), HeaderBlock.response(200), false);
  }
  peer.sent();
  peer.events();
  return peer;
}

/** Sends frames of at most the quota until it is 0; returns the octets. */
function drain(peer: H2Peer, stream: H2Stream, atMost = Number.MAX_SAFE_INTEGER): number {
  let sent = 0;
  for (let quota = peer.connection.dataQuota(stream); quota > 0 && sent < atMost; ) {
    const length = Math.min(quota, atMost - sent);
    peer.connection.writeDataHeader(Buffer.alloc(9), 0, stream, length, false);
    sent += length;
    quota = peer.connection.dataQuota(stream);
  }
  return sent;
}

describe('sending', () => {
  test('a stream may send what both windows and the frame size allow', () => {
    const peer = tunnels(2, 20_000);
    assert.equal(peer.connection.dataQuota(peer.stream(1)), 16_384);
    assert.equal(drain(peer, peer.stream(1)), 20_000);
    peer.feed(windowFrame(1, 5));
    assert.deepEqual(peer.events(), ['sendable 1']);
    assert.equal(peer.connection.dataQuota(peer.stream(1)), 5);
  });

  test('more than the quota is refused as a bug of the shell', () => {
    const peer = tunnels(1, 100);
    const write = (length: number): void =>
      peer.connection.writeDataHeader(Buffer.alloc(9), 0, peer.stream(1), length, false);
    assert.throws(() => write(101), { code: 'H2_QUOTA' });
    write(100);
    assert.throws(() => write(1), { code: 'H2_QUOTA' });
  });

  test('the header of a DATA frame is written in place', () => {
    const peer = tunnels(1);
    const buffer = Buffer.alloc(20, 0xee);
    peer.connection.writeDataHeader(buffer, 3, peer.stream(1), 1000, true);
    assert.equal(buffer.toString('hex'), `eeeeee0003e8000100000001${'ee'.repeat(8)}`);
    assert.ok(peer.stream(1).localEnded);
  });

  test('when the window of the connection opens, streams are woken in the order they began to wait', () => {
    const peer = tunnels(4, 1 << 20);
    assert.equal(drain(peer, peer.stream(1)), 65_535);
    for (const id of [5, 3, 7]) assert.equal(peer.connection.dataQuota(peer.stream(id)), 0);
    peer.feed(windowFrame(0, 100));
    assert.deepEqual(peer.events(), ['sendable 1', 'sendable 5', 'sendable 3', 'sendable 7']);
  });

  test('trap 17: streams that share a scarce connection window all get their turn', () => {
    const peer = tunnels(8, 1 << 20);
    const sent = new Map<number, number>();
    const serve = (_event: string, stream?: H2Stream): void => {
      sent.set(stream!.id, (sent.get(stream!.id) ?? 0) + drain(peer, stream!));
    };
    drain(peer, peer.stream(1));
    for (let i = 1; i < 8; i++) peer.connection.dataQuota(peer.stream(2 * i + 1));
    peer.recorder.react = serve;
    for (let i = 0; i < 80; i++) peer.feed(windowFrame(0, 1000));
    assert.deepEqual([...sent.values()], new Array(8).fill(10_000));
  });

  test('a stream that waits for its own window is not woken by the connection', () => {
    const peer = tunnels(2, 1000);
    drain(peer, peer.stream(1));
    peer.feed(windowFrame(0, 100));
    assert.deepEqual(peer.events(), []);
    peer.feed(windowFrame(1, 7));
    assert.deepEqual(peer.events(), ['sendable 1']);
  });

  test('a stream whose window opens while the connection has none waits for the connection', () => {
    const peer = tunnels(2, 65_535);
    drain(peer, peer.stream(1));
    peer.feed(windowFrame(1, 100));
    assert.deepEqual(peer.events(), []);
    peer.feed(windowFrame(0, 50));
    assert.deepEqual(peer.events(), ['sendable 1']);
    assert.equal(peer.connection.dataQuota(peer.stream(1)), 50);
  });

  test('SETTINGS_INITIAL_WINDOW_SIZE shifts open streams, below zero too', () => {
    const peer = tunnels(1, 1000);
    assert.equal(drain(peer, peer.stream(1)), 1000);
    peer.feed(settingsFrame([[SettingId.initialWindowSize, 100]]));
    assert.equal(peer.stream(1).sendWindow, -900);
    peer.feed(windowFrame(1, 900));
    assert.equal(peer.connection.dataQuota(peer.stream(1)), 0);
    peer.events();
    peer.feed(settingsFrame([[SettingId.initialWindowSize, 101]]));
    assert.deepEqual(peer.events(), ['sendable 1', 'settings']);
    assert.equal(peer.connection.dataQuota(peer.stream(1)), 1);
  });

  test('windows that would overflow are errors: of the stream, of the connection', () => {
    const peer = tunnels(2);
    peer.feed(windowFrame(1, MAX_31));
    assert.deepEqual(peer.sent(), ['rst 1 FLOW_CONTROL_ERROR']);
    peer.feed(windowFrame(0, MAX_31));
    assert.deepEqual(peer.sent(), ['goaway 3 FLOW_CONTROL_ERROR']);
    const shifted = tunnels(1, 1000).feed(windowFrame(1, MAX_31 - 1000));
    shifted.feed(settingsFrame([[SettingId.initialWindowSize, 1001]]));
    assert.equal(shifted.sent().at(-1), 'goaway 1 FLOW_CONTROL_ERROR');
  });

  test('a stream that has ended while it waited is not told to send', () => {
    const peer = tunnels(1, 1000);
    drain(peer, peer.stream(1));
    peer.connection.endStream(peer.stream(1));
    peer.feed(windowFrame(1, 7));
    assert.deepEqual(peer.events(), []);
  });

  test('a stream that is reset while it waits is forgotten', () => {
    const peer = tunnels(3, 1 << 20);
    drain(peer, peer.stream(1));
    for (const id of [3, 5]) peer.connection.dataQuota(peer.stream(id));
    peer.connection.resetStream(peer.stream(3), 8);
    peer.feed(windowFrame(0, 10));
    assert.deepEqual(peer.events(), ['sendable 1', 'sendable 5']);
  });
});

describe('receiving', () => {
  test('the connection gets its credit back on receipt, the stream on delivery', () => {
    const peer = tunnels(1, 65_535, { initialWindowSize: 100_000, connectionWindow: 200_000 });
    peer.feed(dataFrame(1, bytes(60_000)));
    assert.deepEqual(peer.sent(), ['window 0 60000']);
    peer.connection.consumed(peer.stream(1), 20_000);
    assert.deepEqual(peer.sent(), []); // not worth a frame yet
    peer.connection.consumed(peer.stream(1), 10_000);
    assert.deepEqual(peer.sent(), ['window 1 30000']);
    assert.equal(peer.stream(1).undelivered, 30_000);
  });

  test('trap 13: a stopped reader pins its own window and nothing else', () => {
    const peer = tunnels(8, 65_535, { initialWindowSize: 65_536, connectionWindow: 1 << 20 });
    for (let i = 0; i < 7; i++) for (let part = 0; part < 4; part++) peer.feed(dataFrame(2 * i + 1, bytes(16_384))); // seven that nobody reads
    const good = peer.stream(15);
    for (let i = 0; i < 1000; i++) {
      peer.feed(dataFrame(15, bytes(16_384)));
      peer.connection.consumed(good, 16_384);
    }
    assert.ok(!peer.connection.ended);
    assert.ok(!good.closed);
    let pinned = 0;
    peer.connection.forEachStream((stream) => {
      pinned += stream.undelivered;
    });
    assert.equal(pinned, 7 * 65_536);
    peer.sent();
    peer.feed(dataFrame(1, bytes(1)));
    assert.deepEqual(peer.sent(), ['rst 1 FLOW_CONTROL_ERROR']);
  });

  test('trap 13: a window starts small and grows for a reader that drains', () => {
    const peer = tunnels(1, 65_535, { initialWindowSize: 65_535 });
    peer.connection.setStreamWindow(peer.stream(1), 1 << 20);
    assert.deepEqual(peer.sent(), [`window 1 ${(1 << 20) - 65_535}`]);
    peer.feed(dataFrame(1, bytes(500_000)));
    assert.equal(peer.stream(1).undelivered, 500_000);
    peer.connection.consumed(peer.stream(1), 500_000);
    assert.equal(peer.stream(1).recvWindow, 1 << 20);
  });

  test('a window that is made smaller gives no credit until it is that small', () => {
    const peer = tunnels(1, 65_535, { initialWindowSize: 100_000, connectionWindow: 16 << 20 });
    peer.connection.setStreamWindow(peer.stream(1), 20_000);
    peer.feed(dataFrame(1, bytes(85_000)));
    peer.connection.consumed(peer.stream(1), 85_000);
    assert.deepEqual(peer.sent(), ['window 1 5000']);
    assert.equal(peer.stream(1).recvWindow, 20_000);
  });

  test('before our SETTINGS are acknowledged the peer has the default window, then ours', () => {
    const peer = new H2Peer('server', { initialWindowSize: 1_000_000 }).feed(PREFACE, settingsFrame([]));
    peer.feed(connectFrame(1));
    assert.equal(peer.stream(1).recvWindow, 65_535);
    peer.feed(dataFrame(1, bytes(60_000)), settingsAck());
    assert.equal(peer.stream(1).recvWindow, 1_000_000 - 60_000);
    peer.feed(connectFrame(3));
    assert.equal(peer.stream(3).recvWindow, 1_000_000);
  });

  test('DATA beyond a window is an error: of the stream, of the connection', () => {
    const peer = tunnels(1, 65_535, { initialWindowSize: 100, connectionWindow: 65_535 });
    peer.feed(dataFrame(1, bytes(101)));
    assert.deepEqual(peer.sent(), ['rst 1 FLOW_CONTROL_ERROR']);
    peer.feed(dataFrame(1, bytes(65_536)));
    assert.deepEqual(peer.sent(), ['goaway 1 FLOW_CONTROL_ERROR']);
  });

  test('DATA for a stream that was reset still counts for the connection, and its credit returns', () => {
    const peer = tunnels(1, 65_535, { connectionWindow: 100_000 });
    peer.connection.resetStream(peer.stream(1), 8);
    peer.sent();
    for (let i = 0; i < 50; i++) peer.feed(dataFrame(1, bytes(16_384)));
    assert.ok(!peer.connection.ended);
    const credit = peer.sent().reduce((sum, line) => sum + Number(line.split(' ')[2]), 0);
    assert.ok(credit > 50 * 16_384 - 25_000);
  });

  test('a stream that the peer has ended gets no more credit', () => {
    const peer = tunnels(1);
    peer.feed(dataFrame(1, bytes(30_000), true));
    peer.connection.consumed(peer.stream(1), 30_000);
    assert.deepEqual(peer.sent(), []);
  });

  test('padding is paid back', () => {
    const peer = tunnels(1, 65_535, { initialWindowSize: 1000, connectionWindow: 65_535 });
    const padded = Buffer.concat([Buffer.from([250]), bytes(1), Buffer.alloc(250)]);
    for (let i = 0; i < 500; i++) {
      peer.feed(frame(FrameType.data, 0x08, 1, padded));
      peer.connection.consumed(peer.stream(1), 1);
    }
    assert.ok(!peer.stream(1).closed);
    assert.ok(!peer.connection.ended);
  });
});

test("two engines never break each other's windows, whatever is sent, consumed and resized in whatever order", () => {
  const action = fc.record({
    kind: fc.constantFrom('send', 'consume', 'resize', 'exchange'),
    side: fc.constantFrom('client', 'server'),
    stream: fc.integer({ min: 0, max: 3 }),
    size: fc.integer({ min: 0, max: 200_000 }),
  });
  fc.assert(
    fc.property(fc.array(action, { maxLength: 120 }), (actions) => {
      const settings = { initialWindowSize: 70_000, connectionWindow: 150_000 };
      const pair = { client: new H2Peer('client', settings), server: new H2Peer('server', settings) };
      const other = { client: pair.server, server: pair.client };
      const exchange = (): void => {
        for (let i = 0; i < 4; i++)
          for (const side of ['client', 'server'] as const) {
            const moved = Buffer.from(pair[side].output.take());
            other[side].connection.receive(moved, 0, moved.length);
          }
      };
      exchange();
      const streams = Array.from({ length: 4 }, () =>
        pair.client.connection.request(HeaderBlock.request('CONNECT', '', 'a:1', ''), false),
      );
      exchange();
      for (const stream of streams)
        pair.server.connection.respond(pair.server.stream(stream!.id), HeaderBlock.response(200), false);
      exchange();
      for (const { kind, side, stream, size } of actions) {
        const peer = pair[side];
        const own = side === 'client' ? streams[stream]! : peer.stream(streams[stream]!.id);
        if (kind === 'send') peer.connection.writeData(own, bytes(size), 0, size, false);
        else if (kind === 'consume') peer.connection.consumed(own, Math.min(size, own.undelivered));
        else if (kind === 'resize') peer.connection.setStreamWindow(own, size);
        else exchange();
      }
      exchange();
      for (const peer of [pair.client, pair.server])
        assert.ok(!peer.recorder.lines.some((line) => /error|reset/.test(line)), peer.recorder.lines.join('\n'));
      for (let i = 0; i < 4; i++) {
        const theirs = pair.server.stream(streams[i]!.id);
        assert.equal(streams[i]!.sendWindow, theirs.recvWindow);
        assert.equal(theirs.sendWindow, streams[i]!.recvWindow);
      }
    }),
    { numRuns: 200 },
  );
});

test('an answer without content leaves the windows alone', () => {
  const peer = H2Peer.ready('server').feed(
    headers(
      1,
      [
        [':method', 'GET'],
        [':scheme', 'http'],
        [':path', '/'],
      ],
      true,
    ),
  );
  peer.connection.respond(peer.stream(1), HeaderBlock.response(204), true);
  assert.deepEqual(peer.sent(), ['headers 1 :status=204 end']);
});
