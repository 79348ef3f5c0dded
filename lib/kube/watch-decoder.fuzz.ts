// SPDX-License-Identifier: Apache-2.0
// Whatever an API server, or somebody in its place, sends: the decoder answers with events, and how the bytes are cut
// makes no difference.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { fuzz } from '#lib/testkit/fuzz.ts';
import type { KubeObject } from './object.ts';
import { WatchDecoder } from './watch-decoder.ts';

const event = (type: string, object: object): string => `${JSON.stringify({ type, object })}\n`;

fuzz({
  name: 'any bytes are watch events, the same however they are cut',
  corpus: join(import.meta.dirname, 'testdata', 'watch'),
  seeds: [
    Buffer.from(event('ADDED', { metadata: { name: 'a', resourceVersion: '1' } })),
    Buffer.from(
      event('BOOKMARK', { metadata: { resourceVersion: '2' } }) + event('ERROR', { code: 410, reason: 'Expired' }),
    ),
    Buffer.from(`\n${event('DELETED', { metadata: { name: 'ä', namespace: 'n' } })}x\n`),
  ],
  maxBytes: 512,
  run(input) {
    const whole = new WatchDecoder<KubeObject>(4096).write(input);
    const parts = new WatchDecoder<KubeObject>(4096);
    const half = input.length >> 1;
    assert.deepEqual([...parts.write(input.subarray(0, half)), ...parts.write(input.subarray(half))], whole);
    return `${Math.min(whole.length, 4)} ${whole.at(-1)?.type}`;
  },
});
