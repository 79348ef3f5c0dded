// SPDX-License-Identifier: Apache-2.0
// Fields that mean something to HTTP itself or to a proxy, told apart once while a head is read. Length and first letter
// leave one candidate at most, so most fields cost one look.

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

const KINDS = new Map(KIND_NAMES.map((name, kind) => [name, kind]));
const LENGTHS = 32;
const LETTERS = 32;
/** By length and first letter, which no two of the names share. */
const CANDIDATES = new Uint8Array(LENGTHS * LETTERS);
const NAMES: readonly Uint8Array[] = KIND_NAMES.map((name) => Buffer.from(name));
KIND_NAMES.forEach((name, kind) => {
  if (kind > 0) CANDIDATES[name.length * LETTERS + (name.charCodeAt(0) & 31)] = kind;
});

/** The kind of the field whose name, a token, is `buffer[start, end)`. */
export function fieldKind(buffer: Buffer, start: number, end: number): number {
  const length = end - start;
  if (length >= LENGTHS) return FieldKind.other;
  const kind = CANDIDATES[length * LETTERS + (buffer[start]! & 31)]!;
  if (kind === FieldKind.other) return FieldKind.other;
  const name = NAMES[kind]!;
  // In a token this bit makes small letters of capitals, and nothing else one of these names' octets.
  for (let i = 0; i < length; i++) if ((buffer[start + i]! | 0x20) !== name[i]) return FieldKind.other;
  return kind;
}

/** The kind of the field of that lower-case name. */
export function kindOfName(name: string): number {
  return KINDS.get(name) ?? FieldKind.other;
}
