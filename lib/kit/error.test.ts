// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AmbitError, causedBy, describeError } from './error.ts';

const refused = new AmbitError('CONNECT_REFUSED', 'connect 10.0.0.1:15008: ECONNREFUSED', {
  advice: 'is ztunnel running there?',
});
const outer = new AmbitError('TUNNEL_FAILED', 'no tunnel to 10.0.0.1', { cause: refused });

test('a code is found anywhere in the chain of causes', () => {
  assert.ok(causedBy(outer, 'TUNNEL_FAILED'));
  assert.ok(causedBy(outer, 'CONNECT_REFUSED'));
  assert.ok(!causedBy(outer, 'TIMEOUT'));
  assert.ok(!causedBy('text', 'TIMEOUT'));
});

test('a description carries every message once, and the advice', () => {
  assert.equal(
    describeError(outer),
    'no tunnel to 10.0.0.1: connect 10.0.0.1:15008: ECONNREFUSED (is ztunnel running there?)',
  );
});

test('a chain of causes that runs in a circle ends', () => {
  const loop = new Error('loop');
  loop.cause = loop;
  assert.equal(describeError(loop), 'loop');
  assert.ok(!causedBy(loop, 'X'));
});

test('a message that says its cause does not say it twice', () => {
  const refused = new Error('connect ECONNREFUSED 127.0.0.1:8080');
  const outer = new AmbitError('KUBE_UNREACHABLE', `no answer: ${refused.message}`, { cause: refused });
  assert.equal(describeError(outer), 'no answer: connect ECONNREFUSED 127.0.0.1:8080');
});
