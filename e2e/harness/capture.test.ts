// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parsePacket } from './capture.ts';

test('packets of both families and both transports are read', () => {
  assert.deepEqual(parsePacket('IP 10.244.1.2.41234 > 10.244.2.3.15008: tcp 517'), {
    protocol: 'tcp',
    from: '10.244.1.2',
    fromPort: 41234,
    to: '10.244.2.3',
    toPort: 15008,
    bytes: 517,
  });
  assert.equal(parsePacket('IP6 fd00::2.41234 > fd00::a.53: UDP, length 33')?.to, 'fd00::a');
});

test('what is neither TCP nor UDP is left out', () => {
  assert.equal(parsePacket('ARP, Request who-has 10.244.1.1 tell 10.244.1.2, length 28'), undefined);
});
