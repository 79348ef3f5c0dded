// SPDX-License-Identifier: Apache-2.0
// Floods: each known way to make a peer work for nothing ends the connection with ENHANCE_YOUR_CALM, and honest
// traffic that looks a little like it does not.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  block,
  connectFrame,
  dataFrame,
  frame,
  GET,
  H2Peer,
  headers,
  resetFrame,
  settingsFrame,
  uint32,
  windowFrame,
} from '#lib/testkit/h2-peer.ts';
import { HeaderBlock } from './headers.ts';
import { ErrorCode, FrameType, PREFACE, SettingId } from './protocol.ts';

/** Feeds the bytes again and again; returns after how many times the connection ended (and how), or 0. */
function flood(peer: H2Peer, bytes: (i: number) => Buffer, times = 20_000): { after: number; error: string } {
  for (let i = 1; i <= times; i++) {
    peer.feed(bytes(i));
    peer.output.take();
    const last = peer.events().at(-1) ?? '';
    if (peer.connection.ended) return { after: i, error: last };
  }
  return { after: 0, error: '' };
}

function assertCalmed(result: { after: number; error: string }, atMost: number): void {
  assert.match(result.error, /^error ENHANCE_YOUR_CALM/);
  assert.ok(result.after <= atMost, `ended only after ${result.after}`);
}

const tunnel = (): H2Peer => {
  const peer = H2Peer.ready('server').feed(connectFrame(1));
  peer.connection.respond(peer.stream(1), HeaderBlock.response(200), false);
  peer.events();
  return peer;
};

describe('control frames', () => {
  const ping = frame(FrameType.ping, 0, 0, '0000000000000000');

  test('what no application makes happen has limits that a tunnel’s other limits do not widen', () => {
    const wide = { limits: { controlBurst: 20_000, controlPerSecond: 20_000 } };
    for (const bytes of [
      ping,
      settingsFrame([]),
      frame(0xfa, 0, 0, 'ffff'),
      frame(FrameType.priority, 0, 3, '0000000010'),
    ])
      assertCalmed(
        flood(H2Peer.ready('server', wide), () => bytes),
        1001,
      );
  });

  test('a PING flood ends the connection', () => {
    assertCalmed(
      flood(H2Peer.ready('server'), () => ping),
      1001,
    );
  });

  test('a SETTINGS flood ends the connection, and one frame with too many entries does', () => {
    assertCalmed(
      flood(H2Peer.ready('server'), () => settingsFrame([])),
      1001,
    );
    const entries = Array.from({ length: 65 }, () => [SettingId.initialWindowSize, 1] as const);
    assertCalmed(
      flood(H2Peer.ready('server'), () => settingsFrame(entries)),
      1,
    );
  });

  test('floods of acknowledgements, PRIORITY, unknown frames and late resets end the connection', () => {
    const late = headers(1, GET, true);
    const rows: readonly Buffer[] = [
      frame(FrameType.settings, 1, 0),
      frame(FrameType.ping, 1, 0, '0000000000000000'),
      frame(FrameType.priority, 0, 3, '0000000010'),
      frame(0xfa, 0, 0, 'ffff'),
      resetFrame(1, 8),
      frame(FrameType.goaway, 0, 0, Buffer.concat([uint32(0), uint32(0)])),
    ];
    for (const bytes of rows) {
      const peer = H2Peer.ready('server').feed(late);
      peer.connection.respond(peer.stream(1), HeaderBlock.response(200), true);
      assertCalmed(
        flood(peer, () => bytes),
        1100,
      );
    }
  });

  test('a flood of empty DATA ends the connection, also when it is padded', () => {
    assertCalmed(
      flood(tunnel(), () => dataFrame(1, Buffer.alloc(0))),
      1001,
    );
    assertCalmed(
      flood(tunnel(), () => frame(FrameType.data, 0x08, 1, '02 0000')),
      1001,
    );
  });

  test('a client is protected from floods of informational answers', () => {
    const peer = H2Peer.ready('client');
    peer.connection.request(HeaderBlock.request('GET', 'https', 'a', '/'), true);
    assertCalmed(
      flood(peer, () => headers(1, [[':status', '103']])),
      1001,
    );
  });

  test('an hour of PINGs every 100 ms is no flood', () => {
    const peer = H2Peer.ready('server');
    for (let i = 0; i < 36_000; i++) {
      peer.connection.tick(i * 100);
      peer.feed(ping);
      peer.output.take();
    }
    assert.ok(!peer.connection.ended);
  });

  test('a PING with every frame of a download, and of an upload, is no flood', () => {
    const peer = tunnel();
    const stream = peer.stream(1);
    for (let i = 0; i < 10_000; i++) {
      peer.feed(dataFrame(1, Buffer.alloc(1024)), ping);
      peer.connection.consumed(stream, 1024);
      peer.output.take();
    }
    for (let i = 0; i < 10_000; i++) {
      peer.connection.writeDataHeader(Buffer.alloc(9), 0, stream, 1024, false);
      peer.feed(windowFrame(1, 1024), windowFrame(0, 1024), ping);
      peer.output.take();
    }
    assert.ok(!peer.connection.ended);
  });
});

describe('streams in vain', () => {
  test('rapid reset ends the connection', () => {
    const peer = H2Peer.ready('server');
    assertCalmed(
      flood(peer, (i) => Buffer.concat([headers(2 * i - 1, GET, true), resetFrame(2 * i - 1, ErrorCode.cancel)])),
      201,
    );
  });

  test('resetting streams that were answered and carried something is no flood', () => {
    const peer = H2Peer.ready('server');
    for (let i = 0; i < 5000; i++) {
      const id = 2 * i + 1;
      peer.connection.tick(i);
      peer.feed(connectFrame(id));
      peer.connection.respond(peer.stream(id), HeaderBlock.response(200), false);
      peer.feed(dataFrame(id, Buffer.from('x')), resetFrame(id, ErrorCode.cancel));
      peer.output.take();
    }
    assert.ok(!peer.connection.ended);
  });

  test('streams that end in good order earn those that are reset at once, answered or not', () => {
    const peer = H2Peer.ready('server');
    for (let i = 0; i < 5000; i++) {
      const id = 2 * i + 1;
      peer.feed(headers(id, GET, true));
      if (i % 2 === 0) peer.feed(resetFrame(id, ErrorCode.cancel));
      else peer.connection.respond(peer.stream(id), HeaderBlock.response(200), true);
      peer.output.take();
    }
    assert.ok(!peer.connection.ended);
  });

  test('an answer does not pay for the reset that follows it, from the peer or because of it', () => {
    for (const end of [(id: number) => resetFrame(id, ErrorCode.cancel), (id: number) => windowFrame(id, 0)]) {
      const peer = H2Peer.ready('server');
      let answered = 0;
      while (!peer.connection.ended && answered < 1000) {
        const id = 2 * answered++ + 1;
        peer.feed(connectFrame(id));
        peer.connection.respond(peer.stream(id), HeaderBlock.response(200), false);
        peer.feed(end(id));
        peer.output.take();
      }
      assert.equal(answered, 201);
      assert.match(peer.events().at(-1)!, /^error ENHANCE_YOUR_CALM/);
    }
  });

  test('making us reset streams by breaking the protocol on them ends the connection', () => {
    const rows: readonly ((id: number) => Buffer)[] = [
      (id) => windowFrame(id, 0),
      (id) => windowFrame(id, 0x7fff_ffff),
      (id) => headers(id, GET),
      (id) => frame(FrameType.priority, 0, id, '00000000'),
      (id) => frame(FrameType.priority, 0, id, Buffer.concat([uint32(id), Buffer.from([1])])),
    ];
    for (const violate of rows)
      assertCalmed(
        flood(H2Peer.ready('server'), (i) => Buffer.concat([headers(2 * i - 1, GET), violate(2 * i - 1)])),
        201,
      );
  });

  describe('where applications may give up many, as in tunnels', () => {
    const limits = { resetBurst: 2000, idleResetBurst: 500 };
    const reset = (id: number): Buffer => resetFrame(id, ErrorCode.cancel);
    /** Opens streams and ends them so; after how many the connection was cut. */
    const cutAfter = (end: (id: number) => Buffer, more?: (peer: H2Peer, id: number) => void): number => {
      const peer = H2Peer.ready('server', { limits });
      return flood(peer, (i) => {
        const id = 2 * i - 1;
        peer.feed(connectFrame(id));
        more?.(peer, id);
        return end(id);
      }).after;
    };

    test('streams for which nothing was done when they were reset are cut sooner, answered or not', () => {
      assert.equal(cutAfter(reset), 501);
      const answer = (peer: H2Peer, id: number): void =>
        peer.connection.respond(peer.stream(id), HeaderBlock.response(200), false);
      assert.equal(cutAfter(reset, answer), 501);
    });

    test('streams that somebody had dialled for, or that carried something, may be given up more often', () => {
      const begin = (peer: H2Peer, id: number): void => {
        peer.stream(id).begun = true;
      };
      assert.equal(cutAfter(reset, begin), 2001);
      assert.equal(
        cutAfter((id) => Buffer.concat([dataFrame(id, Buffer.from('x')), reset(id)])),
        2001,
      );
    });

    test('streams that break the rules may be as few as elsewhere, whatever was done for them', () => {
      const begin = (peer: H2Peer, id: number): void => {
        peer.stream(id).begun = true;
      };
      assert.equal(
        cutAfter((id) => windowFrame(id, 0), begin),
        201,
      );
      assert.equal(
        cutAfter((id) => Buffer.concat([reset(id), windowFrame(id, 0)])),
        201,
      );
    });

    test('both come back with time, and with streams that end in good order', () => {
      for (const end of [reset, (id: number) => windowFrame(id, 0)]) {
        const peer = H2Peer.ready('server', { limits: { idleResetBurst: 10, faultBurst: 10 } });
        let id = -1;
        const give = (count: number): void => {
          for (let i = 0; i < count; i++) {
            id += 2;
            peer.feed(connectFrame(id), end(id));
          }
        };
        peer.connection.tick(0);
        give(10);
        peer.connection.tick(1000);
        give(10);
        for (let i = 0; i < 10; i++) {
          id += 2;
          peer.feed(headers(id, GET, true));
          peer.connection.respond(peer.stream(id), HeaderBlock.response(200), true);
          peer.output.take();
        }
        give(10);
        assert.ok(!peer.connection.ended);
        give(1);
        assert.ok(peer.connection.ended);
      }
    });
  });

  test('a flood of malformed requests, and of empty header sections, ends the connection', () => {
    assertCalmed(
      flood(H2Peer.ready('server'), (i) => headers(2 * i - 1, [['connection', 'close']], true)),
      201,
    );
    assertCalmed(
      flood(H2Peer.ready('server'), (i) => frame(FrameType.headers, 5, 2 * i - 1)),
      201,
    );
  });

  test('opening more streams than allowed again and again ends the connection', () => {
    const peer = H2Peer.ready('server', { maxConcurrentStreams: 1 });
    assertCalmed(
      flood(peer, (i) => headers(2 * i - 1, GET)),
      210,
    );
  });
});

describe('headers', () => {
  test('a CONTINUATION flood ends the connection before it is decoded', () => {
    const empty = H2Peer.ready('server').feed(frame(FrameType.headers, 1, 1, block(GET)));
    assertCalmed(
      flood(empty, () => frame(FrameType.continuation, 0, 1)),
      33,
    );
    const full = H2Peer.ready('server').feed(frame(FrameType.headers, 1, 1, block(GET)));
    assertCalmed(
      flood(full, () => frame(FrameType.continuation, 0, 1, Buffer.alloc(16_384, 0x82))),
      5,
    );
  });

  test('a frame that announces a huge header block is refused before any of it is held', () => {
    const peer = H2Peer.ready('server').feed(frame(FrameType.headers, 4, 1, Buffer.alloc(1 << 20)).subarray(0, 9));
    assert.match(peer.events()[0]!, /^error ENHANCE_YOUR_CALM: a header block is larger/);
  });

  test('a small block that refers to a large entry ten thousand times is not read to its end', () => {
    const peer = H2Peer.ready('server');
    const big = Buffer.concat([
      Buffer.from('4001617f812f', 'hex').subarray(0, 3),
      lengthOf(4000),
      Buffer.alloc(4000, 98),
    ]);
    const bomb = Buffer.concat([block(GET), big, Buffer.alloc(10_000, 0xbe)]);
    peer.feed(frame(FrameType.headers, 5, 1, bomb));
    assert.deepEqual(peer.events(), ['error ENHANCE_YOUR_CALM: the header list is many times too large']);
  });

  test('a header list beyond the limit is answered with 431, and only many of them end the connection', () => {
    const peer = H2Peer.ready('server');
    const fat = block([...GET, ...Array.from({ length: 40 }, (_, i) => [`x-${i}`, 'y'.repeat(2000)] as const)]);
    peer.feed(frame(FrameType.headers, 5, 1, fat));
    assert.equal(peer.sent()[0], 'headers 1 :status=431 end');
    assertCalmed(
      flood(peer, (i) => frame(FrameType.headers, 5, 2 * i + 1, fat)),
      200,
    );
  });
});

function lengthOf(size: number): Buffer {
  const rest: number[] = [127];
  for (let left = size - 127; ; left >>>= 7) {
    rest.push(left < 128 ? left : (left & 127) | 128);
    if (left < 128) return Buffer.from(rest);
  }
}

describe('windows', () => {
  test('dribbling a window open one octet at a time ends the connection', () => {
    const peer = H2Peer.ready('server', {}, settingsFrame([[SettingId.initialWindowSize, 0]])).feed(connectFrame(1));
    const stream = peer.stream(1);
    peer.connection.respond(stream, HeaderBlock.response(200), false);
    assert.equal(peer.connection.dataQuota(stream), 0);
    peer.recorder.react = (event) => {
      if (event !== 'sendable') return;
      peer.connection.writeDataHeader(Buffer.alloc(9), 0, stream, peer.connection.dataQuota(stream), false);
      peer.connection.dataQuota(stream);
    };
    assertCalmed(
      flood(peer, () => windowFrame(1, 1)),
      1001,
    );
  });

  test('dribbling the window of the connection open is no better', () => {
    const peer = tunnel();
    const stream = peer.stream(1);
    peer.feed(windowFrame(1, 1 << 20));
    const send = (): void => {
      for (let quota = peer.connection.dataQuota(stream); quota > 0; quota = peer.connection.dataQuota(stream))
        peer.connection.writeDataHeader(Buffer.alloc(9), 0, stream, quota, false);
    };
    send();
    peer.recorder.react = (event) => {
      if (event === 'sendable') send();
    };
    assertCalmed(
      flood(peer, () => windowFrame(0, 1)),
      1400,
    );
  });

  test('a reader that returns credit in pieces of 1 KiB, a whole window late, is no flood', () => {
    const window = 16 << 20;
    const peer = H2Peer.ready(
      'server',
      {},
      settingsFrame([
        [SettingId.initialWindowSize, window],
        [SettingId.maxFrameSize, 1 << 20],
      ]),
    );
    peer.feed(connectFrame(1), windowFrame(0, window - 65_535));
    const stream = peer.stream(1);
    peer.connection.respond(stream, HeaderBlock.response(200), false);
    for (let round = 0; round < 5; round++) {
      for (let sent = 0; sent < window; sent += 1 << 20)
        peer.connection.writeDataHeader(Buffer.alloc(9), 0, stream, 1 << 20, false);
      for (let read = 0; read < window; read += 1024) peer.feed(windowFrame(1, 1024), windowFrame(0, 1024));
    }
    assert.ok(!peer.connection.ended);
  });

  test('WINDOW_UPDATE without anything having been sent is a flood', () => {
    assertCalmed(
      flood(tunnel(), () => windowFrame(0, 1)),
      1001,
    );
  });

  test('shrinking and growing all windows by SETTINGS again and again is a flood', () => {
    assertCalmed(
      flood(tunnel(), (i) => settingsFrame([[SettingId.initialWindowSize, i % 2]])),
      1001,
    );
  });
});

describe('slow peers', () => {
  test('SETTINGS that are not acknowledged within ten seconds end the connection', () => {
    const peer = new H2Peer('server').feed(PREFACE, settingsFrame([]));
    for (let ms = 0; ms <= 10_000; ms += 1000) peer.connection.tick(500_000 + ms);
    assert.ok(!peer.connection.ended);
    peer.connection.tick(510_001);
    assert.match(peer.events().at(-1)!, /^error SETTINGS_TIMEOUT/);
    assert.equal(peer.sent().at(-1), 'goaway 0 SETTINGS_TIMEOUT');
  });

  test('budgets refill by time, from the first tick on', () => {
    const peer = H2Peer.ready('server', { limits: { controlBurst: 10, controlPerSecond: 10 } });
    const ping = frame(FrameType.ping, 0, 0, '0000000000000000');
    for (let second = 0; second < 20; second++) {
      peer.connection.tick(second * 1000);
      for (let i = 0; i < 9; i++) peer.feed(ping);
    }
    assert.ok(!peer.connection.ended);
    for (let i = 0; i < 11; i++) peer.feed(ping);
    assert.ok(peer.connection.ended);
  });
});
