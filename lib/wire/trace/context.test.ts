// SPDX-License-Identifier: Apache-2.0
import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import fc from '#lib/testkit/properties.ts';
import {
  formatB3Single,
  formatTraceparent,
  parseB3Multi,
  parseB3Single,
  parseTraceparent,
  type TraceContext,
  traceState,
} from './context.ts';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const SPAN = '00f067aa0ba902b7';
const ALL_ZERO = '0'.repeat(32);
const header = (headers: Record<string, string>) => (name: string) => headers[name];

const hex = (length: number) =>
  fc
    .array(fc.constantFrom(...'0123456789abcdef'), { minLength: length, maxLength: length })
    .map((digits) => digits.join(''))
    .filter((text) => !/^0+$/.test(text));
const context: fc.Arbitrary<TraceContext> = fc.record(
  { traceId: hex(32), spanId: hex(16), sampled: fc.boolean() },
  { noNullPrototype: true },
);

test('what is written as traceparent or b3 is read as the same', () => {
  fc.assert(
    fc.property(context, (one) => {
      deepEqual(parseTraceparent(formatTraceparent(one)), one);
      deepEqual(parseB3Single(formatB3Single(one, '')), one);
      deepEqual(parseB3Single(formatB3Single(one, SPAN)), one);
    }),
  );
});

test('no text makes the parsers throw, and what they take has ids of the right form', () => {
  const text = fc.oneof(fc.string(), fc.stringMatching(/^[0-9a-f-]{0,60}$/));
  fc.assert(
    fc.property(text, text, (a, b) => {
      const all = [
        parseTraceparent(a),
        parseB3Single(a),
        parseB3Multi(header({ 'x-b3-traceid': a, 'x-b3-spanid': b })),
      ];
      for (const one of all) {
        if (one?.traceId === undefined) continue;
        equal(/^[0-9a-f]{32} [0-9a-f]{16}$/.test(`${one.traceId} ${(one as TraceContext).spanId}`), true);
      }
    }),
  );
});

test('traceparent: what breaks its grammar is no context', () => {
  deepEqual(parseTraceparent(`00-${TRACE}-${SPAN}-01`), { traceId: TRACE, spanId: SPAN, sampled: true });
  deepEqual(parseTraceparent(`00-${TRACE}-${SPAN}-00`), { traceId: TRACE, spanId: SPAN, sampled: false });
  for (const text of [
    '',
    `00-${TRACE}-${SPAN}`,
    `00-${TRACE}-${SPAN}-01-more`,
    `ff-${TRACE}-${SPAN}-01`,
    `00-${ALL_ZERO}-${SPAN}-01`,
    `00-${TRACE}-0000000000000000-01`,
    `00-${TRACE.toUpperCase()}-${SPAN}-01`,
  ]) {
    equal(parseTraceparent(text), undefined, text);
  }
});

test('traceparent: a later version is read as far as ours goes', () => {
  equal(parseTraceparent(`01-${TRACE}-${SPAN}-01-later`)?.traceId, TRACE);
});

test('B3: both forms, 64-bit ids, debugging, and a decision without ids', () => {
  const wide = { traceId: TRACE, spanId: SPAN, sampled: true };
  deepEqual(parseB3Single(`${TRACE}-${SPAN}-1-${SPAN}`), wide);
  deepEqual(parseB3Single(`${TRACE}-${SPAN}-d`), wide);
  deepEqual(parseB3Single(`${TRACE}-${SPAN}`), { ...wide, sampled: undefined });
  deepEqual(parseB3Single('0'), { traceId: undefined, sampled: false });
  deepEqual(parseB3Multi(header({ 'x-b3-traceid': SPAN, 'x-b3-spanid': SPAN, 'x-b3-sampled': '0' })), {
    traceId: `0000000000000000${SPAN}`,
    spanId: SPAN,
    sampled: false,
  });
  const debugged = header({ 'x-b3-traceid': TRACE, 'x-b3-spanid': SPAN, 'x-b3-flags': '1' });
  deepEqual(parseB3Multi(debugged), wide);
  deepEqual(parseB3Multi(header({ 'x-b3-sampled': '1' })), { traceId: undefined, sampled: true });
  equal(parseB3Multi(header({})), undefined);
  equal(parseB3Single(`${TRACE}-${SPAN}-1-nonsense`), undefined);
});

test('B3: an id of 64 bits goes on with 64 bits', () => {
  const read = parseB3Single(`${SPAN}-${SPAN}-1`) as TraceContext;
  equal(formatB3Single(read, ''), `${SPAN}-${SPAN}-1`);
});

test('a trace state that is too long is left out', () => {
  equal(traceState('a=1'), 'a=1');
  equal(traceState('a'.repeat(513)), '');
  equal(traceState(undefined), '');
});
