// SPDX-License-Identifier: Apache-2.0
// Trace headers of a request, in and out. Out goes the format of the provider, and beside it each one that the request came with, so
// that no chain of services that speaks another one breaks here.
import {
  B3,
  B3_FLAGS,
  B3_PARENT_ID,
  B3_SAMPLED,
  B3_SPAN_ID,
  B3_TRACE_ID,
  formatB3Single,
  formatTraceparent,
  type HeaderOf,
  parseB3Multi,
  parseB3Single,
  parseTraceparent,
  shortened,
  TRACEPARENT,
  TRACESTATE,
  type TraceContext,
  traceState,
} from '#lib/wire/trace/context.ts';

/** Which headers are written. */
export interface Formats {
  readonly w3c: boolean;
  readonly b3Single: boolean;
  readonly b3Multi: boolean;
}

export interface Incoming {
  /** '' when the request is in no trace yet. */
  readonly traceId: string;
  readonly spanId: string;
  /** undefined: nobody has decided. */
  readonly sampled: boolean | undefined;
  readonly state: string;
  /** Those it came with. */
  readonly formats: Formats;
}

const NOTHING: Formats = { w3c: false, b3Single: false, b3Multi: false };
const NO_TRACE: Incoming = { traceId: '', spanId: '', sampled: undefined, state: '', formats: NOTHING };

/** W3C's header counts first, then B3's one, then B3's several. */
export function readIncoming(header: HeaderOf): Incoming {
  const traceparent = header(TRACEPARENT);
  const single = header(B3);
  const b3Multi = header(B3_TRACE_ID) !== undefined || header(B3_SAMPLED) !== undefined;
  if (traceparent === undefined && single === undefined && !b3Multi && header(B3_FLAGS) === undefined) return NO_TRACE;
  const formats = { w3c: traceparent !== undefined, b3Single: single !== undefined, b3Multi };
  const w3c = traceparent === undefined ? undefined : parseTraceparent(traceparent);
  if (w3c !== undefined) return { ...w3c, state: traceState(header(TRACESTATE)), formats };
  const b3 = (single === undefined ? undefined : parseB3Single(single)) ?? parseB3Multi(header);
  if (b3 === undefined) return { ...NO_TRACE, formats };
  if (b3.traceId === undefined) return { ...NO_TRACE, sampled: b3.sampled, formats };
  return { ...b3, state: '', formats };
}

/** A head that headers are set in. */
interface HeaderSink {
  set(name: string, value: string): void;
  remove(name: string): void;
}

/** @param parentId of the span in `context`; '' for none */
export function writeContext(edits: HeaderSink, context: TraceContext, parentId: string, formats: Formats): void {
  if (formats.w3c) edits.set(TRACEPARENT, formatTraceparent(context));
  if (formats.b3Single) edits.set(B3, formatB3Single(context, parentId));
  if (!formats.b3Multi) return;
  edits.set(B3_TRACE_ID, shortened(context.traceId));
  edits.set(B3_SPAN_ID, context.spanId);
  if (parentId !== '') edits.set(B3_PARENT_ID, parentId);
  else edits.remove(B3_PARENT_ID);
  edits.set(B3_SAMPLED, context.sampled === true ? '1' : '0');
  edits.remove(B3_FLAGS);
}
