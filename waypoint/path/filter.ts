// SPDX-License-Identifier: Apache-2.0
// What stands between a request and its server: each filter lets it pass, answers it, or has it wait until it knows. The list
// of a door is made when its configuration changes (door-filters.ts); a request keeps the list that it began with.
import type { RequestAccessVerdict } from '#lib/mesh/http/access-policy.ts';
import type { HeaderChanges } from '#lib/mesh/http/route-table.ts';
import type { RouteVerdict } from '#lib/mesh/http/route-verdict.ts';
import type { ServerStream } from '#lib/net/http/exchange.ts';
import type { ConnectionRecord } from '../record/connection.ts';
import type { NamedRequest } from '../tracing/tracer.ts';
import type { Runtime } from '../worker/runtime.ts';
import type { BodyStore } from './body-store.ts';
import type { LastPath } from './last-path.ts';
import type { Reply } from './reply.ts';
import type { Request } from './request.ts';

/** To the next filter, or on its way. */
export const PASS = null;

/** The proxy's own answer instead of the server's. */
export interface Refusal {
  readonly kind: 'refuse';
  readonly reply: Reply;
  /** Of the access log and the metrics; '' for none. */
  readonly flags: string;
  readonly details: string;
  /** Made to the answer's head. */
  readonly changes?: readonly HeaderChanges[];
}

/** The request waits. Whoever made this calls `JudgedRequest.proceed` in a later turn, once, unless it was abandoned before. */
export interface Waiting {
  readonly kind: 'wait';
  /** Nobody wants the answer any more. */
  abandon(): void;
  /** More of the content is in `exchange.store`, or its end has come (`exchange.requestEnded`). */
  contentCame?(): void;
}

export type Ruling = typeof PASS | Refusal | Waiting;

/** A request as filters see it, and what they may do with it. */
export interface JudgedRequest extends NamedRequest {
  readonly runtime: Runtime;
  readonly origin: ConnectionRecord & { readonly lastPath: LastPath };
  readonly request: Request;
  readonly stream: ServerStream;
  /** The head says that there is no content. */
  readonly bodyless: boolean;
  readonly requestEnded: boolean;
  /** What came of the content while the request waited. */
  readonly store: BodyStore | null;
  access: RequestAccessVerdict | null;
  checked: string;
  /** null until it is known, and where there are no routes. */
  routed: RouteVerdict | null;
  flags: string;
  grpc: boolean;
  /** Changes in the head on its way to the server. */
  change(changes: HeaderChanges): void;
  /** Changes in the head of the answer, whoever gives it. */
  changeResponse(changes: HeaderChanges): void;
  /** The filter that had it wait knows. */
  proceed(ruling: Ruling): void;
}

export interface RequestFilter {
  /** Looks at a request. What is to change in the head on its way is told to `exchange.change`. */
  judge(exchange: JudgedRequest): Ruling;
}
