// SPDX-License-Identifier: Apache-2.0
import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import { status as Code } from '@grpc/grpc-js';
import { type Ending, ReconnectPolicy } from './reconnect.ts';

const refused: Ending = { kind: 'no-connection', message: 'refused' };
const status = (code: Code, message = ''): Ending => ({ kind: 'status', code, message });

test('a server that is not there is given twice the time at each attempt, up to 3 s', () => {
  const policy = new ReconnectPolicy();
  const waits = Array.from({ length: 13 }, () => policy.waitMs(refused, false));
  deepEqual(waits.slice(0, 4), [10, 20, 40, 80]);
  equal(waits.at(-1), 3_000);
});

test('a stream that ends well is opened again at once, but not without pause when it never said a word', () => {
  const policy = new ReconnectPolicy();
  equal(policy.waitMs({ kind: 'clean' }, true), 0);
  deepEqual([policy.waitMs({ kind: 'clean' }, false), policy.waitMs({ kind: 'clean' }, false)], [10, 20]);
});

for (const ending of [
  status(Code.UNKNOWN),
  status(Code.CANCELLED),
  status(Code.DEADLINE_EXCEEDED),
  status(Code.UNAVAILABLE, 'Connection dropped'),
  status(Code.UNAVAILABLE, 'received prior goaway'),
]) {
  test(`a working stream that ends with ${JSON.stringify(ending)} is opened again after 10 ms`, () => {
    const policy = new ReconnectPolicy();
    deepEqual([policy.waitMs(ending, true), policy.waitMs(ending, true)], [10, 10]);
  });
}

test('a server that has fallen silent is dialled again at once, one that never said a word is given time', () => {
  const policy = new ReconnectPolicy();
  const silence: Ending = { kind: 'silence', message: 'not heard' };
  deepEqual([policy.waitMs(silence, true), policy.waitMs(silence, true)], [10, 10]);
  deepEqual([policy.waitMs(silence, false), policy.waitMs(silence, false)], [10, 20]);
});

test('a refusal is given more and more time, and an established stream begins anew', () => {
  const policy = new ReconnectPolicy();
  const denied = status(Code.UNAUTHENTICATED, 'no');
  deepEqual([policy.waitMs(denied, false), policy.waitMs(denied, false)], [10, 20]);
  policy.established();
  equal(policy.waitMs(denied, true), 10);
});
