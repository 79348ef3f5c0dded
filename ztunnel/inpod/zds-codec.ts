// SPDX-License-Identifier: Apache-2.0
// Messages of the node agent's socket: bytes to requests, acks to bytes. No socket here.
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  Version,
  type WorkloadRequest,
  WorkloadRequestSchema,
  WorkloadResponseSchema,
  ZdsHelloSchema,
} from '#lib/proto/gen/zds_pb.ts';

/** Both ends read with this much room; a longer message is an error. */
export const MAX_MESSAGE_BYTES = 1024;
/** What an ack holds beside its text. */
const ACK_OVERHEAD = 64;

/** The first message of a connection, ours. */
export function encodeHello(): Uint8Array {
  return toBinary(ZdsHelloSchema, create(ZdsHelloSchema, { version: Version.V1 }));
}

/** One request; undefined for what is none. */
export function decodeRequest(bytes: Uint8Array): WorkloadRequest | undefined {
  try {
    const request = fromBinary(WorkloadRequestSchema, bytes);
    return request.payload.case === undefined ? undefined : request;
  } catch {
    return undefined;
  }
}

/** The answer to a request, '' when all is well; a long text is cut so that the agent can read it. */
export function encodeAck(error: string): Uint8Array {
  const text = Buffer.from(error)
    .subarray(0, MAX_MESSAGE_BYTES - ACK_OVERHEAD)
    .toString();
  // A character that was cut in two became a longer one.
  const fitting = Buffer.byteLength(text) > MAX_MESSAGE_BYTES - ACK_OVERHEAD ? text.slice(0, -1) : text;
  return toBinary(
    WorkloadResponseSchema,
    create(WorkloadResponseSchema, { payload: { case: 'ack', value: { error: fitting } } }),
  );
}
