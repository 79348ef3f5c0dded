// SPDX-License-Identifier: Apache-2.0
// Answers of the proxy itself. A gRPC client gets what it understands: status 200, and the failure in grpc-status.
import type { HeaderValue } from '#lib/mesh/http/route-table.ts';
import type { RespondReason } from '#lib/mesh/http/route-verdict.ts';
import type { ServerStream } from '#lib/net/http/exchange.ts';
import { HeaderBlock } from '#lib/wire/h2/headers.ts';
import { HeaderField } from '#lib/wire/h2/hpack/field.ts';
import type { HeadEdits } from '#lib/wire/http/edits.ts';
import { MessageHead } from '#lib/wire/http/message.ts';
import { FieldKind } from '#lib/wire/http1/field-kind.ts';

const GRPC_OF_STATUS: Readonly<Record<number, number>> = {
  400: 13,
  401: 16,
  403: 7,
  404: 12,
  429: 14,
  502: 14,
  503: 14,
  504: 14,
};
const UNKNOWN = 2;
const UNAVAILABLE = 14;

export function isGrpc(head: MessageHead): boolean {
  if (!head.has(FieldKind.contentType)) return false;
  const type = head.get('content-type');
  if (type === undefined || !type.startsWith('application/grpc')) return false;
  const next = type.charCodeAt(16);
  return type.length === 16 || next === 0x2b || next === 0x3b;
}

/** grpc-status of an answer with that status. */
export function grpcStatusOf(status: number): number {
  return GRPC_OF_STATUS[status] ?? UNKNOWN;
}

/** A call whose route leads nowhere: its service is not there (Gateway API, GRPCRoute); otherwise the status decides. */
export function grpcOf(reason: RespondReason): number | undefined {
  return reason === 'invalid-backend' || reason === 'no-backend' ? UNAVAILABLE : undefined;
}

export interface Reply {
  readonly status: number;
  readonly body: Uint8Array | string;
  readonly headers?: readonly HeaderValue[];
  /** grpc-status to answer with, where it does not follow from the status. */
  readonly grpc?: number | undefined;
}

/** Sends it. Returns the status that the client sees. */
export function sendReply(stream: ServerStream, grpc: boolean, reply: Reply, edits: HeadEdits): number {
  const { headers = [] } = reply;
  const body = typeof reply.body === 'string' ? Buffer.from(reply.body) : Buffer.from(reply.body);
  const block = HeaderBlock.response(grpc ? 200 : reply.status);
  const add = (name: string, value: string): void => {
    block.fields.push(new HeaderField(name, value, false));
  };
  for (const { name, value } of headers) add(name, value);
  if (grpc) {
    add('content-type', 'application/grpc');
    add('grpc-status', String(reply.grpc ?? grpcStatusOf(reply.status)));
    if (body.length > 0) add('grpc-message', percentEncoded(body));
  } else if (body.length > 0) {
    add('content-length', String(body.length));
    if (block.get('content-type') === undefined) add('content-type', 'text/plain');
  } else if (reply.status !== 204 && reply.status !== 304) add('content-length', '0');
  const ends = grpc || body.length === 0;
  stream.respond(MessageHead.ofHttp2(block, ends), edits, ends);
  if (!ends) {
    if (!stream.head.isHead) stream.body(null, body, 0, body.length);
    stream.end(null);
  }
  return block.status;
}

/** As gRPC carries messages in a header: what is not printable ASCII is percent-encoded. */
function percentEncoded(text: Buffer): string {
  let out = '';
  for (const octet of text) {
    out +=
      octet >= 0x20 && octet < 0x7f && octet !== 0x25
        ? String.fromCharCode(octet)
        : `%${octet.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return out;
}
