// SPDX-License-Identifier: Apache-2.0
// A client of DNS over TCP on a clock of the test's.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { streamPair } from '#lib/linux/message.ts';
import { Loop } from '#lib/loop/loop.ts';
import { App } from '#lib/testkit/plain-app.ts';
import type { Pod } from '../inpod/pod.ts';
import { TcpClient } from './tcp-client.ts';

test('a client is closed 5 s after it was last heard or answered, not earlier', () => {
  let now = 0;
  const loop = new Loop({ spin: false, monotonic: () => now });
  const [ours, theirs] = streamPair();
  const replies: ((message: Buffer) => void)[] = [];
  let left = 0;
  const pod = {
    runtime: { loop, admission: { leave: () => left++ } },
    add: () => {},
    delete: () => {},
  } as unknown as Pod;
  new TcpClient(pod, ours, (_message, reply) => replies.push(reply));
  const client = new App(loop, theirs);
  /** Time goes by, and what is ready is seen to. */
  const pass = (ms: number): void => {
    now += ms;
    for (let turn = 0; turn < 4; turn++) loop.turn(0);
  };
  try {
    pass(4_900);
    client.send('\0\x03ask');
    pass(0);
    assert.equal(replies.length, 1);
    pass(4_900);
    assert.equal(client.end, '');
    replies[0]!(Buffer.from('told'));
    pass(4_900);
    assert.deepEqual([client.text, client.end, left], ['\0\x04told', '', 0]);
    pass(200);
    assert.deepEqual([client.end, left], ['fin', 1]);
  } finally {
    loop.dispose();
  }
});
