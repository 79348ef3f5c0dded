// SPDX-License-Identifier: Apache-2.0
// Edge-triggered readiness under budgets: what is available is always scheduled, and nobody starves.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Arena } from '#lib/linux/arena.ts';
import { close, read, send, shutdownWrite } from '#lib/linux/calls.ts';
import { EPOLLHUP, EPOLLOUT, EPOLLRDHUP, SO_SNDBUF, SOL_SOCKET } from '#lib/linux/constants.ts';
import { EAGAIN } from '#lib/linux/errno.ts';
import { streamPair } from '#lib/linux/message.ts';
import { setOption } from '#lib/linux/socket.ts';
import fc from '#lib/testkit/properties.ts';
import { Loop, type Pollable, type Resumable } from './loop.ts';

const arena = Arena.allocate(1 << 16);

/** Reads with a budget a turn and a cap a read, clearing its ready bit on EAGAIN only. */
class BudgetReader implements Pollable, Resumable {
  resumeQueued = false;
  total = 0;
  turns = 0;
  ended = false;
  readonly #loop: Loop;
  readonly #fd: number;
  readonly #budget: number;
  readonly #cap: number;

  constructor(loop: Loop, fd: number, budget: number, cap: number) {
    this.#loop = loop;
    this.#fd = fd;
    this.#budget = budget;
    this.#cap = cap;
    loop.add(fd, this);
  }

  onReady(events: number): void {
    if (events !== EPOLLOUT) this.#loop.again(this);
  }

  resume(): void {
    this.turns++;
    for (let spent = 0; spent < this.#budget; ) {
      const n = read(this.#fd, arena, 0, this.#cap);
      if (n === -EAGAIN) return;
      if (n === 0) {
        this.ended = true;
        return;
      }
      assert.ok(n > 0, `read failed with errno ${-n}`);
      spent += n;
      this.total += n;
    }
    this.#loop.again(this);
  }
}

/** Writes sizes from a list, a piece whenever the socket takes it, then FIN. */
class PieceWriter implements Pollable, Resumable {
  resumeQueued = false;
  sent = 0;
  readonly #loop: Loop;
  readonly #fd: number;
  readonly #pieces: number[];

  constructor(loop: Loop, fd: number, pieces: readonly number[]) {
    this.#loop = loop;
    this.#fd = fd;
    this.#pieces = [...pieces];
    loop.add(fd, this);
    loop.again(this);
  }

  onReady(events: number): void {
    if (events & (EPOLLOUT | EPOLLHUP | EPOLLRDHUP)) this.#loop.again(this);
  }

  resume(): void {
    const piece = this.#pieces[0];
    if (piece === undefined) {
      shutdownWrite(this.#fd);
      return;
    }
    const n = send(this.#fd, arena, 0, piece);
    if (n === -EAGAIN) return;
    assert.ok(n > 0);
    this.sent += n;
    if (n === piece) this.#pieces.shift();
    else this.#pieces[0] = piece - n;
    this.#loop.again(this);
  }
}

test('trap 17: with any budgets, piece sizes and socket room, every byte and the end arrive', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 40_000 }), { minLength: 1, maxLength: 30 }),
      fc.integer({ min: 1, max: 20_000 }),
      fc.integer({ min: 1, max: 30_000 }),
      fc.constantFrom(4096, 20_000, 200_000),
      (pieces, budget, cap, room) => {
        const loop = new Loop({ spin: false });
        try {
          const [a, b] = streamPair();
          setOption(a, SOL_SOCKET, SO_SNDBUF, room);
          const total = pieces.reduce((sum, piece) => sum + piece, 0);
          const reader = new BudgetReader(loop, b, Math.max(budget, total / 500), cap);
          const writer = new PieceWriter(loop, a, pieces);
          for (let turn = 0; turn < 5000 && !reader.ended; turn++) loop.turn(100);
          assert.ok(reader.ended, `stuck with ${reader.total} of ${writer.sent} sent bytes of ${total} read`);
          assert.equal(reader.total, total);
        } finally {
          loop.dispose();
        }
      },
    ),
    { numRuns: 150 },
  );
});

test('trap 17: a busy connection with a budget does not keep a quiet one waiting', () => {
  const loop = new Loop({ spin: false });
  const [a, b] = streamPair();
  const [c, d] = streamPair();
  const busy = new BudgetReader(loop, b, 1000, 1000);
  const quiet = new BudgetReader(loop, d, 1000, 1000);
  for (let n = 0; n < 100; n++) send(a, arena, 0, 1000);
  loop.turn(0);
  send(c, arena, 0, 10);
  for (let n = 0; n < 3; n++) loop.turn(0);
  assert.equal(quiet.total, 10);
  assert.ok(busy.total < 100_000, 'the busy one kept to its budget');
  loop.dispose();
  close(a);
  close(c);
});
