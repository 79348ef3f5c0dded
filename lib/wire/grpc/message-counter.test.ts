// SPDX-License-Identifier: Apache-2.0
import { equal } from 'node:assert/strict';
import { test } from 'node:test';
import fc from '#lib/testkit/properties.ts';
import { MessageCounter } from './message-counter.ts';

function framed(payload: Uint8Array): Buffer {
  const header = Buffer.alloc(5);
  header.writeUInt32BE(payload.length, 1);
  return Buffer.concat([header, payload]);
}

test('messages are counted whatever pieces they come in', () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ maxLength: 300 })),
      fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }),
      (messages, sizes) => {
        const stream = Buffer.concat(messages.map(framed));
        const counter = new MessageCounter();
        for (let at = 0, i = 0; at < stream.length; i++) {
          const end = Math.min(stream.length, at + sizes[i % sizes.length]!);
          counter.feed(stream, at, end);
          at = end;
        }
        equal(counter.count, messages.length);
      },
    ),
  );
});

test('a length of four gigabytes is a length', () => {
  const counter = new MessageCounter();
  counter.feed(Buffer.from([0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0]), 0, 10);
  equal(counter.count, 1);
});
