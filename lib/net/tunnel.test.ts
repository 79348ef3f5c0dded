// SPDX-License-Identifier: Apache-2.0
// Two tunnel ends on one loop: sharing, backpressure, setting up and keeping alive.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { App } from '#lib/testkit/plain-app.ts';
import { createTlsMaterial, type TlsMaterial } from '#lib/testkit/tls-material.ts';
import { tunnelRig } from '#lib/testkit/tunnel-rig.ts';

let material: TlsMaterial;
before(async () => {
  material = await createTlsMaterial();
});

test('bytes go through a tunnel in both directions', () => {
  using rig = tunnelRig(material, { onConnection: (app) => app.send('hello from the server') });
  const client = App.dial(rig.loop, rig.door);
  client.send('hello from the client');
  rig.until('both heard', () => client.text === 'hello from the server');
  rig.until('server heard', () => rig.server.connections[0]?.text === 'hello from the client');
  assert.equal(rig.entry.pool.size, 1);
});

test('a pattern of megabytes arrives unchanged on twenty streams of one tunnel at once', () => {
  using rig = tunnelRig(material, { onConnection: (app) => app.send(pattern(2_000_003)) });
  const clients = Array.from({ length: 20 }, () => App.dial(rig.loop, rig.door));
  for (const client of clients) client.send(pattern(300_007));
  rig.until('all arrived', () => clients.every(({ received }) => received === 2_000_003));
  rig.until('all heard', () => rig.server.connections.every(({ received }) => received === 300_007));
  for (const client of clients) assert.ok(Buffer.concat(client.chunks).equals(pattern(2_000_003)));
  for (const server of rig.server.connections) assert.ok(Buffer.concat(server.chunks).equals(pattern(300_007)));
  assert.equal(rig.entry.pool.size, 1);
});

test('dials for one key are one dial, and a full tunnel gets a second beside it', () => {
  using rig = tunnelRig(material, { streamsPerTunnel: 3, onConnection: (app) => app.send('x') });
  const clients = Array.from({ length: 7 }, () => App.dial(rig.loop, rig.door));
  rig.until('all served', () => clients.every(({ text }) => text === 'x'));
  assert.equal(rig.entry.pool.size, 3);
  assert.equal(rig.exit.sessions.length, 3);
});

test('a tunnel without streams is drained after its idle time, in good order', () => {
  let now = 0;
  using rig = tunnelRig(material, { idleMs: 60_000, monotonic: () => performance.now() + now });
  const client = App.dial(rig.loop, rig.door);
  client.send('a');
  rig.until('served', () => rig.server.connections[0]?.text === 'a');
  client.finish();
  rig.server.connections[0]!.finish();
  rig.until('the stream is over', () => rig.entry.events.ended.length === 1);
  now += 30_000;
  for (let k = 0; k < 20; k++) rig.loop.turn(1);
  assert.equal(rig.entry.pool.size, 1);
  now += 45_000;
  rig.until('the tunnel is gone on both sides', () => rig.entry.pool.size === 0 && rig.exit.sessions.length === 0);
  assert.deepEqual(rig.exit.causes, ['closed by peer']);
});

test('trap 11: a server that refuses the client is a failed dial, not a broken connection', async () => {
  const stranger = await createTlsMaterial();
  using rig = tunnelRig(material, { client: stranger });
  const client = App.dial(rig.loop, rig.door);
  client.send('not for you');
  rig.until('the client is cut', () => client.end === 'reset');
  assert.equal(rig.entry.pool.size, 0);
  assert.equal(rig.entry.streams.length, 0);
  assert.equal(rig.entry.failures.length, 1);
  assert.equal(rig.server.connections.length, 0);
});

test('a server that is not the expected one gets no stream', () => {
  using rig = tunnelRig(material, { judge: () => 'peer is somebody else' });
  const client = App.dial(rig.loop, rig.door);
  rig.until('the client is cut', () => client.end === 'reset');
  assert.deepEqual(rig.entry.failures, ['peer is somebody else']);
});

test('a stopped reader holds its own window and nothing of its neighbours', () => {
  using rig = tunnelRig(material, { onConnection: (app) => app.send(pattern(9_000_000)) });
  const stopped = Array.from({ length: 8 }, () => {
    const app = App.dial(rig.loop, rig.door);
    app.paused = true;
    return app;
  });
  rig.until('all are served', () => rig.server.connections.length === 8);
  // Until nothing moves any more.
  let last = -1;
  const moved = () => rig.exit.events.bytesOut;
  for (let quiet = 0; quiet < 30; ) {
    rig.loop.turn(1);
    quiet = moved() === last ? quiet + 1 : 0;
    last = moved();
  }
  assert.ok(moved() < 8 * 9_000_000);
  assert.ok(rig.bench.blocks.used <= 8 * (4 << 20) + (1 << 20), `${rig.bench.blocks.used} bytes wait`);
  const lively = App.dial(rig.loop, rig.door);
  rig.until('the ninth gets everything', () => lively.received === 9_000_000);
  assert.equal(rig.entry.pool.size <= 2, true);
  for (const app of stopped) {
    app.paused = false;
    app.pump();
  }
  rig.until('the others go on', () => stopped.every(({ received }) => received === 9_000_000));
  assert.equal(rig.bench.blocks.used, 0);
});

test('trap 13: over the budget the stream that holds most is reset, with a cause, and a good reader is unharmed', () => {
  using rig = tunnelRig(material, { byteBudget: 6 << 20, onConnection: (app) => app.send(pattern(9_000_000)) });
  const stopped = Array.from({ length: 4 }, () => {
    const app = App.dial(rig.loop, rig.door);
    app.paused = true;
    return app;
  });
  const good = App.dial(rig.loop, rig.door);
  rig.until('the good one gets everything', () => good.received === 9_000_000);
  assert.ok(Buffer.concat(good.chunks).equals(pattern(9_000_000)));
  rig.until('somebody was reset', () => rig.bench.blocks.evicted > 0);
  assert.ok(rig.bench.blocks.used <= 6 << 20);
  assert.match(rig.entry.events.ended[0]!, /memory for stopped readers/);
  assert.ok(stopped.length - rig.bench.blocks.evicted >= 0);
});

test('trap 17: a small stream is not starved by a bulk stream on its tunnel', () => {
  using rig = tunnelRig(material, {
    onConnection: (app) => {
      app.keep = false;
    },
  });
  const bulk = App.dial(rig.loop, rig.door);
  bulk.send(Buffer.alloc(200_000_000));
  rig.until('bulk runs', () => (rig.server.connections[0]?.received ?? 0) > 5_000_000);
  const small = App.dial(rig.loop, rig.door);
  small.send('ping');
  const before = rig.server.connections[0]!.received;
  rig.until('the small one arrives', () => rig.server.connections[1]?.received === 4);
  const passed = rig.server.connections[0]!.received - before;
  assert.ok(passed < 100_000_000, `${passed} bytes of bulk went first`);
});

test('a peer that answers no PING is given up, and its streams are reset', () => {
  let now = 0;
  using rig = tunnelRig(material, { monotonic: () => performance.now() + now });
  const client = App.dial(rig.loop, rig.door);
  client.send('a');
  rig.until('served', () => rig.server.connections[0]?.text === 'a');
  const session = rig.exit.sessions[0]!;
  // The exit goes deaf: it neither reads nor answers, as a host that is cut off.
  session.onPlaintext = (_bytes, _start, end) => end;
  for (let k = 0; k < 12 && client.end === ''; k++) {
    now += 6000;
    for (let turn = 0; turn < 10; turn++) rig.loop.turn(1);
  }
  assert.equal(client.end, 'reset');
});

function pattern(length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  for (let at = 0; at < length; at++) bytes[at] = (at * 31 + (at >>> 8)) & 255;
  return bytes;
}
