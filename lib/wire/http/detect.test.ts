// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { detectProtocol } from './detect.ts';

test('the first bytes tell HTTP/2, HTTP/1 and neither apart, or are too few', () => {
  const cases: readonly (readonly [text: string, is: string])[] = [
    ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'h2'],
    ['PRI * HT', 'more'],
    ['', 'more'],
    ['GET / HTTP/1.1\r\n', 'h1'],
    ['GET /a-path-that-has-not-come-to-its-end', 'h1'],
    ['OPTIONS * HTTP/1.0\r\n', 'h1'],
    ['GET / HTTP/9.9\r\n', 'h1'],
    ['G', 'more'],
    ['INVALID CONNECTION PREFACE\r\n\r\n', 'other'],
    ['GET /\r\n', 'other'],
    ['\x16\x03\x01\x02\x00', 'other'],
    ['SSH-2.0-OpenSSH\r\n', 'other'],
    ['x'.repeat(40), 'other'],
  ];
  for (const [text, is] of cases) {
    const bytes = Buffer.from(text, 'latin1');
    assert.equal(detectProtocol(bytes, 0, bytes.length), is, JSON.stringify(text));
  }
});
