// SPDX-License-Identifier: Apache-2.0
// Who follows single requests through the proxy. Only for those that it wants to follow does anything come of it.
import type { HeadEdits } from '#lib/wire/http/edits.ts';
import type { FieldLine } from '#lib/wire/http/field-line.ts';
import type { RequestRecord } from '../record/request.ts';

/** A request that may be given another id before it goes on. */
export interface NamedRequest extends RequestRecord {
  /** Gives the request an id of ours, once. */
  nameIt(): FieldLine;
  /** The request goes by this id from now on. */
  rename(id: string): FieldLine;
}

export interface Tracer {
  /** A request's head has come, nothing was decided yet. null: this one is not followed. */
  begin(request: NamedRequest): RequestTrace | null;
}

/** One request. */
export interface RequestTrace {
  /** Hexadecimal; '' while it is in no trace that anybody hears of. */
  readonly traceId: string;
  readonly spanId: string;
  /** `record.attempts` says which try it is, `member` where it goes; what `edits` get is sent with it. */
  tryBegins(record: RequestRecord, edits: HeadEdits): void;
  /** Its answer's head has come (`cause` is ''), or why there is none (`status` is 0). */
  tryEnds(record: RequestRecord, cause: string, status: number): void;
  /** All that is known of the request stands in its record. */
  ends(record: RequestRecord): void;
}
