// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Arena } from './arena.ts';
import { big } from './big.ts';

test('every integer a call takes has its bigint, the first time and again', () => {
  // Sizes that share a place of the large ones come in turn.
  const sizes = [
    0,
    1,
    255,
    256,
    32_767,
    32_768,
    65_536,
    65_537,
    131_072,
    262_144,
    524_288,
    2 ** 31 - 1,
    2 ** 31,
    2 ** 32 + 65_536,
  ];
  for (const value of [...sizes, ...sizes.toReversed(), ...sizes]) assert.equal(big(value), BigInt(value));
});

test('a negative integer is extended to 64 bits, as C does it', () => {
  for (const value of [-1, -2, -11, -(2 ** 31), -1]) assert.equal(BigInt.asIntN(64, big(value)), BigInt(value));
  assert.equal(big(-1), 2n ** 64n - 1n);
});

test('an arena has an address for each offset', () => {
  const arena = Arena.allocate(4096);
  for (let offset = 0; offset <= 200; offset++) assert.equal(arena.at(offset), arena.pointer + BigInt(offset));
  assert.equal(arena.at(4095), arena.pointer + 4095n);
});
