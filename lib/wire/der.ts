// SPDX-License-Identifier: Apache-2.0
// Reads DER (X.690) by lengths alone: what a certificate says is never found by searching its text.
// Strict where X.509 needs it: definite, minimal lengths, single-byte tags, no bytes behind the end.

/** One element: its tag byte, the place of its contents, and the place behind it. */
export interface DerElement {
  readonly tag: number;
  readonly start: number;
  readonly end: number;
}

export const DER = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  oid: 0x06,
  utf8String: 0x0c,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;

/** Thrown by the readers below and turned into a Result by their callers; never leaves `lib/wire`. */
export class DerError extends Error {}

/** The element at `offset`, which must end at or before `limit`. */
export function readElement(bytes: Uint8Array, offset: number, limit: number): DerElement {
  if (offset + 2 > limit) throw new DerError(`element cut short at byte ${offset}`);
  const tag = bytes[offset]!;
  if ((tag & 0x1f) === 0x1f) throw new DerError(`multi-byte tag at byte ${offset}`);
  const first = bytes[offset + 1]!;
  if (first < 0x80) return bounded(tag, offset + 2, first, limit);
  const count = first & 0x7f;
  if (count === 0 || count > 4) throw new DerError(`length of ${count} bytes at byte ${offset}`);
  if (offset + 2 + count > limit) throw new DerError(`length cut short at byte ${offset}`);
  let length = 0;
  for (let i = 0; i < count; i++) length = length * 256 + bytes[offset + 2 + i]!;
  if (length < 0x80 || bytes[offset + 2] === 0) throw new DerError(`length not minimal at byte ${offset}`);
  return bounded(tag, offset + 2 + count, length, limit);
}

function bounded(tag: number, start: number, length: number, limit: number): DerElement {
  const end = start + length;
  if (end > limit) throw new DerError(`element of ${length} bytes at byte ${start} runs past its container`);
  return { tag, start, end };
}

/** The element at `offset`, which must carry `tag`. */
export function expectElement(bytes: Uint8Array, offset: number, limit: number, tag: number): DerElement {
  const element = readElement(bytes, offset, limit);
  if (element.tag !== tag) {
    throw new DerError(`tag 0x${element.tag.toString(16)} at byte ${offset}, expected 0x${tag.toString(16)}`);
  }
  return element;
}

/** The elements inside `parent`, which they must fill exactly. */
export function children(bytes: Uint8Array, parent: DerElement): DerElement[] {
  const found: DerElement[] = [];
  for (let at = parent.start; at < parent.end; ) {
    const element = readElement(bytes, at, parent.end);
    found.push(element);
    at = element.end;
  }
  return found;
}

/** Dotted form of an object identifier's contents. */
export function readOid(bytes: Uint8Array, { start, end }: DerElement): string {
  const arcs: number[] = [];
  let value = 0;
  for (let i = start; i < end; i++) {
    const byte = bytes[i]!;
    value = value * 128 + (byte & 0x7f);
    if (value > Number.MAX_SAFE_INTEGER / 128) throw new DerError('object identifier arc too large');
    if ((byte & 0x80) !== 0) {
      if (i === end - 1) throw new DerError('object identifier cut short');
      continue;
    }
    if (arcs.length === 0)
      arcs.push(Math.min(2, Math.floor(value / 40)), value - 40 * Math.min(2, Math.floor(value / 40)));
    else arcs.push(value);
    value = 0;
  }
  if (arcs.length === 0) throw new DerError('empty object identifier');
  return arcs.join('.');
}

/** Milliseconds since the epoch of a UTCTime or GeneralizedTime (RFC 5280 section 4.1.2.5: seconds present, `Z`). */
export function readTime(bytes: Uint8Array, { tag, start, end }: DerElement): number {
  const text = latin1(bytes, start, end);
  const short = tag === DER.utcTime;
  if (!short && tag !== DER.generalizedTime) throw new DerError(`tag 0x${tag.toString(16)} is no time`);
  if (!(short ? /^\d{12}Z$/ : /^\d{14}Z$/).test(text)) throw new DerError(`bad time ${JSON.stringify(text)}`);
  const two = (at: number): number => Number(text.slice(at, at + 2));
  const rest = short ? 2 : 4;
  const year = short ? two(0) + (two(0) >= 50 ? 1900 : 2000) : Number(text.slice(0, 4));
  return Date.UTC(year, two(rest) - 1, two(rest + 2), two(rest + 4), two(rest + 6), two(rest + 8));
}

/** Bytes as text, one character each, NUL kept: nothing ends early. */
export function latin1(bytes: Uint8Array, start: number, end: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString('latin1');
}
