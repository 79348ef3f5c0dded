// SPDX-License-Identifier: Apache-2.0
// Which tunnel a stream gets, on two real ends in one process.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { App } from '#lib/testkit/plain-app.ts';
import { loopback } from '#lib/testkit/relay.ts';
import { createTlsMaterial, type TlsMaterial } from '#lib/testkit/tls-material.ts';
import { tunnelRig } from '#lib/testkit/tunnel-rig.ts';

let material: TlsMaterial;
before(async () => {
  material = await createTlsMaterial();
});

test('a saturated pair gets a second tunnel and no third', () => {
  using rig = tunnelRig(material, { onConnection: (app) => app.send('x') });
  const serve = () => {
    // What a flush notes of a tunnel that the kernel takes no more for, here noted of all that are idle.
    rig.entry.pool.dropWhere((session) => {
      session.saturated = true;
      return false;
    }, '');
    const app = App.dial(rig.loop, rig.door);
    rig.until('served', () => app.text === 'x');
  };
  serve();
  assert.equal(rig.entry.pool.size, 1);
  serve();
  assert.equal(rig.entry.pool.size, 2);
  serve();
  serve();
  assert.equal(rig.entry.pool.size, 2);
});

test('a tunnel that the peer drains takes no new stream and ends with its last one', () => {
  using rig = tunnelRig(material, { onConnection: (app) => app.send('x') });
  const old = App.dial(rig.loop, rig.door);
  rig.until('served', () => old.text === 'x');
  rig.exit.sessions[0]!.drain();
  for (let k = 0; k < 20; k++) rig.loop.turn(1);
  const fresh = App.dial(rig.loop, rig.door);
  rig.until('served by another', () => fresh.text === 'x');
  assert.equal(rig.exit.sessions.length, 2);
  rig.server.connections[0]!.send('y');
  rig.until('the old stream goes on', () => old.text === 'xy');
  old.finish();
  rig.server.connections[0]!.finish();
  rig.until('the old tunnel ends', () => rig.exit.sessions.length === 1 && rig.entry.pool.size === 1);
  assert.equal(fresh.end, '');
});

test('a tunnel whose peer answers no PING is replaced, and its streams end with that cause', () => {
  let now = 0;
  using rig = tunnelRig(material, {
    monotonic: () => performance.now() + now,
    onConnection: (app) => app.send('x'),
  });
  const old = App.dial(rig.loop, rig.door);
  rig.until('served', () => old.text === 'x');
  rig.exit.sessions[0]!.onPlaintext = (_bytes, _start, end) => end;
  for (let k = 0; k < 12 && old.end === ''; k++) {
    now += 6000;
    for (let turn = 0; turn < 10; turn++) rig.loop.turn(1);
  }
  assert.equal(old.end, 'reset');
  assert.ok(rig.entry.events.ended.includes('peer does not answer PING'), String(rig.entry.events.ended));
  const fresh = App.dial(rig.loop, rig.door);
  rig.until('another tunnel serves', () => fresh.text === 'x');
});

test('with as many tunnels as may be, the one used longest ago is drained', () => {
  let now = 0;
  using rig = tunnelRig(material, {
    maxTunnels: 2,
    monotonic: () => performance.now() + now,
    onConnection: (app) => app.send('x'),
  });
  const doors = ['a', 'b', 'c'].map((key) => rig.entry.serve(loopback(), rig.server.endpoint.toString(), key));
  const apps = doors.slice(0, 2).map((door) => {
    now += 1000;
    const app = App.dial(rig.loop, door);
    rig.until('served', () => app.text === 'x');
    return app;
  });
  now += 1000;
  const again = App.dial(rig.loop, doors[0]!);
  rig.until('the first is used once more', () => again.text === 'x');
  now += 1000;
  const third = App.dial(rig.loop, doors[2]!);
  rig.until('the third is served', () => third.text === 'x');
  // The second lane's tunnel drains: it lives on for its stream, and nobody else.
  assert.equal(apps[1]!.end, '');
  assert.equal(rig.entry.pool.size, 3);
  apps[1]!.finish();
  rig.server.connections[1]!.finish();
  rig.until('it ends with its last stream', () => rig.entry.pool.size === 2);
});

test('whoever waits for a dial that fails is told why, and the next one dials anew', () => {
  let refusals = 1;
  using rig = tunnelRig(material, {
    onConnection: (app) => app.send('x'),
    judge: () => (refusals-- > 0 ? 'peer is somebody else' : ''),
  });
  const apps = [0, 1, 2].map(() => App.dial(rig.loop, rig.door));
  rig.until('all are told', () => apps.every(({ end }) => end === 'reset'));
  assert.deepEqual(rig.entry.failures, Array(3).fill('peer is somebody else'));
  const fresh = App.dial(rig.loop, rig.door);
  rig.until('served', () => fresh.text === 'x');
});
