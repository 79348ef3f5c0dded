// SPDX-License-Identifier: Apache-2.0
//
// Address ranges with their masks made beforehand: policies and CIDR virtual addresses ask `contains` for every
// connection.

import { Ip, parseIp } from './ip.ts';

/** The 32-bit mask word `index` (0 is the most significant) of a prefix `length` bits long. */
function maskWord(length: number, index: number): number {
  const bits = Math.min(32, Math.max(0, length - index * 32));
  return bits === 0 ? 0 : -1 << (32 - bits);
}

/** A range: the first `length` bits of an address. Bits beyond are cleared. */
export class Cidr {
  readonly base: Ip;
  /** 0–32 for IPv4, 0–128 for IPv6. */
  readonly length: number;
  readonly #a: number;
  readonly #b: number;
  readonly #c: number;
  readonly #d: number;

  /** @throws RangeError when `length` is not a prefix length of the address's family */
  constructor(ip: Ip, length: number) {
    const full = ip.family === 4 ? 32 : 128;
    if (!Number.isInteger(length) || length < 0 || length > full) {
      throw new RangeError(`prefix length ${length} of ${ip.text} is not within 0 and ${full}`);
    }
    const v4 = ip.family === 4;
    this.#a = v4 ? 0 : maskWord(length, 0);
    this.#b = v4 ? 0 : maskWord(length, 1);
    this.#c = v4 ? 0 : maskWord(length, 2);
    this.#d = v4 ? maskWord(length, 0) : maskWord(length, 3);
    this.base = new Ip(ip.family, ip.a & this.#a, ip.b & this.#b, ip.c & this.#c, ip.d & this.#d);
    this.length = length;
  }

  contains(ip: Ip): boolean {
    const { base } = this;
    return (
      ip.family === base.family &&
      (ip.d & this.#d) === base.d &&
      (ip.c & this.#c) === base.c &&
      (ip.b & this.#b) === base.b &&
      (ip.a & this.#a) === base.a
    );
  }

  /** True when the range is one address. */
  get host(): boolean {
    return this.length === (this.base.family === 4 ? 32 : 128);
  }

  toString(): string {
    return `${this.base.text}/${this.length}`;
  }

  toJSON(): string {
    return this.toString();
  }
}

/** `a.b.c.d/n`, `x::/n`, or a bare address, which is a range of one. */
export function parseCidr(text: string): Cidr | undefined {
  const slash = text.indexOf('/');
  const ip = parseIp(slash < 0 ? text : text.slice(0, slash));
  if (ip === undefined) return undefined;
  const full = ip.family === 4 ? 32 : 128;
  if (slash < 0) return new Cidr(ip, full);
  const digits = text.slice(slash + 1);
  if (!/^(0|[1-9]\d{0,2})$/.test(digits)) return undefined;
  const length = Number(digits);
  return length > full ? undefined : new Cidr(ip, length);
}
