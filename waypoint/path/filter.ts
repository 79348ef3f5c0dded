// SPDX-License-Identifier: Apache-2.0
// What stands between a request and its server: each filter lets it pass, answers it, or has it wait until it knows. The list
// of a door is made when its configuration changes (door-filters.ts); a request keeps the list that it began with.
import type { HeaderChanges } from '#lib/mesh/http/route-table.ts';
import type { Exchange } from './exchange.ts';
import type { Reply } from './reply.ts';

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

/** The request waits. Whoever made this calls `Exchange.proceed` in a later turn, once, unless it was abandoned before. */
export interface Waiting {
  readonly kind: 'wait';
  /** Nobody wants the answer any more. */
  abandon(): void;
  /** More of the content is in `exchange.store`, or its end has come (`exchange.requestEnded`). */
  contentCame?(): void;
}

export type Ruling = typeof PASS | Refusal | Waiting;

export interface RequestFilter {
  /** Looks at a request. What is to change in the head on its way is told to `exchange.change`. */
  judge(exchange: Exchange): Ruling;
}
