// SPDX-License-Identifier: Apache-2.0
// How connections end in a tunnel: what one application does, and what the other sees of it.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { App } from '#lib/testkit/plain-app.ts';
import { createTlsMaterial, type TlsMaterial } from '#lib/testkit/tls-material.ts';
import { tunnelRig } from '#lib/testkit/tunnel-rig.ts';

let material: TlsMaterial;
before(async () => {
  material = await createTlsMaterial();
});

function talking() {
  const rig = tunnelRig(material);
  const client = App.dial(rig.loop, rig.door);
  client.send('a');
  rig.until('the server hears', () => rig.server.connections[0]?.text === 'a');
  const server = rig.server.connections[0]!;
  return { rig, client, server };
}

test('trap 12: a FIN of the client becomes a FIN for the server, and the server may go on talking', () => {
  const { rig, client, server } = talking();
  using _ = rig;
  client.finish();
  rig.until('FIN arrives', () => server.end === 'fin');
  server.send('late answer');
  rig.until('the answer arrives', () => client.text === 'late answer');
  assert.equal(client.end, '');
  server.finish();
  rig.until('FIN returns', () => client.end === 'fin');
  rig.until('both books close', () => rig.entry.events.ended.length === 1 && rig.exit.events.ended.length === 1);
  assert.deepEqual([...rig.entry.events.ended, ...rig.exit.events.ended], ['', '']);
});

test('trap 12: a FIN of the server becomes a FIN for the client, and the client may go on talking', () => {
  const { rig, client, server } = talking();
  using _ = rig;
  server.finish();
  rig.until('FIN arrives', () => client.end === 'fin');
  client.send('b');
  rig.until('the server hears more', () => server.text === 'ab');
  client.finish();
  rig.until('FIN returns', () => server.end === 'fin');
  rig.until('both books close', () => rig.entry.events.ended.length === 1 && rig.exit.events.ended.length === 1);
  assert.deepEqual([...rig.entry.events.ended, ...rig.exit.events.ended], ['', '']);
});

test('trap 12: a reset by either application is a reset for the other, never an end', () => {
  for (const side of ['client', 'server'] as const) {
    const { rig, client, server } = talking();
    using _ = rig;
    const [breaker, other] = side === 'client' ? [client, server] : [server, client];
    breaker.socket.abort();
    rig.until(`${side} resets`, () => other.end !== '');
    assert.equal(other.end, 'reset');
    rig.until('both books close', () => rig.entry.events.ended.length === 1 && rig.exit.events.ended.length === 1);
  }
});

test('trap 12: a tunnel that dies resets every stream in it on both sides', () => {
  const { rig, client, server } = talking();
  using _ = rig;
  const second = App.dial(rig.loop, rig.door);
  second.send('x');
  rig.until('the second is served', () => rig.server.connections.length === 2);
  rig.exit.sessions[0]!.drop('cable cut');
  rig.until('all see a reset', () =>
    [client, server, second, rig.server.connections[1]!].every(({ end }) => end === 'reset'),
  );
});

test('trap 12: what was sent before FIN arrives whole, however large, also when the reader is slow', () => {
  const { rig, client, server } = talking();
  using _ = rig;
  const big = Buffer.alloc(6_000_000, 'abcdefghij');
  client.paused = true;
  server.send(big);
  server.finish();
  rig.until('the server sent what windows allow', () => server.unsent < big.length);
  for (let k = 0; k < 50; k++) rig.loop.turn(1);
  client.paused = false;
  client.pump();
  rig.until('everything arrives', () => client.received === big.length && client.end === 'fin');
  assert.ok(Buffer.concat(client.chunks).equals(big));
});

test('killing a stream resets both applications and leaves the tunnel to the others', () => {
  const { rig, client, server } = talking();
  using _ = rig;
  const second = App.dial(rig.loop, rig.door);
  second.send('x');
  rig.until('the second is served', () => rig.server.connections[1]?.text === 'x');
  rig.exit.streams[0]!.kill('connection closed due to policy change');
  rig.until('the first is cut', () => client.end === 'reset' && server.end === 'reset');
  rig.server.connections[1]!.send('y');
  rig.until('the second goes on', () => second.text === 'y');
  assert.equal(rig.entry.pool.size, 1);
});

test('a status other than 200 resets the client before a byte', () => {
  using rig = tunnelRig(material);
  rig.exit.refuseWith = 401;
  const client = App.dial(rig.loop, rig.door);
  client.send('secret');
  rig.until('the client is cut', () => client.end === 'reset');
  assert.deepEqual(rig.entry.failures, ['http status: 401']);
  assert.equal(rig.server.connections.length, 0);
});

test('an application that refuses is answered with 503', () => {
  using rig = tunnelRig(material);
  rig.server.close();
  rig.loop.turn(0);
  const client = App.dial(rig.loop, rig.door);
  rig.until('the client is cut', () => client.end === 'reset');
  assert.deepEqual(rig.entry.failures, ['http status: 503']);
});
