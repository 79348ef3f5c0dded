// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ExplicitHandshake, type ExplicitStep } from './explicit-proxy.ts';

/** Feeds `said` as it is asked for; what is left over belongs to the destination. */
function shake(said: Buffer | string): { last: ExplicitStep; replies: Buffer[]; left: string } {
  const bytes = Buffer.from(said as string, 'latin1');
  const handshake = new ExplicitHandshake();
  const replies: Buffer[] = [];
  let step = handshake.begin();
  let at = 0;
  while (step.kind === 'more' && at < bytes.length) {
    if (step.reply !== undefined) replies.push(step.reply);
    const part = bytes.subarray(at, at + step.need);
    at += part.length;
    step = handshake.receive(part);
  }
  if (step.kind !== 'more') replies.push(step.reply);
  return { last: step, replies, left: bytes.toString('latin1', at) };
}

const target = (step: ExplicitStep) => (step.kind === 'target' ? step.target : step);
const socks = (...request: number[]) => Buffer.from([5, 2, 1, 0, 5, 1, 0, ...request]);

test('SOCKS5 names an IPv4 address, an IPv6 address or a host, and nothing behind the request is read', () => {
  const v4 = shake(Buffer.concat([socks(1, 10, 0, 0, 7, 0x1f, 0x90), Buffer.from('hello')]));
  assert.deepEqual(target(v4.last), { host: '10.0.0.7', isName: false, port: 8080 });
  assert.deepEqual(
    v4.replies.map((bytes) => bytes.toString('hex')),
    ['0500', '05000001000000000000'],
  );
  assert.equal(v4.left, 'hello');
  const six = socks(4, 0xfd, 0, ...new Array(13).fill(0), 7, 0, 80);
  assert.deepEqual(target(shake(six).last), { host: 'fd00:0:0:0:0:0:0:7', isName: false, port: 80 });
  const name = socks(3, 8, ...Buffer.from('Web.Shop'), 0, 80);
  assert.deepEqual(target(shake(name).last), { host: 'web.shop', isName: true, port: 80 });
});

test('SOCKS5 with authentication, another command or another kind of address is refused as the RFC says', () => {
  const refusals: readonly (readonly [Buffer, string])[] = [
    [Buffer.from([5, 1, 2]), '05ff'],
    [Buffer.from([5, 1, 0, 5, 2, 0, 1, 10, 0, 0, 7, 0, 80]), '05070001000000000000'],
    [Buffer.from([5, 1, 0, 5, 1, 0, 9, 10, 0, 0, 7, 0, 80]), '05080001000000000000'],
    [socks(1, 10, 0, 0, 7, 0, 0), '05010001000000000000'],
  ];
  for (const [said, reply] of refusals) {
    const { last, replies } = shake(said);
    assert.equal(last.kind, 'refused');
    assert.equal(replies.at(-1)!.toString('hex'), reply);
  }
});

test('HTTP CONNECT names a host and port, and nothing behind the head is read', () => {
  const { last, left, replies } = shake('CONNECT Web.shop:8080 HTTP/1.1\r\nHost: web.shop:8080\r\n\r\n\x16\x03\x01');
  assert.deepEqual(target(last), { host: 'web.shop', isName: true, port: 8080 });
  assert.equal(left, '\x16\x03\x01');
  assert.deepEqual(replies.map(String), ['HTTP/1.1 200 OK\r\n\r\n']);
  const six = shake('CONNECT [fd00::7]:80 HTTP/1.0\r\n\r\n').last;
  assert.deepEqual(target(six), { host: 'fd00::7', isName: false, port: 80 });
});

test('what is no CONNECT is answered in HTTP and refused', () => {
  for (const [said, status] of [
    ['GET / HTTP/1.1\r\nHost: x\r\n\r\n', 405],
    ['CONNECT nowhere HTTP/1.1\r\n\r\n', 400],
    ['\x00\x01\x02\x03\r\n\r\n', 405],
    [`CONNECT a:80 HTTP/1.1\r\nX: ${'y'.repeat(9000)}`, 431],
  ] as const) {
    const { last, replies } = shake(said);
    assert.equal(last.kind, 'refused', said.slice(0, 20));
    assert.match(String(replies.at(-1)), new RegExp(`^HTTP/1.1 ${status} `));
  }
});
