// SPDX-License-Identifier: Apache-2.0
// The life of connections and streams, frame by frame.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
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
} from '#lib/testkit/h2-peer.ts';
import { HeaderBlock } from './headers.ts';
import { ErrorCode, FrameType, MAX_31, PREFACE, SettingId } from './protocol.ts';

const tunnel = (): HeaderBlock => HeaderBlock.request('CONNECT', '', '10.1.2.3:80', '');
const okAnswer = (): HeaderBlock => HeaderBlock.response(200);

describe('start', () => {
  test('a client sends preface, SETTINGS and the window of the connection', () => {
    const peer = new H2Peer('client');
    const bytes = Buffer.from(peer.output.take());
    assert.ok(bytes.subarray(0, PREFACE.length).equals(PREFACE));
    const settings = bytes.subarray(PREFACE.length + 9, PREFACE.length + 9 + 24).toString('hex');
    assert.equal(settings, '000200000000' + '000400400000' + '000500100000' + '000600004000');
    assert.equal(bytes.subarray(-4).readUInt32BE(), (16 << 20) - 65_535);
  });

  test('a server announces 200 streams and does not speak of push', () => {
    const [settings] = new H2Peer('server').frames();
    assert.equal(settings!.payload.toString('hex'), '0003000000c8' + '000400400000' + '000500100000' + '000600010000');
  });

  test('a server ends a connection that does not begin with the preface', () => {
    const peer = new H2Peer('server').feed(Buffer.from('GET / HTTP/1.1\r\n'));
    assert.deepEqual(peer.events(), ['error PROTOCOL_ERROR: the client preface is missing']);
    assert.equal(peer.sent().at(-1), 'goaway 0 PROTOCOL_ERROR');
    assert.ok(peer.connection.ended);
  });

  test('the first frame must be SETTINGS, for both roles', () => {
    for (const role of ['client', 'server'] as const) {
      const peer = new H2Peer(role);
      if (role === 'server') peer.feed(PREFACE);
      peer.feed(frame(FrameType.ping, 0, 0, '0000000000000000'));
      assert.deepEqual(peer.events(), ['error PROTOCOL_ERROR: the first frame is not SETTINGS']);
    }
  });

  test('SETTINGS are acknowledged and applied', () => {
    const peer = new H2Peer('client');
    peer.sent();
    peer.feed(
      settingsFrame([
        [SettingId.maxConcurrentStreams, 3],
        [SettingId.initialWindowSize, 1000],
        [SettingId.maxFrameSize, 20_000],
        [0x1234, 5],
      ]),
    );
    assert.deepEqual(peer.sent(), ['settings ack']);
    assert.deepEqual(peer.events(), ['settings']);
    const { maxConcurrentStreams, initialWindowSize, maxFrameSize } = peer.connection.peer;
    assert.deepEqual([maxConcurrentStreams, initialWindowSize, maxFrameSize], [3, 1000, 20_000]);
  });

  test('SETTINGS with a value that is not allowed end the connection', () => {
    const rows: readonly (readonly [number, number, string])[] = [
      [SettingId.enablePush, 2, 'PROTOCOL_ERROR'],
      [SettingId.initialWindowSize, 0x8000_0000, 'FLOW_CONTROL_ERROR'],
      [SettingId.maxFrameSize, 16_383, 'PROTOCOL_ERROR'],
      [SettingId.maxFrameSize, 16_777_216, 'PROTOCOL_ERROR'],
      [SettingId.enableConnectProtocol, 2, 'PROTOCOL_ERROR'],
    ];
    for (const [id, value, code] of rows) {
      const peer = new H2Peer('server').feed(PREFACE, settingsFrame([[id, value]]));
      assert.match(peer.events().at(-1)!, new RegExp(`^error ${code}: SETTINGS_[A-Z_]+ of ${value} is not allowed`));
    }
  });
});

describe('server', () => {
  test('a tunnel is opened, carries both ways, and each side ends on its own', () => {
    const peer = H2Peer.ready('server').feed(connectFrame(1), dataFrame(1, Buffer.from('hi')));
    assert.deepEqual(peer.events(), ['headers 1 CONNECT 10.1.2.3:80', 'data 1 6869']);
    const stream = peer.stream(1);
    peer.connection.respond(stream, okAnswer().add('baggage', 'a=b'), false);
    assert.equal(peer.connection.writeData(stream, Buffer.from('hello'), 0, 5, false), 5);
    peer.feed(dataFrame(1, Buffer.alloc(0), true));
    assert.deepEqual(peer.events(), ['data 1  end']);
    assert.ok(!stream.closed);
    peer.connection.endStream(stream);
    assert.ok(stream.closed);
    assert.equal(peer.connection.openStreams, 0);
    assert.deepEqual(peer.sent(), ['headers 1 :status=200 baggage=a=b', 'data 1 5', 'data 1 0 end']);
  });

  test('an error status ends our side; the reset that follows tells the client to stop', () => {
    const peer = H2Peer.ready('server').feed(connectFrame(1));
    const stream = peer.stream(1);
    peer.connection.respond(stream, HeaderBlock.response(503), true);
    peer.connection.resetStream(stream, ErrorCode.noError);
    assert.deepEqual(peer.sent(), ['headers 1 :status=503 end', 'rst 1 NO_ERROR']);
    peer.events();
    peer.feed(dataFrame(1, Buffer.from('late')), resetFrame(1, ErrorCode.cancel));
    assert.deepEqual(peer.events(), []);
    assert.deepEqual(peer.sent(), []);
  });

  test('informational answers may come before the answer proper', () => {
    const peer = H2Peer.ready('server').feed(headers(1, GET, true));
    peer.connection.respond(peer.stream(1), HeaderBlock.response(103), false);
    peer.connection.respond(peer.stream(1), okAnswer(), false);
    peer.connection.trailers(peer.stream(1), new HeaderBlock().add('grpc-status', '0'));
    assert.deepEqual(peer.sent(), ['headers 1 :status=103', 'headers 1 :status=200', 'headers 1 grpc-status=0 end']);
    assert.ok(peer.stream(1).closed);
  });

  test('trailers end a request; a second header section that does not is refused', () => {
    const peer = H2Peer.ready('server').feed(headers(1, GET), headers(1, [['x-sum', '1']], true));
    assert.deepEqual(peer.events(), ['headers 1 GET shop /', 'headers 1 x-sum=1 end']);
    peer.feed(headers(3, GET), headers(3, [['x-sum', '1']]));
    assert.deepEqual(peer.events(), ['headers 3 GET shop /', 'reset 3 PROTOCOL_ERROR']);
  });

  test('a tunnel has no trailers', () => {
    const peer = H2Peer.ready('server').feed(connectFrame(1), headers(1, [['x-sum', '1']], true));
    assert.deepEqual(peer.sent(), ['rst 1 PROTOCOL_ERROR']);
  });

  test('more streams than announced are refused, and may be tried again elsewhere', () => {
    const peer = H2Peer.ready('server', { maxConcurrentStreams: 2 });
    peer.feed(connectFrame(1), connectFrame(3), connectFrame(5));
    assert.deepEqual(peer.sent(), ['rst 5 REFUSED_STREAM']);
    assert.equal(peer.events().at(-1), 'refused 5 REFUSED_STREAM: too many concurrent streams');
    peer.feed(resetFrame(1, ErrorCode.cancel), connectFrame(7));
    assert.deepEqual(peer.events(), ['reset 1 CANCEL', 'headers 7 CONNECT 10.1.2.3:80']);
  });

  test('frames on streams in the wrong state get the errors of RFC 9113 section 5.1', () => {
    const late = (...parts: Buffer[]): string => {
      const peer = H2Peer.ready('server').feed(headers(5, GET, true));
      peer.connection.respond(peer.stream(5), okAnswer(), true);
      peer.sent();
      return peer
        .feed(...parts)
        .sent()
        .join(', ');
    };
    assert.equal(late(dataFrame(5, Buffer.from('x'))), 'goaway 5 STREAM_CLOSED');
    assert.equal(late(headers(5, GET, true)), 'goaway 5 STREAM_CLOSED');
    assert.equal(late(headers(3, GET, true)), 'goaway 5 PROTOCOL_ERROR');
    assert.equal(late(headers(2, GET, true)), 'goaway 5 PROTOCOL_ERROR');
    assert.equal(late(dataFrame(7, Buffer.from('x'))), 'goaway 5 PROTOCOL_ERROR');
    assert.equal(late(resetFrame(7, 8)), 'goaway 5 PROTOCOL_ERROR');
    assert.equal(late(frame(FrameType.windowUpdate, 0, 7, uint32(1))), 'goaway 5 PROTOCOL_ERROR');
    assert.equal(late(frame(FrameType.windowUpdate, 0, 5, uint32(1))), '');
    assert.equal(late(resetFrame(5, 8)), '');
    assert.equal(late(frame(FrameType.priority, 0, 9, '0000000010')), '');
  });

  test('DATA after END_STREAM resets the stream, if our side is still open', () => {
    const peer = H2Peer.ready('server').feed(headers(1, GET, true), dataFrame(1, Buffer.from('x')));
    assert.deepEqual(peer.sent(), ['rst 1 STREAM_CLOSED']);
  });

  test('content must be as long as content-length says', () => {
    const length = (value: string): (readonly [string, string])[] => [...GET, ['content-length', value]];
    const outcome = (...parts: Buffer[]): string =>
      H2Peer.ready('server')
        .feed(...parts)
        .events()
        .at(-1)!;
    assert.equal(outcome(headers(1, length('2')), dataFrame(1, Buffer.from('ab'), true)), 'data 1 6162 end');
    assert.equal(outcome(headers(1, length('2')), dataFrame(1, Buffer.from('abc'))), 'reset 1 PROTOCOL_ERROR');
    assert.equal(outcome(headers(1, length('2')), dataFrame(1, Buffer.from('a'), true)), 'reset 1 PROTOCOL_ERROR');
    assert.match(outcome(headers(1, length('2'), true)), /refused 1 PROTOCOL_ERROR: content-length/);
    assert.equal(
      outcome(headers(1, length('2')), dataFrame(1, Buffer.from('a')), headers(1, [['x', 'y']], true)),
      'reset 1 PROTOCOL_ERROR',
    );
    assert.equal(outcome(headers(1, length('0'), true)), 'headers 1 GET shop / content-length=0 end');
  });

  test('a header list above the limit is answered 431 and the tables stay in step', () => {
    const peer = H2Peer.ready('server', { maxHeaderListSize: 300 });
    peer.feed(headers(1, [...GET, ['x-big', 'v'.repeat(400)]], true));
    assert.deepEqual(peer.sent(), ['headers 1 :status=431 end', 'rst 1 NO_ERROR']);
    assert.deepEqual(peer.events(), ['refused 1 NO_ERROR: the header list is too large']);
    peer.feed(headers(3, GET, true));
    assert.deepEqual(peer.events(), ['headers 3 GET shop / end']);
  });

  test('a broken header block ends the connection with COMPRESSION_ERROR', () => {
    const peer = H2Peer.ready('server').feed(frame(FrameType.headers, 5, 1, 'ff'));
    assert.deepEqual(peer.sent(), ['goaway 0 COMPRESSION_ERROR']);
  });

  test('a graceful shutdown warns, waits a round trip, names the last stream, and drains', () => {
    const peer = H2Peer.ready('server').feed(connectFrame(1));
    peer.events();
    peer.connection.gracefulShutdown();
    const [goaway, ping] = peer.frames();
    assert.equal(goaway!.payload.readUInt32BE(), MAX_31);
    assert.equal(ping!.type, FrameType.ping);
    peer.feed(connectFrame(3)); // was under way
    assert.deepEqual(peer.events(), ['headers 3 CONNECT 10.1.2.3:80']);
    peer.feed(frame(FrameType.ping, 1, 0, ping!.payload));
    assert.deepEqual(peer.sent(), ['goaway 3 NO_ERROR']);
    peer.feed(connectFrame(5), dataFrame(5, Buffer.from('x')), resetFrame(5, 8)); // too late: not answered
    assert.deepEqual(peer.events(), []);
    peer.feed(resetFrame(1, ErrorCode.cancel));
    assert.deepEqual(peer.events(), ['reset 1 CANCEL']);
    peer.connection.endStream(peer.stream(3));
    peer.feed(dataFrame(3, Buffer.alloc(0), true));
    assert.deepEqual(peer.events(), ['data 3  end', 'drained']);
  });

  test('a graceful shutdown without streams drains after the round trip', () => {
    const peer = H2Peer.ready('server');
    peer.connection.gracefulShutdown();
    peer.feed(frame(FrameType.ping, 1, 0, peer.frames()[1]!.payload));
    assert.deepEqual(peer.events(), ['drained']);
  });

  test('goaway ends the connection at once', () => {
    const peer = H2Peer.ready('server').feed(connectFrame(1));
    peer.events();
    peer.connection.goaway(ErrorCode.noError);
    assert.deepEqual(peer.sent(), ['goaway 1 NO_ERROR']);
    peer.feed(dataFrame(1, Buffer.from('x')), connectFrame(3));
    assert.deepEqual(peer.events(), []);
    peer.connection.respond(peer.stream(1), okAnswer(), false);
    assert.equal(peer.connection.dataQuota(peer.stream(1)), 0);
    assert.deepEqual(peer.sent(), []);
  });

  test('our own PING comes back as a number; the peer has its PING answered', () => {
    const peer = H2Peer.ready('server');
    peer.connection.ping(77);
    const [ping] = peer.frames();
    peer.feed(frame(FrameType.ping, 1, 0, ping!.payload), frame(FrameType.ping, 0, 0, '0102030405060708'));
    assert.deepEqual(peer.events(), ['pong 77']);
    assert.deepEqual(peer.sent(), ['pong 0102030405060708']);
  });

  test('padding and priority are skipped, and padding counts for nothing', () => {
    const peer = H2Peer.ready('server');
    const block = headers(1, CONNECT).subarray(9);
    const padded = Buffer.concat([Buffer.from([3]), Buffer.from('0000000010', 'hex'), block, Buffer.alloc(3)]);
    peer.feed(frame(FrameType.headers, 0x04 | 0x08 | 0x20, 1, padded));
    peer.feed(frame(FrameType.data, 0x08, 1, '04 6869 00000000'), frame(FrameType.data, 0x09, 1, '02 0000'));
    assert.deepEqual(peer.events(), ['headers 1 CONNECT 10.1.2.3:80', 'data 1 6869 end']);
    assert.equal(peer.stream(1).undelivered, 2);
  });

  test('a stream that depends on itself is refused', () => {
    const peer = H2Peer.ready('server');
    const block = headers(1, GET).subarray(9);
    peer.feed(frame(FrameType.headers, 0x24, 1, Buffer.concat([Buffer.from('0000000110', 'hex'), block])));
    assert.deepEqual(peer.sent(), ['rst 1 PROTOCOL_ERROR']);
  });
});

describe('client', () => {
  test('streams are numbered 1, 3, 5 and limited by what the server announced', () => {
    const peer = H2Peer.ready('client', {}, settingsFrame([[SettingId.maxConcurrentStreams, 2]]));
    const first = peer.connection.request(tunnel(), false);
    const second = peer.connection.request(tunnel(), false);
    assert.deepEqual([first?.id, second?.id], [1, 3]);
    assert.equal(peer.connection.availableStreams, 0);
    assert.equal(peer.connection.request(tunnel(), false), null);
    peer.connection.resetStream(first!, ErrorCode.cancel);
    assert.equal(peer.connection.request(tunnel(), false)?.id, 5);
  });

  test("before the server's SETTINGS a hundred streams are assumed", () => {
    const peer = new H2Peer('client');
    assert.equal(peer.connection.availableStreams, 100);
    peer.feed(settingsFrame([]));
    assert.equal(peer.connection.availableStreams, MAX_31);
  });

  test('GOAWAY hands back the streams that will not be served', () => {
    const peer = H2Peer.ready('client');
    for (let i = 0; i < 3; i++) peer.connection.request(tunnel(), false);
    peer.feed(frame(FrameType.goaway, 0, 0, Buffer.concat([uint32(3), uint32(0), Buffer.from('debug data')])));
    assert.deepEqual(peer.events(), ['goaway 3 NO_ERROR', 'reset 5 REFUSED_STREAM']);
    assert.equal(peer.connection.openStreams, 2);
    assert.equal(peer.connection.request(tunnel(), false), null);
  });

  test('a refused or informational answer is passed on, a malformed one resets the stream', () => {
    const peer = H2Peer.ready('client');
    for (let i = 0; i < 4; i++) peer.connection.request(tunnel(), false);
    peer.feed(headers(1, [[':status', '100']]), headers(1, [[':status', '503']], true));
    peer.feed(headers(3, [[':status', '99']]), headers(5, [[':status', '100']], true), headers(7, GET));
    assert.deepEqual(peer.events(), [
      'headers 1 100',
      'headers 1 503 end',
      'reset 3 PROTOCOL_ERROR',
      'reset 5 PROTOCOL_ERROR',
      'reset 7 PROTOCOL_ERROR',
    ]);
  });

  test('content before the answer, pushes and streams of the server are violations', () => {
    const early = H2Peer.ready('client');
    early.connection.request(tunnel(), false);
    early.feed(dataFrame(1, Buffer.from('x')));
    assert.deepEqual(early.events(), ['reset 1 PROTOCOL_ERROR']);
    for (const bytes of [frame(FrameType.pushPromise, 4, 1, '00000002'), headers(2, GET), headers(9, GET)]) {
      const peer = H2Peer.ready('client').feed(bytes);
      assert.match(peer.events()[0]!, /^error PROTOCOL_ERROR/);
    }
  });

  test('the answer to HEAD and to CONNECT has no content whatever content-length says', () => {
    const peer = H2Peer.ready('client');
    peer.connection.request(HeaderBlock.request('HEAD', 'https', 'a', '/'), true);
    peer.connection.request(tunnel(), false);
    const answer: (readonly [string, string])[] = [
      [':status', '200'],
      ['content-length', '9'],
    ];
    peer.feed(headers(1, answer, true), headers(3, answer), dataFrame(3, Buffer.from('x'), true));
    assert.deepEqual(peer.events(), [
      'headers 1 200 content-length=9 end',
      'headers 3 200 content-length=9',
      'data 3 78 end',
    ]);
  });

  test('stream numbers run out without wrapping', () => {
    const peer = H2Peer.ready('client');
    for (let i = 0; i < 3; i++) {
      const stream = peer.connection.request(tunnel(), false)!;
      peer.connection.resetStream(stream, ErrorCode.cancel);
    }
    assert.equal(peer.connection.request(tunnel(), false)!.id, 7);
  });

  test('a header section above the frame size goes out as HEADERS and CONTINUATION', () => {
    const peer = H2Peer.ready('client');
    peer.connection.request(tunnel().add('x-big', '\u00ff'.repeat(40_000)), false);
    const sent = peer.frames();
    assert.deepEqual(
      sent.map(({ type, flags, payload }) => [type, flags, payload.length <= 16_384]),
      [
        [FrameType.headers, 0, true],
        [FrameType.continuation, 0, true],
        [FrameType.continuation, 4, true],
      ],
    );
    const server = H2Peer.ready('server');
    for (const { type, flags, streamId, payload } of sent)
      server.feed(frame(type, flags, streamId, Buffer.from(payload)));
    assert.equal(server.events()[0], `headers 1 CONNECT 10.1.2.3:80 x-big=${'\u00ff'.repeat(40_000)}`);
  });

  test('requests without room in the output fail, and nothing else happens', () => {
    const peer = H2Peer.ready('client');
    const big = tunnel().add('x-big', '\u00ff'.repeat(2 << 20));
    assert.equal(peer.connection.request(big, false), null);
    assert.equal(peer.connection.openStreams, 0);
    assert.ok(!peer.connection.ended);
    assert.equal(peer.connection.request(tunnel(), false)?.id, 1);
  });
});

test('a peer that does not read its answers loses the connection', () => {
  const peer = H2Peer.ready('server', { limits: { controlBurst: 1e9 } });
  const ping = frame(FrameType.ping, 0, 0, '0102030405060708');
  for (let i = 0; i < 100_000 && !peer.connection.ended; i++) {
    if (i % 100 === 0) peer.connection.tick(i * 2);
    peer.feed(ping);
  }
  assert.deepEqual(peer.events(), ['error ENHANCE_YOUR_CALM: the peer does not read its answers']);
});

test('handlers may reset, answer and end from within their callbacks', () => {
  const peer = H2Peer.ready('server');
  peer.recorder.react = (event, stream) => {
    if (event === 'headers') peer.connection.respond(stream!, okAnswer(), true);
    if (event === 'data') peer.connection.resetStream(stream!, ErrorCode.cancel);
  };
  peer.feed(connectFrame(1), dataFrame(1, Buffer.from('ab')), dataFrame(1, Buffer.from('cd'), true));
  assert.deepEqual(peer.events(), ['headers 1 CONNECT 10.1.2.3:80', 'data 1 6162']);
  peer.recorder.react = () => peer.connection.goaway(ErrorCode.internalError);
  peer.feed(Buffer.concat([connectFrame(3), connectFrame(5)]));
  assert.deepEqual(peer.events(), ['headers 3 CONNECT 10.1.2.3:80']);
});

test('trap 12: a connection that stops in the middle ends no stream', () => {
  const peer = H2Peer.ready('server').feed(connectFrame(1));
  const bytes = dataFrame(1, Buffer.alloc(1000, 1), true);
  peer.feed(bytes.subarray(0, bytes.length - 1));
  assert.ok(!peer.events().join().includes('end'));
  assert.equal(peer.stream(1).remoteEnded, false);
  assert.equal(peer.connection.openStreams, 1);
  peer.feed(settingsAck().subarray(0, 1));
  assert.ok(peer.stream(1).remoteEnded);
});
