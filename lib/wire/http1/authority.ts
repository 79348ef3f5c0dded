// SPDX-License-Identifier: Apache-2.0
// Whom a request is for: host and port as they may stand in Host and in a target (RFC 9110 section 7.2, RFC 3986 section 3.2).
import { CLASS, HOST } from './octets.ts';

const COLON = 58;
const ZERO = 48;
const AUTHORITY = /^(\[[0-9a-f:.]+\]|[a-z0-9._~%!$&'()*+,;=-]*)(:\d{0,5})?$/i;

/** Whether that text is an authority. */
export function isAuthority(text: string): boolean {
  return AUTHORITY.test(text);
}

/** Whether that is what CONNECT asks for: an authority with a port. */
export function isConnectTarget(text: string): boolean {
  return AUTHORITY.test(text) && /:\d{1,5}$/.test(text);
}

/** Whether an authority stands there: letters and digits as nearly always, or what the grammar allows beside. */
export function isHost(buffer: Buffer, start: number, end: number): boolean {
  let at = start;
  while (at < end && (CLASS[buffer[at]!]! & HOST) !== 0) at++;
  if (at === end) return true;
  if (buffer[at] === COLON && end - at <= 6) {
    let digit = at + 1;
    while (digit < end && buffer[digit]! >= ZERO && buffer[digit]! <= ZERO + 9) digit++;
    if (digit === end) return true;
  }
  return AUTHORITY.test(buffer.toString('latin1', start, end));
}

/** The authority of an absolute http target; empty if it is none. */
export function authorityOf(target: string): string {
  return /^https?:\/\/([^/?]+)/i.exec(target)?.[1] ?? '';
}
