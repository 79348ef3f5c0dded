// SPDX-License-Identifier: Apache-2.0
// Why an HTTP/1.1 message is refused. Codes are negative so that parsers can return them in place of a length.

export const Http1Error = {
  startLine: -1,
  version: -2,
  method: -3,
  target: -4,
  status: -5,
  fieldName: -6,
  fieldValue: -7,
  lineEnd: -8,
  tooManyFields: -9,
  headTooLarge: -10,
  host: -11,
  contentLength: -12,
  transferEncoding: -13,
  bothLengths: -14,
  chunkSize: -15,
  chunkEnd: -16,
  trailers: -17,
  earlyEnd: -18,
  forbiddenBody: -19,
} as const;

const TEXTS: Readonly<Record<number, readonly [status: number, text: string]>> = {
  [Http1Error.startLine]: [400, 'the start line is malformed'],
  [Http1Error.version]: [505, 'the version is neither HTTP/1.1 nor HTTP/1.0'],
  [Http1Error.method]: [400, 'the method is no token'],
  [Http1Error.target]: [400, 'the request target does not fit its method'],
  [Http1Error.status]: [502, 'the status is not one of HTTP'],
  [Http1Error.fieldName]: [400, 'a field name is no token followed by a colon'],
  [Http1Error.fieldValue]: [400, 'a field value holds a control character'],
  [Http1Error.lineEnd]: [400, 'a line does not end with CR LF, or is folded'],
  [Http1Error.tooManyFields]: [431, 'there are too many fields'],
  [Http1Error.headTooLarge]: [431, 'the header section is too large'],
  [Http1Error.host]: [400, 'Host is missing, repeated, malformed or differs from the target'],
  [Http1Error.contentLength]: [400, 'Content-Length is repeated or no number'],
  [Http1Error.transferEncoding]: [400, 'Transfer-Encoding is anything but one "chunked"'],
  [Http1Error.bothLengths]: [400, 'Content-Length and Transfer-Encoding are both given'],
  [Http1Error.chunkSize]: [400, 'a chunk size is malformed or too large'],
  [Http1Error.chunkEnd]: [400, 'a chunk does not end with CR LF'],
  [Http1Error.trailers]: [400, 'the trailers are malformed or too large'],
  [Http1Error.earlyEnd]: [400, 'the connection ended within a message'],
  [Http1Error.forbiddenBody]: [502, 'a response that has no content announces some'],
};

/** The sentence for a log. */
export function http1Reason(code: number): string {
  return TEXTS[code]?.[1] ?? `unknown error ${code}`;
}

/** The status with which a server answers it. */
export function http1Status(code: number): number {
  return TEXTS[code]?.[0] ?? 400;
}
