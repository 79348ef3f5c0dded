// SPDX-License-Identifier: Apache-2.0
// Two sockets joined in process: what the applications on both ends see.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tcpDial } from '#lib/linux/socket.ts';
import { Loop } from '#lib/loop/loop.ts';
import { App, AppServer } from '#lib/testkit/plain-app.ts';
import { acceptAll, listenOn, loopback, turnUntil } from '#lib/testkit/relay.ts';
import { Dial } from './dial.ts';
import { Socket } from './socket.ts';
import { SocketJoin } from './socket-join.ts';
import { Workbench } from './workbench.ts';

function setUp(options: { byteBudget?: number; onConnection?: (app: App) => void } = {}) {
  const loop = new Loop({ spin: false });
  const bench = new Workbench(loop, options.byteBudget);
  const server = new AppServer(loop, loopback(), options.onConnection);
  const ended: string[] = [];
  const joins: SocketJoin[] = [];
  let out = 0;
  let into = 0;
  const { fd, endpoint } = listenOn(loopback());
  acceptAll(loop, fd, (accepted) => {
    const client = new Socket(loop, accepted, { onSocket: () => {} });
    new Dial(loop, tcpDial(server.endpoint, {}), {
      onConnected: (socket) => {
        joins.push(
          new SocketJoin(bench, client, socket, {
            onBytesOut: (n) => {
              out += n;
            },
            onBytesIn: (n) => {
              into += n;
            },
            onJoinEnd: (error) => ended.push(error),
          }),
        );
      },
      onDialFailed: () => client.abort(),
    });
  });
  return {
    loop,
    bench,
    server,
    ended,
    joins,
    counted: () => [out, into],
    dial: () => App.dial(loop, endpoint),
    until: (what: string, condition: () => boolean, ms?: number) => turnUntil(loop, what, condition, ms),
    [Symbol.dispose]: () => loop.dispose(),
  };
}

test('megabytes pass both ways unchanged and are counted', () => {
  const big = Buffer.alloc(3_000_001, 'the quick brown fox ');
  using rig = setUp({
    onConnection: (app) => {
      app.send(big);
      app.finish();
    },
  });
  const client = rig.dial();
  client.send(big);
  client.finish();
  rig.until('both ended', () => client.end === 'fin' && rig.server.connections[0]?.end === 'fin');
  assert.ok(Buffer.concat(client.chunks).equals(big));
  assert.ok(Buffer.concat(rig.server.connections[0]!.chunks).equals(big));
  rig.until('the books close', () => rig.ended.length === 1);
  assert.deepEqual(rig.ended, ['']);
  assert.deepEqual(rig.counted(), [big.length, big.length]);
});

test('one direction may end long before the other', () => {
  using rig = setUp();
  const client = rig.dial();
  client.finish();
  rig.until('FIN arrives', () => rig.server.connections[0]?.end === 'fin');
  rig.server.connections[0]!.send('still here');
  rig.until('the answer arrives', () => client.text === 'still here');
  assert.equal(client.end, '');
});

test('trap 12: a reset on one side is a reset on the other', () => {
  using rig = setUp({ onConnection: (app) => app.send('x') });
  const client = rig.dial();
  rig.until('joined', () => client.text === 'x');
  rig.server.connections[0]!.socket.abort();
  rig.until('reset arrives', () => client.end === 'reset');
  assert.match(rig.ended[0]!, /ECONNRESET/);
});

test('a stopped reader stops its writer and costs a bounded amount of memory', () => {
  using rig = setUp({ onConnection: (app) => app.send(Buffer.alloc(30_000_000)) });
  const client = rig.dial();
  client.keep = false;
  client.paused = true;
  rig.until('the server is writing', () => rig.server.connections.length === 1);
  for (let k = 0; k < 200; k++) rig.loop.turn(1);
  assert.ok(rig.server.connections[0]!.unsent > 0);
  assert.ok(rig.bench.blocks.used <= 1 << 20);
  client.paused = false;
  client.pump();
  rig.until('everything arrives', () => client.received === 30_000_000);
  assert.equal(rig.bench.blocks.used, 0);
});

test('a killed join resets both sides', () => {
  using rig = setUp({ onConnection: (app) => app.send('x') });
  const client = rig.dial();
  rig.until('joined', () => client.text === 'x');
  rig.joins[0]!.kill('policy');
  rig.until('both see it', () => client.end === 'reset' && rig.server.connections[0]!.end === 'reset');
  assert.deepEqual(rig.ended, ['policy']);
});
