// SPDX-License-Identifier: Apache-2.0
// An IP address and port as numbers, and struct sockaddr to and from it (ip(7), ipv6(7)). IPv4 and IPv4-mapped IPv6 are the
// same value here, so a dual-stack listener and an IPv4 one see the same peer, and look-ups compare five integers without text.
import { abi } from './abi/current.ts';
import type { Arena } from './arena.ts';
import { AF_INET, AF_INET6 } from './constants.ts';
import { EAFNOSUPPORT } from './errno.ts';
import { formatIp, parseIp } from './ip-text.ts';

const MAPPED = 0xffff;

/** Room that any sockaddr of ours needs, in bytes. */
export const SOCKADDR_ROOM = 32;

/** IP address and port, mutable so that the hot path can reuse one. */
export class Endpoint {
  /** The address's 128 bits, most significant word first, each unsigned; IPv4 is ::ffff:a.b.c.d. */
  a = 0;
  b = 0;
  c = MAPPED;
  d = 0;
  port = 0;

  /** From text: "10.0.0.1", "fd00::1", "::ffff:10.0.0.1"; undefined when it is not an address. */
  static parse(ip: string, port = 0): Endpoint | undefined {
    const words = parseIp(ip);
    if (!words) return undefined;
    const endpoint = new Endpoint();
    [endpoint.a, endpoint.b, endpoint.c, endpoint.d] = words;
    endpoint.port = port;
    return endpoint;
  }

  get isV4(): boolean {
    return this.c === MAPPED && this.b === 0 && this.a === 0;
  }

  /** 127.0.0.0/8 or ::1. */
  get isLoopback(): boolean {
    if (this.isV4) return this.d >>> 24 === 127;
    return this.d === 1 && this.c === 0 && this.b === 0 && this.a === 0;
  }

  /** 0.0.0.0 or ::. */
  get isAny(): boolean {
    return this.d === 0 && this.a === 0 && this.b === 0 && (this.c === 0 || this.c === MAPPED);
  }

  /** Canonical text of the address (RFC 5952; dotted for IPv4, mapped or not). */
  ip(): string {
    return formatIp(this.a, this.b, this.c, this.d);
  }

  /** "10.0.0.1:80" or "[fd00::1]:80". */
  toString(): string {
    return this.isV4 ? `${this.ip()}:${this.port}` : `[${this.ip()}]:${this.port}`;
  }

  /** Takes the value of `other`. */
  set(other: Endpoint): void {
    this.a = other.a;
    this.b = other.b;
    this.c = other.c;
    this.d = other.d;
    this.port = other.port;
  }

  clone(): Endpoint {
    const copy = new Endpoint();
    copy.set(this);
    return copy;
  }

  sameIp(other: Endpoint): boolean {
    return this.d === other.d && this.c === other.c && this.b === other.b && this.a === other.a;
  }

  equals(other: Endpoint): boolean {
    return this.port === other.port && this.sameIp(other);
  }
}

/** Writes a sockaddr for `endpoint` and returns its length. `v6` forces AF_INET6 (a mapped address on a dual-stack socket). */
export function writeSockaddr(arena: Arena, offset: number, endpoint: Endpoint, v6 = false): number {
  const view = arena.view;
  if (endpoint.isV4 && !v6) {
    const { size, family, port, address } = abi.sockaddrIn;
    arena.check(offset, size);
    view.setUint16(offset + family, AF_INET, true);
    view.setUint16(offset + port, endpoint.port);
    view.setUint32(offset + address, endpoint.d);
    view.setUint32(offset + 8, 0);
    view.setUint32(offset + 12, 0);
    return size;
  }
  const { size, family, port, address, scope } = abi.sockaddrIn6;
  arena.check(offset, size);
  view.setUint16(offset + family, AF_INET6, true);
  view.setUint16(offset + port, endpoint.port);
  view.setUint32(offset + 4, 0);
  view.setUint32(offset + address, endpoint.a);
  view.setUint32(offset + address + 4, endpoint.b);
  view.setUint32(offset + address + 8, endpoint.c);
  view.setUint32(offset + address + 12, endpoint.d);
  view.setUint32(offset + scope, 0);
  return size;
}

/** Reads a sockaddr that a call left at `offset` into `into`. Returns 0, or -EAFNOSUPPORT when it is neither IPv4 nor IPv6. */
export function readSockaddr(arena: Arena, offset: number, into: Endpoint): number {
  const view = arena.view;
  arena.check(offset, abi.sockaddrIn6.size);
  const family = view.getUint16(offset + abi.sockaddrIn.family, true);
  into.port = view.getUint16(offset + abi.sockaddrIn.port);
  if (family === AF_INET) {
    into.a = 0;
    into.b = 0;
    into.c = MAPPED;
    into.d = view.getUint32(offset + abi.sockaddrIn.address);
    return 0;
  }
  if (family !== AF_INET6) return -EAFNOSUPPORT;
  const at = offset + abi.sockaddrIn6.address;
  into.a = view.getUint32(at);
  into.b = view.getUint32(at + 4);
  into.c = view.getUint32(at + 8);
  into.d = view.getUint32(at + 12);
  return 0;
}
