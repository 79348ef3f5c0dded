// SPDX-License-Identifier: Apache-2.0
import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import { Metadata } from '@grpc/grpc-js';
import { FakeClock } from '#lib/testkit/clock.ts';
import { announcedPulse, announcePulse, listenFor, PULSE_MS } from './pulse.ts';

function listen(everyMs: number) {
  const clock = new FakeClock();
  const heard = { bytesRead: 0 };
  const silences: number[] = [];
  const stop = listenFor(heard, everyMs, clock, () => silences.push(clock.monotonic()));
  return { clock, heard, silences, stop };
}

test('a server of which nothing is heard for three pings is given up, once', async () => {
  const { clock, silences } = listen(PULSE_MS);
  await clock.advance(60_000);
  deepEqual(silences, [3 * PULSE_MS]);
  equal(3 * PULSE_MS < 10_000, true);
});

test('a server that pings is kept, however little else it says; silence counts from its last byte', async () => {
  const { clock, heard, silences } = listen(3_000);
  for (let k = 0; k < 20; k++) {
    await clock.advance(8_000);
    heard.bytesRead += 17;
  }
  deepEqual(silences, []);
  await clock.advance(9_999);
  deepEqual(silences, []);
  await clock.advance(1);
  equal(silences.length, 1);
});

test('nobody listens any more after the end', async () => {
  const { clock, silences, stop } = listen(1_000);
  await clock.advance(1_500);
  stop();
  await clock.advance(60_000);
  deepEqual([silences, clock.waiting], [[], 0]);
});

test('a server says in its headers how often it pings; nonsense and silence say nothing', () => {
  const headers = new Metadata();
  equal(announcedPulse(headers), undefined);
  announcePulse(headers, 3_000);
  equal(announcedPulse(headers), 3_000);
  for (const text of ['', 'soon', '0', '-1', '1e9']) {
    headers.set('ambit-pulse-ms', text);
    equal(announcedPulse(headers), undefined, text);
  }
});
