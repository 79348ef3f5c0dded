// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OFFENCE, Offenders } from './offenders.ts';

/** Of connections that ask whenever they are told to, how many `address` gets in within `ms`. */
function admitted(clock: { now: number }, offenders: Offenders, address: string, ms: number): number {
  let count = 0;
  for (const end = clock.now + ms; clock.now < end; ) {
    const wait = offenders.wait(address);
    if (wait === 0) count++;
    clock.now += Math.max(1, wait);
  }
  return count;
}

test('who was cut off a few times may come back at once, as often as it likes', () => {
  const clock = { now: 0 };
  const offenders = new Offenders(clock);
  for (let k = 0; k < 7; k++) offenders.note('10.0.0.7', OFFENCE.cut, 'too much');
  assert.equal(admitted(clock, offenders, '10.0.0.7', 100), 100);
});

test('who is cut off again and again comes in one at a time, rarer and rarer, and others do not notice', () => {
  const clock = { now: 0 };
  const offenders = new Offenders(clock);
  for (let k = 0; k < 9; k++) offenders.note('10.0.0.7', OFFENCE.cut, 'too much');
  assert.equal(admitted(clock, offenders, '10.0.0.7', 1000), 10);
  for (let k = 0; k < 100; k++) offenders.note('10.0.0.7', OFFENCE.cut, 'too much');
  assert.equal(admitted(clock, offenders, '10.0.0.7', 1000), 2);
  assert.equal(admitted(clock, offenders, '10.0.0.8', 100), 100);
});

test('whatever an address did, half a minute later it is as free as any', () => {
  const clock = { now: 0 };
  const offenders = new Offenders(clock);
  for (let k = 0; k < 10_000; k++) offenders.note('10.0.0.7', OFFENCE.cut, 'too much');
  clock.now = 30_000;
  assert.equal(admitted(clock, offenders, '10.0.0.7', 100), 100);
});

test('handshakes that come to nothing count less, and what is no TLS least', () => {
  const clock = { now: 0 };
  const offenders = new Offenders(clock);
  const until = (address: string, offence: number): number => {
    for (let count = 0; ; count++) {
      if (offenders.wait(address) === 0 && offenders.wait(address) > 0) return count;
      offenders.note(address, offence, 'too much');
    }
  };
  assert.deepEqual([until('a', OFFENCE.cut), until('b', OFFENCE.vain), until('c', OFFENCE.noTls)], [8, 32, 128]);
});
