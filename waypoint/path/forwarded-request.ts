// SPDX-License-Identifier: Apache-2.0
// A request as its forwarding sees it: what is known of it, where what becomes of it is written down, and the client behind it.
import type { HeaderChanges } from '#lib/mesh/http/route-table.ts';
import type { ForwardVerdict } from '#lib/mesh/http/route-verdict.ts';
import type { ServerStream, Trailers } from '#lib/net/http/exchange.ts';
import type { MessageHead } from '#lib/wire/http/message.ts';
import type { NamedRequest, RequestTrace } from '../tracing/tracer.ts';
import type { Cluster } from '../upstream/cluster.ts';
import type { Member } from '../upstream/member.ts';
import type { Runtime } from '../worker/runtime.ts';
import type { BodyStore } from './body-store.ts';
import type { Refusal } from './filter.ts';
import type { GrpcMessages, MessageRequest } from './grpc-messages.ts';
import type { Origin } from './origin.ts';
import type { Request } from './request.ts';

export interface ForwardedRequest extends NamedRequest, MessageRequest {
  readonly runtime: Runtime;
  readonly origin: Origin;
  readonly request: Request;
  readonly stream: ServerStream;
  readonly trace: RequestTrace | null;
  readonly messages: GrpcMessages | null;
  readonly verdict: ForwardVerdict | null;
  /** Of filters, to the head on its way to the server, and to that of whatever answers. */
  readonly changes: readonly HeaderChanges[];
  readonly responseChanges: readonly HeaderChanges[];

  // === its content ===

  /** The head says that there is none. */
  readonly bodyless: boolean;
  readonly requestEnded: boolean;
  readonly trailers: Trailers;
  /** What came before anybody took it, or may have to be sent again. */
  store: BodyStore | null;
  /** Keeps content that nobody can take yet; no more of it than the store allows. */
  hold(bytes: Buffer, start: number, end: number): void;

  // === what becomes of it ===

  cluster: Cluster | null;
  member: Member | null;
  attempts: number;
  localAddress: string;
  status: number;
  grpcStatus: number;
  flags: string;
  details: string;
  failure: string;
  upstreamMs: number;
  answer: MessageHead | null;
  /** The final head went to the client. */
  responded: boolean;
  readonly over: boolean;
  /** A protocol was switched to: from now on this lasts. */
  lasts(): void;
  /** The proxy's own answer. */
  refuse(refusal: Refusal): void;
  /** Nothing more happens. */
  finish(): void;
}
