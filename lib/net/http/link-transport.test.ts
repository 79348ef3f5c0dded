// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Arena } from '#lib/linux/arena.ts';
import { Loop } from '#lib/loop/loop.ts';
import { HttpBench } from './bench.ts';
import { Link, NOBODY } from './link.ts';
import { LinkTransport } from './link-transport.ts';

/** A link of which only reading is of interest. */
class Source extends Link {
  resumed = 0;
  transmit(): void {}
  pause(): void {
    this.paused = true;
  }
  resume(): void {
    this.paused = false;
    this.resumed++;
  }
  finish(): void {}
  close(): void {
    this.owner = NOBODY;
    this.closed = true;
  }
  abort(): void {
    this.close();
  }
}

/** A session that takes 100 octets a look, and longer over it than a share lasts. */
function fixture() {
  let now = 0;
  const loop = new Loop({ spin: false, monotonic: () => now });
  const bench = new HttpBench(loop);
  const link = new Source(NOBODY);
  const heard: number[] = [];
  const transport = new LinkTransport(bench, link, {
    onOpen: () => '',
    onPlaintext: (bytes, start, end) => {
      const stop = Math.min(end, start + 100);
      heard.push(...bytes.subarray(start, stop));
      now += 1;
      return stop;
    },
    onRoom: () => {},
    onTransportEnd: () => {},
  });
  transport.begin(null);
  return { bench, heard, link, loop, transport };
}

const pattern = (arena: Arena, length: number): number[] => {
  for (let at = 0; at < length; at++) arena.bytes[at] = at % 251;
  return [...arena.bytes.subarray(0, length)];
};

test('input that makes much work pauses its link, is looked at turn by turn, and comes whole and in order', () => {
  const { bench, heard, link, loop } = fixture();
  for (const arena of [bench.receive, bench.first]) {
    heard.length = link.resumed = 0;
    const sent = pattern(arena, 20_000);
    link.owner.onBytes(link, arena, 0, sent.length);
    assert.ok(link.paused, 'nothing more is read meanwhile');
    arena.bytes.fill(0xff);
    const first = heard.length;
    assert.ok(first < 1000, `${first} octets at once`);
    for (let turns = 0; turns < 1000 && link.resumed === 0; turns++) loop.turn(0);
    assert.deepEqual(heard, sent);
    assert.equal(link.resumed, 1);
  }
  loop.dispose();
});

test('what was not looked at is gone with its connection', () => {
  const { bench, heard, link, loop, transport } = fixture();
  link.owner.onBytes(link, bench.receive, 0, pattern(bench.receive, 5000).length);
  const before = heard.length;
  transport.abort();
  for (let k = 0; k < 10; k++) loop.turn(0);
  assert.equal(heard.length, before);
  assert.equal(link.resumed, 0);
  loop.dispose();
});
