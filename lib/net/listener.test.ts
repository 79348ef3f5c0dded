// SPDX-License-Identifier: Apache-2.0
// Accepting under pressure. This file lowers the descriptor limit of its process.
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { after, test } from 'node:test';
import { Endpoint } from '#lib/linux/address.ts';
import { close } from '#lib/linux/calls.ts';
import { raiseFileLimit, setFileLimit } from '#lib/linux/process.ts';
import { localAddress, tcpListen } from '#lib/linux/socket.ts';
import { Loop } from '#lib/loop/loop.ts';
import { App } from '#lib/testkit/plain-app.ts';
import { loopback, turnUntil } from '#lib/testkit/relay.ts';
import { Admission } from './admission.ts';
import { Listener } from './listener.ts';
import { Socket } from './socket.ts';

after(() => void raiseFileLimit());

function listening(loop: Loop, admission: Admission) {
  const fd = tcpListen(loopback(), { backlog: 64 });
  const at = new Endpoint();
  localAddress(fd, at);
  const accepted: Socket[] = [];
  const onAccept = (got: number) => {
    admission.active++;
    accepted.push(new Socket(loop, got, { onSocket: () => {} }));
  };
  return { at, accepted, listener: new Listener(loop, fd, admission, { onAccept }) };
}

test('trap 19: without a descriptor left connections are reset at once, and the listener serves again afterwards', () => {
  const loop = new Loop({ spin: false });
  const admission = new Admission(1000);
  const { at, accepted, listener } = listening(loop, admission);
  // Clients first, so that they have descriptors; then the table is filled to the brim.
  const clients = Array.from({ length: 6 }, () => App.dial(loop, at));
  const highest = Math.max(...readdirSync('/proc/self/fd').map(Number));
  setFileLimit(highest + 1);
  const fillers: number[] = [];
  for (;;) {
    try {
      fillers.push(tcpListen(loopback()));
    } catch {
      break;
    }
  }
  turnUntil(loop, 'all clients are reset', () => clients.every(({ end }) => end === 'reset'));
  assert.equal(accepted.length, 0);
  assert.equal(admission.refused, 6);
  for (const fd of fillers) close(fd);
  raiseFileLimit();
  const late = App.dial(loop, at);
  turnUntil(loop, 'the late one is accepted', () => accepted.length === 1);
  assert.equal(late.end, '');
  listener.close();
  admission.dispose();
  loop.dispose();
});

test('trap 19: over the admission limit a connection is reset at once', () => {
  const loop = new Loop({ spin: false });
  const admission = new Admission(2);
  const { at, accepted, listener } = listening(loop, admission);
  const clients = Array.from({ length: 3 }, () => App.dial(loop, at));
  turnUntil(loop, 'one is reset', () => clients.filter(({ end }) => end === 'reset').length === 1);
  assert.equal(accepted.length, 2);
  admission.active--;
  const late = App.dial(loop, at);
  turnUntil(loop, 'room again', () => accepted.length === 3);
  assert.equal(late.end, '');
  listener.close();
  admission.dispose();
  loop.dispose();
});

test('closing a listener first accepts what the kernel has queued', () => {
  const loop = new Loop({ spin: false });
  const admission = new Admission(100);
  const { at, accepted, listener } = listening(loop, admission);
  const clients = Array.from({ length: 10 }, () => App.dial(loop, at));
  listener.close();
  assert.equal(accepted.length, 10);
  loop.turn(1);
  assert.ok(clients.every(({ end }) => end === ''));
  admission.dispose();
  loop.dispose();
});
