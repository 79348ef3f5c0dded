// SPDX-License-Identifier: Apache-2.0
// Which protocol a connection's first bytes are of, as far as HTTP is concerned.
import { PREFACE } from '../h2/protocol.ts';
import { CLASS, TOKEN } from '../http1/octets.ts';

/** Longest method that is taken for one. */
const MAX_METHOD = 32;

const LINE_FEED = 10;
const VERSION = / HTTP\/\d\.\d\r?$/;

/** `more`: too few bytes to tell. */
export type Detected = 'h1' | 'h2' | 'other' | 'more';

export function detectProtocol(bytes: Buffer, start: number, end: number): Detected {
  const length = Math.min(end - start, PREFACE.length);
  if (bytes.compare(PREFACE, 0, length, start, start + length) === 0) return length === PREFACE.length ? 'h2' : 'more';
  let at = start;
  while (at < end && (CLASS[bytes[at]!]! & TOKEN) !== 0) at++;
  if (at - start > MAX_METHOD) return 'other';
  if (at === end) return 'more';
  if (at === start || bytes[at] !== 0x20) return 'other';
  // A whole line has to end as a request line does, whatever the version.
  const lineEnd = bytes.subarray(at, end).indexOf(LINE_FEED);
  return lineEnd < 0 || VERSION.test(bytes.toString('latin1', Math.max(at, at + lineEnd - 10), at + lineEnd))
    ? 'h1'
    : 'other';
}
