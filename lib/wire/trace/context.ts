// SPDX-License-Identifier: Apache-2.0
// Where a request stands in a trace, as headers tell it: W3C Trace Context (Recommendation of 2021-11-23) and Zipkin's B3 in its
// two forms. What breaks the grammar is no context at all: a trace with a broken link is better than one with a wrong one.

export interface TraceContext {
  /** 32 digits, hexadecimal, in lower case. */
  readonly traceId: string;
  /** 16 digits: the span that the request comes from. */
  readonly spanId: string;
  /** undefined: nobody has decided yet. */
  readonly sampled: boolean | undefined;
}

/** Reads one header of a request, by its lower-case name. */
export type HeaderOf = (name: string) => string | undefined;

export const TRACEPARENT = 'traceparent';
export const TRACESTATE = 'tracestate';
export const B3 = 'b3';
export const B3_TRACE_ID = 'x-b3-traceid';
export const B3_SPAN_ID = 'x-b3-spanid';
export const B3_PARENT_ID = 'x-b3-parentspanid';
export const B3_SAMPLED = 'x-b3-sampled';
export const B3_FLAGS = 'x-b3-flags';

const W3C = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
const ZEROS = /^0+$/;
const TRACE_ID = /^(?:[0-9a-f]{16}){1,2}$/i;
const SPAN_ID = /^[0-9a-f]{16}$/i;
/** Of a 128-bit id whose upper half nobody uses. */
const UPPER = '0'.repeat(16);
/** Section 3.3.1.2: an entry list longer than this need not be passed on. */
const MAX_STATE = 512;

/** The value of `traceparent`; later versions than ours are read as far as ours goes (section 3.2.3). */
export function parseTraceparent(text: string): TraceContext | undefined {
  const found = W3C.exec(text);
  if (found === null) return undefined;
  const [, version, traceId = '', spanId = '', flags = '', rest] = found;
  if (version === 'ff' || (version === '00' && rest !== undefined)) return undefined;
  if (ZEROS.test(traceId) || ZEROS.test(spanId)) return undefined;
  return { traceId, spanId, sampled: (Number.parseInt(flags, 16) & 1) === 1 };
}

export function formatTraceparent({ sampled, spanId, traceId }: TraceContext): string {
  return `00-${traceId}-${spanId}-${sampled === true ? '01' : '00'}`;
}

/** `tracestate` as it may stand in a span; '' when it is too long to be kept. */
export function traceState(text: string | undefined): string {
  return text === undefined || text.length > MAX_STATE ? '' : text;
}

/** What B3 says: a place in a trace, or a decision alone, which some clients send with no ids. */
export type B3Context = TraceContext | { readonly traceId: undefined; readonly sampled: boolean };

/** The value of the single header `b3`: `0`, or `trace-span[-decision[-parent]]`. */
export function parseB3Single(text: string): B3Context | undefined {
  const parts = text.split('-');
  const [first = '', spanId, decision] = parts;
  if (parts.length === 1) {
    const sampled = sampledOf(first);
    return sampled === undefined ? undefined : { traceId: undefined, sampled };
  }
  if (parts.length > 4 || (parts.length === 4 && !SPAN_ID.test(parts[3]!))) return undefined;
  return contextOf(first, spanId ?? '', decision === undefined ? undefined : sampledOf(decision));
}

/** The several headers `x-b3-*`. */
export function parseB3Multi(header: HeaderOf): B3Context | undefined {
  const traceId = header(B3_TRACE_ID);
  const word = header(B3_SAMPLED);
  const sampled = header(B3_FLAGS) === '1' ? true : word === undefined ? undefined : sampledOf(word);
  if (traceId === undefined) return sampled === undefined ? undefined : { traceId: undefined, sampled };
  return contextOf(traceId, header(B3_SPAN_ID) ?? '', sampled);
}

/** @param parentId '' for none */
export function formatB3Single({ sampled, spanId, traceId }: TraceContext, parentId: string): string {
  const decision = sampled === true ? '1' : '0';
  return `${shortened(traceId)}-${spanId}-${decision}${parentId === '' ? '' : `-${parentId}`}`;
}

/** A 64-bit id, widened when it was read, goes on with 64 bits. */
export function shortened(traceId: string): string {
  return traceId.startsWith(UPPER) ? traceId.slice(16) : traceId;
}

function contextOf(traceId: string, spanId: string, sampled: boolean | undefined): TraceContext | undefined {
  if (!TRACE_ID.test(traceId) || !SPAN_ID.test(spanId) || ZEROS.test(traceId) || ZEROS.test(spanId)) return undefined;
  const wide = traceId.length === 16 ? `${UPPER}${traceId}` : traceId;
  return { traceId: wide.toLowerCase(), spanId: spanId.toLowerCase(), sampled };
}

/** `d` asks for debugging, which is sampled too. */
function sampledOf(word: string): boolean | undefined {
  switch (word) {
    case '1':
    case 'd':
    case 'true':
      return true;
    case '0':
    case 'false':
      return false;
    default:
      return undefined;
  }
}
