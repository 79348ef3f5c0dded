// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Answer, decode, encode } from 'dns-packet';
import fc from '#lib/testkit/properties.ts';
import { encodeQuestion, readLookup } from './dns-lookup.ts';

const reply = (answers: Answer[], rcode = 0): Buffer => {
  const made = encode({ type: 'response', id: 7, questions: [{ type: 'A', name: 'db.example' }], answers });
  made[3] = (made[3]! & 0xf0) | rcode;
  return made;
};

test('a question is read by another implementation', () => {
  const read = decode(encodeQuestion(7, 'db.example.org', 'AAAA')!);
  assert.deepEqual([read.id, read.questions], [7, [{ name: 'db.example.org', type: 'AAAA', class: 'IN' }]]);
  assert.equal(read.flags! & 0x100, 0x100);
});

test('what is no host name is not asked for', () => {
  for (const name of ['', 'a..b', `${'x'.repeat(64)}.example`, `${'x.'.repeat(200)}y`]) {
    assert.equal(encodeQuestion(1, name, 'A'), undefined);
  }
});

test('addresses behind aliases are found, with the shortest life of all', () => {
  const answers: Answer[] = [
    { type: 'CNAME', name: 'db.example', ttl: 5, data: 'real.example' },
    { type: 'A', name: 'real.example', ttl: 60, data: '192.0.2.1' },
    { type: 'A', name: 'real.example', ttl: 60, data: '192.0.2.2' },
    { type: 'AAAA', name: 'real.example', ttl: 60, data: '2001:db8::1' },
  ];
  assert.deepEqual(readLookup(reply(answers), 'A'), {
    kind: 'addresses',
    addresses: ['192.0.2.1', '192.0.2.2'],
    ttlS: 5,
  });
  assert.deepEqual(readLookup(reply(answers), 'AAAA'), { kind: 'addresses', addresses: ['2001:db8::1'], ttlS: 5 });
});

test('no name, no such record and no knowledge are told apart', () => {
  assert.deepEqual(readLookup(reply([], 3), 'A'), { kind: 'name-error' });
  assert.deepEqual(readLookup(reply([]), 'A'), { kind: 'name-error' });
  assert.deepEqual(readLookup(reply([], 2), 'A'), { kind: 'failure' });
});

test('any bytes, and any beginning of an answer, are read without harm', () => {
  const whole = reply([{ type: 'A', name: 'db.example', ttl: 60, data: '192.0.2.1' }]);
  for (let end = 0; end < whole.length; end++) {
    assert.equal(readLookup(whole.subarray(0, end), 'A').kind, 'failure');
  }
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => void readLookup(Buffer.from(bytes), 'A')));
});
