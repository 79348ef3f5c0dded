// SPDX-License-Identifier: Apache-2.0
// Values go into the shared store and come out as they were.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseCidr } from '#lib/mesh/cidr.ts';
import type { HttpRoutes, RouteTable } from '#lib/mesh/http/route-table.ts';
import { drawRoutes } from '#lib/testkit/drawn-routes.ts';
import fc from '#lib/testkit/properties.ts';
import { decodeValue, encodeValue } from './l7-record.ts';
import { encodeTable, readingTable } from './table-record.ts';

/** What JSON keeps of a value: no member that is undefined. */
const kept = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

function read(record: Buffer): RouteTable {
  const steps = readingTable(record.toString('utf8'));
  for (;;) {
    const { done, value } = steps.next();
    if (done === true) return value;
  }
}

test('bytes and ranges come out as they went in, wherever they stand', () => {
  const range = parseCidr('10.1.0.0/16');
  const value = { body: new Uint8Array([0, 255, 10]), deep: [{ ranges: [range, 'x'] }, null, 1], text: 'a\nb' };
  const out = decodeValue<typeof value>(encodeValue(value).toString('utf8'));
  assert.deepEqual([...out.body], [0, 255, 10]);
  const [first] = out.deep as [{ ranges: [typeof range, string] }];
  assert.equal(String(first.ranges[0]), '10.1.0.0/16');
  assert.deepEqual([out.deep[1], out.deep[2], out.text], [null, 1, 'a\nb']);
  assert.ok(value.body instanceof Uint8Array, 'what was handed in is left as it was');
});

test('values without bytes and ranges come out as JSON has them, whatever their texts', () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.constantFrom('', '$bytes', '$range'), (value, text) => {
      const whole = { value, text };
      assert.deepEqual(decodeValue(encodeValue(whole).toString('utf8')), kept(whole));
    }),
  );
});

test('any route table is read line by line as it was written', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 400, size: 'max' }), { maxLength: 3 }), (drawn) => {
      const http: HttpRoutes[] = drawn.flatMap((bytes) => drawRoutes(bytes, 1).table.http);
      const table: RouteTable = { name: 'a/b:80', http, tls: [], tcp: [] };
      assert.deepEqual(kept(read(encodeTable(table))), kept(table));
    }),
  );
});
