// SPDX-License-Identifier: Apache-2.0
// The one RPC of the echo servers, `proto.EchoTestService/Echo`: a message of one text each way, field 1. Written out
// here, since generated code for two fields would be longer.
import type { MethodDefinition } from '@grpc/grpc-js';

const TAG = 0x0a;

/** A message; an object, since the gRPC library takes an empty text for none. */
export interface Text {
  readonly text: string;
}

function encodeText({ text }: Text): Buffer {
  const bytes = Buffer.from(text, 'utf8');
  const length: number[] = [];
  let rest = bytes.length;
  while (rest > 0x7f) {
    length.push((rest & 0x7f) | 0x80);
    rest >>>= 7;
  }
  return Buffer.concat([Buffer.from([TAG, ...length, rest]), bytes]);
}

/** Other fields than the text do not occur. */
function decodeText(message: Buffer): Text {
  if (message[0] !== TAG) return { text: '' };
  let length = 0;
  let at = 1;
  for (let shift = 0; ; shift += 7) {
    const byte = message[at++] ?? 0;
    length |= (byte & 0x7f) << shift;
    if (byte < 0x80) break;
  }
  return { text: message.subarray(at, at + length).toString('utf8') };
}

export const ECHO: MethodDefinition<Text, Text> = {
  path: '/proto.EchoTestService/Echo',
  requestStream: false,
  responseStream: false,
  requestSerialize: encodeText,
  requestDeserialize: decodeText,
  responseSerialize: encodeText,
  responseDeserialize: decodeText,
};
