// SPDX-License-Identifier: Apache-2.0
//
// Internet addresses as small immutable values. The hot path makes one from bytes and compares words; text is made
// only when somebody reads it, then kept. An IPv4-mapped IPv6 address (::ffff:a.b.c.d) is the IPv4 address it maps,
// since that is how dual-stack sockets tell of IPv4 peers.

import { isIPv6 } from 'node:net';

/** An IPv4 or IPv6 address. Words are signed 32-bit integers, most significant first; IPv4 uses `d` alone. */
export class Ip {
  readonly family: 4 | 6;
  readonly a: number;
  readonly b: number;
  readonly c: number;
  readonly d: number;
  #text: string;

  constructor(family: 4 | 6, a: number, b: number, c: number, d: number) {
    this.family = family;
    this.a = a | 0;
    this.b = b | 0;
    this.c = c | 0;
    this.d = d | 0;
    this.#text = '';
  }

  /** Canonical text: dotted for IPv4, RFC 5952 for IPv6. Equal addresses have equal text, so it serves as a map key. */
  get text(): string {
    if (this.#text === '') this.#text = this.family === 4 ? textOf4(this.d) : textOf6(this);
    return this.#text;
  }

  equals(other: Ip): boolean {
    return (
      this.d === other.d &&
      this.c === other.c &&
      this.b === other.b &&
      this.a === other.a &&
      this.family === other.family
    );
  }

  /** 127.0.0.0/8 or ::1. */
  get loopback(): boolean {
    return this.family === 4 ? this.d >>> 24 === 127 : this.a === 0 && this.b === 0 && this.c === 0 && this.d === 1;
  }

  /** `10.0.0.1:80` or `[2001:db8::1]:80`. */
  withPort(port: number): string {
    return this.family === 4 ? `${this.text}:${port}` : `[${this.text}]:${port}`;
  }

  /** 4 or 16 bytes in network order. */
  bytes(): Uint8Array {
    const out = new Uint8Array(this.family === 4 ? 4 : 16);
    const view = new DataView(out.buffer);
    if (this.family === 4) {
      view.setInt32(0, this.d);
    } else {
      view.setInt32(0, this.a);
      view.setInt32(4, this.b);
      view.setInt32(8, this.c);
      view.setInt32(12, this.d);
    }
    return out;
  }

  toString(): string {
    return this.text;
  }

  toJSON(): string {
    return this.text;
  }
}

/** The address of four host-order bytes, as a number from `getUint32`. */
export function ip4(word: number): Ip {
  return new Ip(4, 0, 0, 0, word);
}

/** The IPv6 address of four 32-bit words; a mapped IPv4 address becomes IPv4. */
export function ip6(a: number, b: number, c: number, d: number): Ip {
  if (a === 0 && b === 0 && c === 0xffff) return new Ip(4, 0, 0, 0, d);
  return new Ip(6, a, b, c, d);
}

function wordAt(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
}

/**
 * The address in `length` bytes at `offset`.
 * @returns undefined unless length is 4 or 16 and the range lies within `bytes`
 */
export function ipFromBytes(bytes: Uint8Array, offset = 0, length = bytes.length - offset): Ip | undefined {
  if (offset < 0 || offset + length > bytes.length) return undefined;
  if (length === 4) return ip4(wordAt(bytes, offset));
  if (length !== 16) return undefined;
  return ip6(wordAt(bytes, offset), wordAt(bytes, offset + 4), wordAt(bytes, offset + 8), wordAt(bytes, offset + 12));
}

/** Strict parse: no zone, no octal, no shortened IPv4, no surrounding space. */
export function parseIp(text: string): Ip | undefined {
  const v4 = parse4(text);
  if (v4 !== undefined) return ip4(v4);
  if (text.includes('%') || !isIPv6(text)) return undefined;
  return parse6(text);
}

function parse4(text: string): number | undefined {
  if (text.length < 7 || text.length > 15) return undefined;
  let word = 0;
  let octet = -1;
  let dots = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === 46 && octet >= 0 && dots < 3) {
      word = (word << 8) | octet;
      octet = -1;
      dots++;
    } else if (code >= 48 && code <= 57 && octet !== 0) {
      octet = octet < 0 ? code - 48 : octet * 10 + code - 48;
      if (octet > 255) return undefined;
    } else {
      return undefined;
    }
  }
  return dots === 3 && octet >= 0 ? (word << 8) | octet : undefined;
}

/** `text` has passed isIPv6 and carries no zone. */
function parse6(text: string): Ip {
  const [head = '', tail] = text.split('::');
  const left = groupsOf(head);
  const right = tail === undefined ? [] : groupsOf(tail);
  const gap = tail === undefined ? 0 : 8 - left.length - right.length;
  const g = [...left, ...new Array<number>(gap).fill(0), ...right];
  const word = (i: number) => (g[i]! << 16) | g[i + 1]!;
  return ip6(word(0), word(2), word(4), word(6));
}

function groupsOf(part: string): number[] {
  if (part === '') return [];
  return part.split(':').flatMap((group) => {
    if (!group.includes('.')) return [Number.parseInt(group, 16)];
    const word = parse4(group) ?? 0;
    return [word >>> 16, word & 0xffff];
  });
}

function textOf4(word: number): string {
  return `${word >>> 24}.${(word >>> 16) & 255}.${(word >>> 8) & 255}.${word & 255}`;
}

function textOf6(ip: Ip): string {
  const groups = [ip.a, ip.b, ip.c, ip.d].flatMap((word) => [word >>> 16, word & 0xffff]);
  // RFC 5952: the longest run of two or more zero groups shrinks, the first of equal ones.
  let best = 0;
  let length = 1;
  for (let i = 0, run = 0; i < 8; i++) {
    run = groups[i] === 0 ? run + 1 : 0;
    if (run > length) {
      best = i - run + 1;
      length = run;
    }
  }
  const hex = (list: readonly number[]) => list.map((group) => group.toString(16)).join(':');
  if (length < 2) return hex(groups);
  return `${hex(groups.slice(0, best))}::${hex(groups.slice(best + length))}`;
}
