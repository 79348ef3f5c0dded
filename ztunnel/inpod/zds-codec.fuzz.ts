// SPDX-License-Identifier: Apache-2.0
// Whatever comes through the node agent's socket is a request or none, and every answer can be read by the agent.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { WorkloadRequestSchema, WorkloadResponseSchema } from '#lib/proto/gen/zds_pb.ts';
import { fuzz } from '#lib/testkit/fuzz.ts';
import { decodeRequest, encodeAck, MAX_MESSAGE_BYTES } from './zds-codec.ts';

type Payload = NonNullable<MessageInitShape<typeof WorkloadRequestSchema>['payload']>;

const request = (payload: Payload): Buffer =>
  Buffer.from(toBinary(WorkloadRequestSchema, create(WorkloadRequestSchema, { payload })));
const workloadInfo = { name: 'cart-1', namespace: 'shop', serviceAccount: 'cart' };

fuzz({
  name: 'any message of the node agent is a request or refused, a request survives its own encoding, acks fit',
  corpus: join(import.meta.dirname, 'testdata', 'zds'),
  seeds: [
    request({ case: 'add', value: { uid: 'u-1', workloadInfo } }),
    request({ case: 'add', value: { uid: 'u-2' } }),
    request({ case: 'keep', value: { uid: 'u-1' } }),
    request({ case: 'del', value: { uid: 'u-1' } }),
    request({ case: 'snapshotSent', value: {} }),
    Buffer.from('failure to start proxy : ünïcödé '.repeat(40)),
  ],
  maxBytes: 2 * MAX_MESSAGE_BYTES,
  run(input) {
    const got = decodeRequest(input);
    if (got !== undefined) {
      const bytes = toBinary(WorkloadRequestSchema, got);
      const again = decodeRequest(bytes);
      assert.ok(again !== undefined && Buffer.from(toBinary(WorkloadRequestSchema, again)).equals(bytes));
    }
    const ack = encodeAck(input.toString('utf8'));
    assert.ok(ack.length <= MAX_MESSAGE_BYTES, `${ack.length} bytes`);
    assert.equal(fromBinary(WorkloadResponseSchema, ack).payload.case, 'ack');
    return `${got?.payload.case} ${ack.length === MAX_MESSAGE_BYTES}`;
  },
});
