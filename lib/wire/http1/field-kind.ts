// SPDX-License-Identifier: Apache-2.0
// Fields that mean something to HTTP itself or to a proxy, told apart once while a head is read. Their length leaves at
// most a few candidates, so most fields cost a look at their length.
import { equalsLower } from './octets.ts';

export const FieldKind = {
  other: 0,
  host: 1,
  connection: 2,
  contentLength: 3,
  transferEncoding: 4,
  te: 5,
  upgrade: 6,
  expect: 7,
  keepAlive: 8,
  proxyConnection: 9,
  trailer: 10,
  server: 11,
  date: 12,
  forwardedProto: 13,
  forwardedFor: 14,
  requestId: 15,
  traceparent: 16,
  attemptCount: 17,
  contentType: 18,
  cookie: 19,
  authorization: 20,
  upstreamTime: 21,
  clientCert: 22,
} as const;

/** The names, by kind. */
export const KIND_NAMES: readonly string[] = [
  '',
  'host',
  'connection',
  'content-length',
  'transfer-encoding',
  'te',
  'upgrade',
  'expect',
  'keep-alive',
  'proxy-connection',
  'trailer',
  'server',
  'date',
  'x-forwarded-proto',
  'x-forwarded-for',
  'x-request-id',
  'traceparent',
  'x-envoy-attempt-count',
  'content-type',
  'cookie',
  'authorization',
  'x-envoy-upstream-service-time',
  'x-forwarded-client-cert',
];

const BY_LENGTH: readonly (readonly number[])[] = Array.from({ length: 30 }, (_, length) =>
  KIND_NAMES.flatMap((name, kind) => (kind > 0 && name.length === length ? [kind] : [])),
);
const KINDS = new Map(KIND_NAMES.map((name, kind) => [name, kind]));

/** The kind of the field whose name is `buffer[start, end)`. */
export function fieldKind(buffer: Buffer, start: number, end: number): number {
  const length = end - start;
  if (length >= BY_LENGTH.length) return FieldKind.other;
  const candidates = BY_LENGTH[length]!;
  for (let i = 0; i < candidates.length; i++) {
    const kind = candidates[i]!;
    const name = KIND_NAMES[kind]!;
    if ((buffer[start]! | 0x20) === name.charCodeAt(0) && equalsLower(buffer, start, end, name)) return kind;
  }
  return FieldKind.other;
}

/** The kind of the field of that lower-case name. */
export function kindOfName(name: string): number {
  return KINDS.get(name) ?? FieldKind.other;
}
