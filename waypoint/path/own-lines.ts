// SPDX-License-Identifier: Apache-2.0
// Header fields that the proxy adds to nearly every message, written once.
import { FieldLine } from '#lib/wire/http/field-line.ts';

export const FORWARDED_HTTP = FieldLine.of('x-forwarded-proto', 'http');
const SERVER = FieldLine.of('server', 'istio-envoy');

let named = SERVER;

/** `name`: what it says; '' for what Envoy says. */
export function serverLine(name: string): FieldLine {
  if (name === '') return SERVER;
  if (named.value !== name) named = FieldLine.of('server', name);
  return named;
}

/** Values kept: small numbers are nearly all there are. */
const KEPT = 1024;
const attempts = Array.from({ length: KEPT }, (): FieldLine | undefined => undefined);
const times = [...attempts];

export function attemptCount(n: number): FieldLine {
  return numbered(attempts, 'x-envoy-attempt-count', n);
}

/** Whole milliseconds. */
export function upstreamTime(ms: number): FieldLine {
  return numbered(times, 'x-envoy-upstream-service-time', ms);
}

function numbered(kept: (FieldLine | undefined)[], name: string, n: number): FieldLine {
  const known = kept[n];
  if (known !== undefined) return known;
  const line = FieldLine.of(name, String(n));
  if (n < KEPT) kept[n] = line;
  return line;
}
