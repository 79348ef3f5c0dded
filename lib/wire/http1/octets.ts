// SPDX-License-Identifier: Apache-2.0
// Which octets may stand where (RFC 9110 section 5, RFC 9112 section 3), as one table.

export const TOKEN = 1;
export const VALUE = 2;
export const TARGET = 4;
/** Of a host name or an IPv4 address, without a port. */
export const HOST = 8;

/** Marks of each octet. */
export const CLASS = new Uint8Array(256);
for (let octet = 0; octet < 256; octet++) {
  const text = String.fromCharCode(octet);
  if (/[!#$%&'*+\-.^_`|~0-9A-Za-z]/.test(text)) CLASS[octet]! |= TOKEN;
  if (octet === 9 || (octet >= 0x20 && octet !== 0x7f)) CLASS[octet]! |= VALUE;
  if (/[-.~_0-9A-Za-z]/.test(text)) CLASS[octet]! |= HOST;
  if (octet > 0x20 && octet < 0x7f && text !== '#') CLASS[octet]! |= TARGET;
}

/** Whether `buffer[start, end)` is that lower-case text, whatever the case of its letters. */
export function equalsLower(buffer: Buffer, start: number, end: number, lower: string): boolean {
  if (end - start !== lower.length) return false;
  for (let i = 0; i < lower.length; i++) {
    const octet = buffer[start + i]!;
    if ((octet >= 0x41 && octet <= 0x5a ? octet | 0x20 : octet) !== lower.charCodeAt(i)) return false;
  }
  return true;
}

/** Whether `buffer[start, end)` is exactly that text. */
export function equalsOctets(buffer: Buffer, start: number, end: number, text: string): boolean {
  if (end - start !== text.length) return false;
  for (let i = 0; i < text.length; i++) if (buffer[start + i] !== text.charCodeAt(i)) return false;
  return true;
}

/** The end of the run of octets of that class. */
export function run(buffer: Buffer, start: number, end: number, mark: number): number {
  let at = start;
  while (at < end && (CLASS[buffer[at]!]! & mark) !== 0) at++;
  return at;
}

const CR = 13;
const LF = 10;

/** The offset behind the first empty line; 0 if there is none. */
export function headEnd(buffer: Buffer, start: number, end: number): number {
  let at = start + 3;
  while (at < end) {
    const octet = buffer[at];
    if (octet === LF) {
      if (buffer[at - 1] === CR && buffer[at - 2] === LF && buffer[at - 3] === CR) return at + 1;
      at += 2;
    } else at += octet === CR ? 1 : 4;
  }
  return 0;
}
