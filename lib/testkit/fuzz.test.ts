// SPDX-License-Identifier: Apache-2.0
// The fuzzer itself: it repeats with its seed, and it finds what is easy to find.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mutate } from './fuzz.ts';
import { SeededRandom } from './random.ts';

const corpus = [Buffer.from('hello world'), Buffer.from([1, 2, 3, 4])];

test('the same seed gives the same inputs', () => {
  const run = (): string[] => {
    const random = new SeededRandom(7);
    return Array.from({ length: 100 }, () => mutate(corpus, random, 64).toString('hex'));
  };
  assert.deepEqual(run(), run());
});

test('mutations leave the corpus alone, keep to the limit and differ', () => {
  const random = new SeededRandom(1);
  const inputs = Array.from({ length: 1000 }, () => mutate(corpus, random, 20));
  assert.equal(corpus[0]!.toString(), 'hello world');
  assert.ok(inputs.every((input) => input.length <= 20));
  assert.ok(new Set(inputs.map((input) => input.toString('hex'))).size > 500);
});

test('a guard of two octets is passed within 100,000 inputs', () => {
  const random = new SeededRandom(2);
  for (let i = 0; i < 100_000; i++) {
    const input = mutate(corpus, random, 64);
    if (input[0] === 0xff && input[1] === 0x80) return;
  }
  assert.fail('not found');
});
