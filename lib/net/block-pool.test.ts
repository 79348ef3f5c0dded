// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from '#lib/testkit/properties.ts';
import { type Block, type BlockHolder, BlockPool, LARGE_BLOCK, SMALL_BLOCK } from './block-pool.ts';

class Holder implements BlockHolder {
  held = 0;
  place = 0;
  readonly blocks: Block[] = [];
  readonly #pool: BlockPool;

  constructor(pool: BlockPool) {
    this.#pool = pool;
  }

  take(bytes: number): boolean {
    const block = this.#pool.take(this, bytes);
    if (block !== null) this.blocks.push(block);
    return block !== null;
  }

  give(): void {
    const block = this.blocks.pop();
    if (block !== undefined) this.#pool.give(this, block);
  }

  overBudget(): void {
    while (this.blocks.length > 0) this.give();
  }
}

test('a first small piece takes a small block, everything else a large one', () => {
  const pool = new BlockPool(1 << 20);
  const holder = new Holder(pool);
  holder.take(100);
  assert.equal(pool.used, SMALL_BLOCK);
  holder.take(100);
  assert.equal(pool.used, SMALL_BLOCK + LARGE_BLOCK);
});

test('over the budget the holder of most lets go, not the one who asks', () => {
  const pool = new BlockPool(4 * LARGE_BLOCK);
  const [greedy, modest] = [new Holder(pool), new Holder(pool)];
  for (let k = 0; k < 4; k++) greedy.take(LARGE_BLOCK);
  assert.equal(modest.take(LARGE_BLOCK), true);
  assert.equal(greedy.held, 0);
  assert.equal(pool.evicted, 1);
});

test('no two holders ever share a byte, and the account is exact', () => {
  const act = fc.record({ who: fc.nat(3), give: fc.boolean(), bytes: fc.integer({ min: 1, max: LARGE_BLOCK }) });
  fc.assert(
    fc.property(fc.array(act, { maxLength: 200 }), (acts) => {
      const pool = new BlockPool(1 << 20);
      const holders = Array.from({ length: 4 }, () => new Holder(pool));
      for (const { who, give, bytes } of acts) {
        if (give) holders[who]!.give();
        else holders[who]!.take(bytes);
        const out = holders.flatMap(({ blocks }) => blocks);
        assert.equal(
          out.reduce((sum, { size }) => sum + size, 0),
          pool.used,
        );
        const spans = out.map(({ arena, offset, size }) => [arena.pointer + BigInt(offset), BigInt(size)] as const);
        spans.sort((a, b) => (a[0] < b[0] ? -1 : 1));
        for (let k = 1; k < spans.length; k++) assert.ok(spans[k - 1]![0] + spans[k - 1]![1] <= spans[k]![0]);
      }
    }),
    { numRuns: 50 },
  );
});
