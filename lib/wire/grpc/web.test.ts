// SPDX-License-Identifier: Apache-2.0
// gRPC-Web's content types, its base64 in pieces, and the message that trailers are.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from '#lib/testkit/properties.ts';
import { Base64Stream, trailerFrame, webContentType } from './web.ts';

test('content types of gRPC-Web, and those that only look like it', () => {
  assert.deepEqual(webContentType('application/grpc-web'), { text: false, suffix: '' });
  assert.deepEqual(webContentType('application/grpc-web+proto'), { text: false, suffix: '+proto' });
  assert.deepEqual(webContentType('Application/gRPC-Web-Text+proto; charset=utf-8'), { text: true, suffix: '+proto' });
  for (const other of [
    'application/grpc',
    'application/grpc-webby',
    'application/grpc-web-textual',
    'text/plain',
    '',
  ]) {
    assert.equal(webContentType(other), undefined, other);
  }
});

test('base64 is read in whatever pieces it comes, padded wherever it was cut', () => {
  const parts = fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 6 });
  fc.assert(
    fc.property(parts, fc.array(fc.nat(7), { minLength: 1, maxLength: 20 }), (contents, steps) => {
      const encoded = Buffer.from(contents.map((part) => Buffer.from(part).toString('base64')).join(''));
      const stream = new Base64Stream();
      const decoded: Buffer[] = [];
      for (let at = 0, i = 0; at < encoded.length; i++) {
        const end = Math.min(encoded.length, at + (steps[i % steps.length] ?? 0) + 1);
        const piece = stream.decode(encoded, at, end);
        assert.ok(piece !== undefined);
        decoded.push(piece);
        at = end;
      }
      assert.equal(stream.incomplete, false);
      assert.deepEqual(Buffer.concat(decoded), Buffer.concat(contents));
    }),
  );
});

test('what is no base64 is told, also when it only ends too early', () => {
  for (const bad of ['A*==', '=AAA', 'AA=A', 'A===', 'AAA\n']) {
    assert.equal(new Base64Stream().decode(Buffer.from(bad), 0, bad.length), undefined, bad);
  }
  const early = new Base64Stream();
  assert.deepEqual(early.decode(Buffer.from('AAAAAA'), 0, 6), Buffer.alloc(3));
  assert.equal(early.incomplete, true);
});

test('trailers are the last message, told by its flag', () => {
  const frame = trailerFrame([
    ['grpc-status', '5'],
    ['grpc-message', 'not there'],
  ]);
  const text = 'grpc-status:5\r\ngrpc-message:not there\r\n';
  assert.deepEqual(frame, Buffer.concat([Buffer.from([0x80, 0, 0, 0, text.length]), Buffer.from(text)]));
});
