// SPDX-License-Identifier: Apache-2.0
// Two tunnel ends on one loop: what applications on both sides see.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { Loop } from '#lib/loop/loop.ts';
import { App, AppServer } from '#lib/testkit/plain-app.ts';
import { loopback, RelayEntry, RelayExit, turnUntil } from '#lib/testkit/relay.ts';
import { createTlsMaterial, type TlsMaterial } from '#lib/testkit/tls-material.ts';
import { Workbench } from './workbench.ts';

let material: TlsMaterial;
before(async () => {
  material = await createTlsMaterial();
});

function setUp(options: { streamsPerTunnel?: number; byteBudget?: number; onConnection?: (app: App) => void } = {}) {
  const loop = new Loop({ spin: false });
  const bench = new Workbench(loop, options.byteBudget);
  const clientContext = material.context(material.cart);
  const serverContext = material.context(material.orders);
  const server = new AppServer(loop, loopback(), options.onConnection);
  const exit = new RelayExit(bench, loopback(), () => serverContext);
  const entry = new RelayEntry(bench, exit.endpoint, () => clientContext, options);
  const door = entry.serve(loopback(), server.endpoint.toString());
  return {
    loop,
    bench,
    server,
    exit,
    entry,
    door,
    until: (what: string, condition: () => boolean, ms?: number) => turnUntil(loop, what, condition, ms),
    [Symbol.dispose]() {
      loop.dispose();
    },
  };
}

test('bytes go through a tunnel in both directions', () => {
  using rig = setUp({ onConnection: (app) => app.send('hello from the server') });
  const client = App.dial(rig.loop, rig.door);
  client.send('hello from the client');
  rig.until('both heard', () => client.text === 'hello from the server');
  rig.until('server heard', () => rig.server.connections[0]?.text === 'hello from the client');
  assert.equal(rig.entry.pool.size, 1);
});
