// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { test } from 'node:test';
import { Endpoint } from '#lib/linux/address.ts';
import { Arena } from '#lib/linux/arena.ts';
import { close, read } from '#lib/linux/calls.ts';
import { POLLOUT } from '#lib/linux/constants.ts';
import { ECONNRESET, EMFILE } from '#lib/linux/errno.ts';
import { pollFor } from '#lib/linux/poll.ts';
import { duplicate, raiseFileLimit, setFileLimit } from '#lib/linux/process.ts';
import { localAddress, tcpDial, tcpListen } from '#lib/linux/socket.ts';
import { Acceptor, Admission, type Refusal } from './acceptor.ts';
import { Loop } from './loop.ts';

const arena = Arena.allocate(64);

/** Turns until `condition` holds; what the kernel does in the background comes a little later. */
function turnUntil(loop: Loop, condition: () => boolean): void {
  for (let n = 0; n < 3000 && !condition(); n++) loop.turn(10);
  assert.ok(condition(), 'condition not met within 30 s');
}

function fixture(limit: number) {
  const loop = new Loop({ spin: false });
  const fd = tcpListen(Endpoint.parse('127.0.0.1')!, { backlog: 512 });
  const at = new Endpoint();
  localAddress(fd, at);
  const accepted: number[] = [];
  const refused: Refusal[] = [];
  const handler = {
    onConnection: (made: number) => void accepted.push(made),
    onRefused: (reason: Refusal) => void refused.push(reason),
  };
  const acceptor = new Acceptor(loop, fd, handler, new Admission(limit));
  return { loop, at, accepted, refused, acceptor };
}

test('trap 19: connections over the admission limit are reset, those below it are kept', () => {
  const { loop, at, accepted, refused } = fixture(10);
  const dialled = Array.from({ length: 100 }, () => tcpDial(at, {}));
  turnUntil(loop, () => accepted.length + refused.length === 100);
  assert.equal(accepted.length, 10);
  const reset = new Set<number>();
  turnUntil(loop, () => {
    for (const fd of dialled) if (!reset.has(fd) && read(fd, arena, 0, 1) === -ECONNRESET) reset.add(fd);
    return reset.size === 90;
  });
  for (const fd of [...dialled, ...accepted]) close(fd);
  loop.dispose();
});

test('trap 19: with a full descriptor table the listener neither spins nor goes deaf', () => {
  const { loop, at, accepted, refused } = fixture(10_000);
  const dialled = Array.from({ length: 100 }, () => tcpDial(at, {}));
  const inUse = Math.max(...readdirSync('/proc/self/fd').map(Number));
  const fillers: number[] = [];
  const busy: number[] = [];
  try {
    setFileLimit(inUse + 40);
    for (let fd = duplicate(0); fd >= 0; fd = duplicate(0)) fillers.push(fd);
    for (const fd of fillers.splice(0, 20)) close(fd);
    turnUntil(loop, () => accepted.length + refused.length === 100);
    for (let n = 0; n < 2; n++) busy.push(loop.turn(5));
    assert.ok(accepted.length >= 15 && accepted.length <= 25, `${accepted.length} accepted`);
    assert.ok(refused.every((reason) => reason === 'descriptors'));
    assert.equal(busy.at(-1), 0, 'the loop is at rest, not spinning');
    assert.equal(duplicate(0), -EMFILE, 'the table is still full');
  } finally {
    for (const fd of fillers) close(fd);
    raiseFileLimit();
  }
  // Room again: the listener still hears.
  const before = accepted.length;
  const late = tcpDial(at, {});
  turnUntil(loop, () => accepted.length === before + 1);
  for (const fd of [...dialled, ...accepted, late]) close(fd);
  loop.dispose();
});

test('a limit for all stands behind the limit of one', () => {
  const node = new Admission(3);
  const podA = new Admission(2, node);
  const podB = new Admission(2, node);
  assert.deepEqual([podA.enter(), podA.enter(), podA.enter()], [true, true, false]);
  assert.deepEqual([podB.enter(), podB.enter()], [true, false]);
  podA.leave();
  assert.deepEqual([podB.enter(), node.open], [true, 3]);
});

test('trap 23: closing takes the connections that the kernel had already completed', () => {
  const { loop, at, accepted, acceptor } = fixture(1000);
  const dialled = Array.from({ length: 60 }, () => tcpDial(at, {}));
  for (const fd of dialled) assert.notEqual(pollFor([{ fd, events: POLLOUT }], 30_000)[0], 0, 'connected');
  // The last of the three packets may be on its way yet.
  pollFor([], 100);
  acceptor.close();
  loop.turn(0);
  assert.equal(accepted.length, 60);
  for (const fd of [...dialled, ...accepted]) close(fd);
  loop.dispose();
});
