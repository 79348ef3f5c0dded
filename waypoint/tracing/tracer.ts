// SPDX-License-Identifier: Apache-2.0
// Who follows single requests through the proxy. Only for those that it wants to follow does anything come of it.
import type { HeadEdits } from '#lib/wire/http/edits.ts';
import type { Exchange } from './exchange.ts';

export interface Tracer {
  /** A request's head has come, nothing was decided yet. null: this one is not followed. */
  begin(exchange: Exchange): RequestTrace | null;
}

/** One request. */
export interface RequestTrace {
  /** Hexadecimal; '' while it is in no trace that anybody hears of. */
  readonly traceId: string;
  readonly spanId: string;
  /** `exchange.attempts` says which try it is, `member` where it goes; what `edits` get is sent with it. */
  tryBegins(exchange: Exchange, edits: HeadEdits): void;
  /** Its answer's head has come (`cause` is ''), or why there is none (`status` is 0). */
  tryEnds(exchange: Exchange, cause: string, status: number): void;
  /** All that is known of the request stands in its exchange. */
  ends(exchange: Exchange): void;
}
