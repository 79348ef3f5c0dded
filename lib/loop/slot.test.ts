// SPDX-License-Identifier: Apache-2.0
// Descriptor numbers come back; owners must not. Random opens, closes, duplicates and late events against a model.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Arena } from '#lib/linux/arena.ts';
import { close, read, send } from '#lib/linux/calls.ts';
import { EPOLLET, EPOLLIN } from '#lib/linux/constants.ts';
import { EAGAIN, EBADF } from '#lib/linux/errno.ts';
import { streamPair } from '#lib/linux/message.ts';
import { duplicate } from '#lib/linux/process.ts';
import fc from '#lib/testkit/properties.ts';
import { Loop, type Pollable, type Slot } from './loop.ts';

const arena = Arena.allocate(256);

/** One connection: the loop has one end, the test the other. Knows what it may be told. */
class Owner implements Pollable {
  readonly slot: Slot;
  readonly here: number;
  readonly there: number;
  readonly id: number;
  gone = false;
  received: number[] = [];
  onRead: (() => void) | undefined;

  constructor(loop: Loop, id: number) {
    this.id = id;
    [this.here, this.there] = streamPair();
    this.slot = loop.add(this.here, this, EPOLLIN | EPOLLET);
  }

  onReady(): void {
    assert.ok(!this.gone, `an event reached owner ${this.id} after it was removed`);
    for (;;) {
      const n = read(this.here, arena, 0, 256);
      if (n === -EAGAIN) break;
      assert.ok(n >= 0, `owner ${this.id} read errno ${-n}: its descriptor was closed by another`);
      if (n === 0) break;
      for (const byte of arena.bytes.subarray(0, n)) {
        assert.equal(byte, this.id & 255, `owner ${this.id} got a byte of another`);
        this.received.push(byte);
      }
    }
    this.onRead?.();
  }
}

const steps = fc.array(
  fc.oneof(
    fc.constant({ kind: 'open' as const, pick: 0 }),
    ...(['send', 'remove', 'remove-twice', 'duplicate', 'turn', 'remove-in-callback'] as const).map((kind) =>
      fc.record({ kind: fc.constant(kind), pick: fc.nat(50) }),
    ),
  ),
  { minLength: 10, maxLength: 120 },
);

test('trap 2: a stale event never reaches the next owner of a descriptor', () => {
  fc.assert(
    fc.property(steps, (list) => {
      const loop = new Loop({ spin: false });
      const live: Owner[] = [];
      const all: Owner[] = [];
      const duplicates: number[] = [];
      const sent = new Map<Owner, number>();
      let ids = 0;
      const remove = (owner: Owner) => {
        owner.gone = true;
        live.splice(live.indexOf(owner), 1);
        loop.remove(owner.slot);
      };
      try {
        for (const { kind, pick } of list) {
          const owner = live[pick % Math.max(live.length, 1)];
          if (kind === 'open') {
            const made = new Owner(loop, ++ids);
            live.push(made);
            all.push(made);
          }
          if (kind === 'turn') loop.turn(0);
          if (!owner) continue;
          if (kind === 'send') {
            arena.bytes[200] = owner.id & 255;
            if (send(owner.there, arena, 200, 1) === 1) sent.set(owner, (sent.get(owner) ?? 0) + 1);
          }
          if (kind === 'remove' || kind === 'remove-twice') remove(owner);
          if (kind === 'remove-twice') loop.remove(owner.slot);
          // A duplicate keeps the open file, and with it epoll's registration, alive behind a closed number.
          if (kind === 'duplicate') duplicates.push(duplicate(owner.here));
          if (kind === 'remove-in-callback') {
            const victim = live[(pick + 1) % live.length]!;
            owner.onRead = () => {
              owner.onRead = undefined;
              if (!victim.gone) remove(victim);
              const made = new Owner(loop, ++ids);
              live.push(made);
              all.push(made);
            };
          }
        }
        loop.turn(0);
        loop.turn(0);
        for (const owner of live)
          assert.equal(owner.received.length, sent.get(owner) ?? 0, `owner ${owner.id} missed bytes`);
        assert.equal(loop.active, live.length);
      } finally {
        loop.dispose();
        for (const owner of all) close(owner.there);
        for (const fd of duplicates) close(fd);
      }
    }),
    { numRuns: 200 },
  );
});

test('trap 2: a removed descriptor is closed at the end of the turn, once, and its number stays taken until then', () => {
  const loop = new Loop({ spin: false });
  const [here, there] = streamPair();
  const slot = loop.add(here, { onReady: () => {} });
  loop.remove(slot);
  loop.remove(slot);
  assert.equal(slot.fd, here, 'still open');
  const [next, other] = streamPair();
  assert.ok(next !== here && other !== here, 'the number is not given to another yet');
  loop.turn(0);
  assert.equal(read(here, arena, 0, 1), -EBADF);
  const late = duplicate(there);
  loop.remove(slot);
  loop.turn(0);
  assert.equal(read(late, arena, 0, 1), 0, 'a later owner of a number is not closed');
  for (const fd of [there, next, other, late]) close(fd);
  loop.dispose();
});
