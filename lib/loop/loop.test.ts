// SPDX-License-Identifier: Apache-2.0
// The loop over real sockets, turn by turn.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Endpoint } from '#lib/linux/address.ts';
import { Arena } from '#lib/linux/arena.ts';
import { accept, close, read, send } from '#lib/linux/calls.ts';
import { EPOLLIN, EPOLLRDHUP } from '#lib/linux/constants.ts';
import { EAGAIN } from '#lib/linux/errno.ts';
import { streamPair } from '#lib/linux/message.ts';
import { localAddress, socketError, tcpDial, tcpListen } from '#lib/linux/socket.ts';
import { GRID_MS, Loop, type Slot } from './loop.ts';

const arena = Arena.allocate(4096);

function withLoop(body: (loop: Loop) => void): void {
  const loop = new Loop({ spin: false });
  try {
    body(loop);
  } finally {
    loop.dispose();
  }
}

/** Ms of the shortest of a few runs: a busy machine holds up one or another of them. */
function shortest(goodMs: number, run: () => number): number {
  let best = Number.POSITIVE_INFINITY;
  for (let k = 0; k < 10 && best >= goodMs; k++) best = Math.min(best, run());
  return best;
}

function turnUntil(loop: Loop, condition: () => boolean): void {
  for (let n = 0; n < 1000 && !condition(); n++) loop.turn(50);
  assert.ok(condition(), 'condition not met within the turns allowed');
}

test('a connection is dialled, accepted and read through the loop', () => {
  withLoop((loop) => {
    const listener = tcpListen(Endpoint.parse('127.0.0.1')!);
    const at = new Endpoint();
    localAddress(listener, at);
    let text = '';
    let ended = false;
    const reader = {
      slot: undefined as Slot | undefined,
      fd: -1,
      onReady(events: number) {
        for (;;) {
          const n = read(reader.fd, arena, 0, 4096);
          if (n === -EAGAIN) return;
          if (n <= 0) {
            ended = true;
            assert.ok(events & EPOLLRDHUP);
            return loop.remove(reader.slot!);
          }
          text += arena.bytes.toString('utf8', 0, n);
        }
      },
    };
    loop.add(
      listener,
      {
        onReady() {
          for (let fd = accept(listener); fd >= 0; fd = accept(listener)) {
            reader.fd = fd;
            reader.slot = loop.add(fd, reader);
          }
        },
      },
      EPOLLIN,
    );
    const fd = tcpDial(at, { noDelay: true });
    let slot: Slot | undefined;
    slot = loop.add(fd, {
      onReady() {
        assert.equal(socketError(fd), 0);
        arena.bytes.write('hello');
        assert.equal(send(fd, arena, 0, 5), 5);
        loop.remove(slot!);
      },
    });
    turnUntil(loop, () => ended);
    assert.equal(text, 'hello');
    assert.equal(loop.active, 1);
  });
});

test('an object marked dirty many times is flushed once, at the end of the turn', () => {
  withLoop((loop) => {
    let flushed = 0;
    const target = { flushQueued: false, flush: () => void flushed++ };
    loop.markDirty(target);
    loop.markDirty(target);
    loop.turn(0);
    loop.turn(0);
    assert.equal(flushed, 1);
  });
});

test('what becomes dirty while flushing is flushed by the next turn, which does not block', () => {
  const blockedMs = shortest(500, () => flushTwice());
  assert.ok(blockedMs < 500, 'the turn blocked');
});

function flushTwice(): number {
  let took = 0;
  withLoop((loop) => {
    const order: string[] = [];
    const second = { flushQueued: false, flush: () => void order.push('second') };
    const first = {
      flushQueued: false,
      flush() {
        order.push('first');
        if (order.length === 1) loop.markDirty(first);
        loop.markDirty(second);
      },
    };
    loop.markDirty(first);
    loop.turn(0);
    assert.deepEqual(order, ['first']);
    const start = performance.now();
    loop.turn(1000);
    took = performance.now() - start;
    assert.deepEqual(order, ['first', 'first', 'second']);
  });
  return took;
}

test('work put off with again() runs in the next turn, which does not block', () => {
  const blockedMs = shortest(500, () => runThrice());
  assert.ok(blockedMs < 500, 'a turn blocked');
});

function runThrice(): number {
  let took = 0;
  withLoop((loop) => {
    let runs = 0;
    const target = {
      resumeQueued: false,
      resume() {
        if (++runs < 3) loop.again(target);
      },
    };
    loop.again(target);
    const start = performance.now();
    assert.equal(loop.turn(1000), 1);
    assert.equal(runs, 1);
    loop.turn(1000);
    loop.turn(1000);
    assert.equal(runs, 3);
    took = performance.now() - start;
  });
  return took;
}

test('a timer wakes the loop', () => {
  const took = shortest(500, () => timeOfTimer(30));
  assert.ok(took >= 29 && took < 500, `fired after ${took} ms`);
});

function timeOfTimer(ms: number): number {
  const start = performance.now();
  let took = 0;
  withLoop((loop) => {
    let fired = 0;
    loop.after(ms, { onTimer: () => void fired++ });
    loop.cancel(loop.after(5, { onTimer: () => assert.fail('cancelled') }));
    for (let n = 0; n < 60 && fired === 0; n++) loop.turn(1000);
    assert.equal(fired, 1);
    took = performance.now() - start;
  });
  return took;
}

test('run() ends after stop()', () => {
  withLoop((loop) => {
    loop.after(1, { onTimer: () => loop.stop() });
    loop.run();
  });
});

test('a released descriptor stays open and hears nothing more from the loop', () => {
  withLoop((loop) => {
    const [here, there] = streamPair();
    const slot = loop.add(here, { onReady: () => assert.fail('released') }, EPOLLIN);
    arena.bytes[0] = 7;
    assert.equal(send(there, arena, 0, 1), 1);
    assert.equal(loop.release(slot), here);
    loop.turn(0);
    assert.equal(read(here, arena, 0, 10), 1);
    assert.throws(() => loop.release(slot), { code: 'LOOP_SLOT_REMOVED' });
    const again = loop.add(here, { onReady: () => {} });
    loop.remove(again);
    loop.remove(loop.add(there, { onReady: () => {} }));
  });
});

test('what may wait a little is called in one turn with all others that may', () => {
  let now = 10 * GRID_MS + 3;
  const loop = new Loop({ monotonic: () => now, spin: false });
  try {
    const called: number[] = [];
    for (const ms of [1, 20, 100, 200]) loop.afterAbout(ms, { onTimer: () => called.push(ms) });
    loop.afterAbout(GRID_MS, { onTimer: () => called.push(GRID_MS) });
    now = 11 * GRID_MS - 1;
    assert.equal(loop.turn(0), 0);
    now = 11 * GRID_MS;
    loop.turn(0);
    assert.deepEqual(called.splice(0).sort(), [1, 100, 20, 200]);
    now = 12 * GRID_MS;
    loop.turn(0);
    assert.deepEqual(called, [GRID_MS], 'never early');
  } finally {
    loop.dispose();
  }
});

test('events come in portions, and all at once while something is left over', () => {
  const loop = new Loop({ spin: false, portion: 2 });
  const pairs = Array.from({ length: 9 }, streamPair);
  try {
    let heard = 0;
    for (const [here] of pairs) loop.add(here, { onReady: () => heard++ });
    // Each is writable, once.
    loop.turn(0);
    assert.equal(heard, 2);
    loop.turn(0);
    assert.equal(heard, 4);
    loop.again({ resumeQueued: false, resume: () => {} });
    loop.turn(0);
    assert.equal(heard, 9);
  } finally {
    loop.dispose();
    for (const [, there] of pairs) close(there);
  }
});
