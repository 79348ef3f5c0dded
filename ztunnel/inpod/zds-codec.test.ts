// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { WorkloadRequestSchema, WorkloadResponseSchema } from '#lib/proto/gen/zds_pb.ts';
import fc from '#lib/testkit/properties.ts';
import { decodeRequest, encodeAck, MAX_MESSAGE_BYTES } from './zds-codec.ts';

const ADD = toBinary(
  WorkloadRequestSchema,
  create(WorkloadRequestSchema, {
    payload: { case: 'add', value: { uid: 'u-1', workloadInfo: { name: 'cart-1', namespace: 'shop' } } },
  }),
);

/** Anything at all, and a request with some octets exchanged. */
const message = fc.oneof(
  fc.uint8Array({ maxLength: 64 }),
  fc.array(fc.tuple(fc.nat(ADD.length - 1), fc.nat(255)), { maxLength: 4 }).map((changes) => {
    const bytes = Uint8Array.from(ADD);
    for (const [at, octet] of changes) bytes[at] = octet;
    return bytes;
  }),
);

test('any bytes from the agent’s socket are a request that survives its own encoding, or none', () => {
  fc.assert(
    fc.property(message, (bytes) => {
      const request = decodeRequest(bytes);
      if (request === undefined) return;
      const again = toBinary(WorkloadRequestSchema, request);
      assert.deepEqual(decodeRequest(again), request);
    }),
    { numRuns: 2000 },
  );
  assert.equal(decodeRequest(ADD)?.payload.case, 'add');
});

test('whatever went wrong, the agent can read the answer', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 2 * MAX_MESSAGE_BYTES, size: 'max', unit: 'grapheme' }), (error) => {
      const ack = encodeAck(error);
      assert.ok(ack.length <= MAX_MESSAGE_BYTES);
      assert.equal(fromBinary(WorkloadResponseSchema, ack).payload.case, 'ack');
    }),
    { numRuns: 50 },
  );
});
