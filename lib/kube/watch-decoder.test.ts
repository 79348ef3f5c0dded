// SPDX-License-Identifier: Apache-2.0
import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import fc from '#lib/testkit/properties.ts';
import type { KubeObject } from './object.ts';
import { WatchDecoder } from './watch-decoder.ts';

const LINES = [
  '{"type":"ADDED","object":{"metadata":{"name":"a","resourceVersion":"1"}}}',
  '{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"2"}}}',
  '{"type":"DELETED","object":{"metadata":{"name":"ä","resourceVersion":"3"}}}',
  '{"type":"ERROR","object":{"code":410,"reason":"Expired","message":"too old"}}',
];
const BYTES = Buffer.from(`${LINES.join('\n')}\n`);

test('any split of the stream gives the same events', () => {
  const whole = new WatchDecoder<KubeObject>().write(BYTES);
  equal(whole.length, 4);
  fc.assert(
    fc.property(fc.array(fc.nat(BYTES.length), { maxLength: 20 }), (cuts) => {
      const decoder = new WatchDecoder<KubeObject>();
      const places = [0, ...cuts.sort((a, b) => a - b), BYTES.length];
      const events = places.slice(1).flatMap((end, i) => {
        // The caller may reuse its buffer once `write` has returned.
        const chunk = Buffer.from(BYTES.subarray(places[i], end));
        const decoded = decoder.write(chunk);
        chunk.fill(0);
        return decoded;
      });
      deepEqual(events, whole);
      equal(decoder.buffered, 0);
    }),
  );
});

test('a line that is no event becomes an ERROR event and the next line still counts', () => {
  for (const bad of ['nonsense', '{}', 'null', '{"type":"ADDED","object":{}}', '{"type":"NEW","object":{}}', '[]']) {
    const events = new WatchDecoder<KubeObject>().write(Buffer.from(`${bad}\n${LINES[0]}\n`));
    deepEqual(
      events.map((event) => event.type),
      ['ERROR', 'ADDED'],
    );
  }
});

test('a line over the limit fails before it is buffered', () => {
  const decoder = new WatchDecoder<KubeObject>(64);
  deepEqual(decoder.write(Buffer.alloc(60, 0x20)), []);
  const [event] = decoder.write(Buffer.alloc(60, 0x20));
  equal(event?.type, 'ERROR');
  equal(decoder.buffered, 0);
});
