// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Arena } from '#lib/linux/arena.ts';
import { close, read, send, shutdownWrite } from '#lib/linux/calls.ts';
import { resetOnClose, tcpDial } from '#lib/linux/socket.ts';
import { Loop } from '#lib/loop/loop.ts';
import { acceptAll, listenOn, loopback } from '#lib/testkit/relay.ts';
import { FirstByte } from './first-byte.ts';
import type { Socket } from './socket.ts';
import { Workbench } from './workbench.ts';

const arena = Arena.allocate(64);

function fixture() {
  const loop = new Loop({ spin: false });
  const bench = new Workbench(loop);
  const { fd, endpoint } = listenOn(loopback());
  const waiting: FirstByte[] = [];
  const spoke: Socket[] = [];
  const count = { left: 0 };
  const owner = { onFirstByte: (socket: Socket) => void spoke.push(socket), onLeft: () => void count.left++ };
  const acceptor = acceptAll(loop, fd, (one) => void waiting.push(new FirstByte(bench, one, owner)));
  const turn = (until: () => boolean): void => {
    for (const end = performance.now() + 10_000; !until() && performance.now() < end; ) loop.turn(5);
    assert.ok(until());
  };
  const end = (): void => {
    acceptor.close();
    loop.dispose();
  };
  return { count, dial: () => tcpDial(endpoint, {}), end, loop, spoke, turn, waiting };
}

test('a connection is handed over with its first byte, which is still to be read', () => {
  const { count, dial, end, spoke, turn, waiting } = fixture();
  const client = dial();
  turn(() => waiting.length === 1);
  assert.equal(spoke.length, 0);
  assert.equal(send(client, arena, 0, 1), 1);
  turn(() => spoke.length === 1);
  assert.ok(spoke[0]!.readable);
  assert.equal(spoke[0]!.receive(arena, 0, 64), 1);
  assert.equal(count.left, 0);
  close(client);
  end();
});

test('one that says all and ends in one breath is handed over, too', () => {
  const { dial, end, spoke, turn } = fixture();
  const client = dial();
  send(client, arena, 0, 3);
  shutdownWrite(client);
  turn(() => spoke.length === 1);
  assert.equal(spoke[0]!.receive(arena, 0, 64), 3);
  turn(() => spoke[0]!.ending);
  assert.equal(spoke[0]!.receive(arena, 0, 64), 0);
  close(client);
  end();
});

test('those that leave without a word, in good order or not, are closed, and told once', () => {
  const { count, dial, end, loop, spoke, turn, waiting } = fixture();
  const before = loop.active;
  const clients = Array.from({ length: 40 }, dial);
  for (const [k, client] of clients.entries()) {
    if (k % 2 === 0) resetOnClose(client);
    close(client);
  }
  turn(() => count.left === 40);
  for (let k = 0; k < 5; k++) loop.turn(0);
  assert.deepEqual([count.left, spoke.length, waiting.length], [40, 0, 40]);
  assert.equal(loop.active, before);
  end();
});

test('its end is answered with ours', () => {
  const { count, dial, end, turn } = fixture();
  const client = dial();
  shutdownWrite(client);
  turn(() => count.left === 1);
  turn(() => read(client, arena, 0, 1) === 0);
  close(client);
  end();
});

test('one that is closed by its owner is told to nobody, whatever comes still', () => {
  const { count, dial, end, loop, spoke, turn, waiting } = fixture();
  const client = dial();
  turn(() => waiting.length === 1);
  send(client, arena, 0, 1);
  waiting[0]!.close();
  for (let k = 0; k < 5; k++) loop.turn(1);
  assert.deepEqual([count.left, spoke.length], [0, 0]);
  close(client);
  end();
});
