// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encode, type RecordType } from 'dns-packet';
import { parseQuery } from '#lib/wire/dns.ts';
import { queryTypeName } from './query-type.ts';

function counted(type: RecordType): string {
  const parsed = parseQuery(encode({ type: 'query', id: 1, questions: [{ name: 'a', type }] }));
  return parsed.kind === 'query' ? queryTypeName(parsed.query.type) : parsed.kind;
}

test('a question is counted under its type’s own name', () => {
  const types: RecordType[] = ['A', 'AAAA', 'SRV', 'PTR', 'MX', 'TXT', 'NS', 'SOA', 'CAA', 'DNSKEY', 'AXFR'];
  assert.deepEqual(
    types.map(counted),
    types.map((type) => type.toLowerCase()),
  );
  assert.equal(queryTypeName(65), 'https');
});

test('types without a name are one, however many a pod asks for', () => {
  const names = new Set(Array.from({ length: 1000 }, (_, k) => queryTypeName(40_000 + k)));
  assert.deepEqual([...names], ['unknown']);
});
