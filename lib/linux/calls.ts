// SPDX-License-Identifier: Apache-2.0
// The checked calls of the hot path. Each takes (arena, offset, length), checks the range before the call and the result after it,
// and returns the kernel's result or a negative errno: nothing is thrown for what a network does. Interrupted calls return -EINTR.
import { type Arena, brokenPromise } from './arena.ts';
import {
  MSG_NOSIGNAL,
  SHUT_RD,
  SHUT_RDWR,
  SHUT_WR,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SPLICE_F_MOVE,
  SPLICE_F_NONBLOCK,
} from './constants.ts';
import { errnoCell, libc } from './ffi.ts';

/** read(2). Returns the byte count, 0 at the end of the stream, or a negative errno. */
export function read(fd: number, arena: Arena, offset: number, length: number): number {
  arena.check(offset, length);
  const n = libc.read(fd, arena.at(offset), length);
  if (n < 0) return -errnoCell[0]!;
  if (n > length) brokenPromise('read', length, n);
  return n;
}

/** write(2), for pipes, eventfds and files; sockets use send(). Returns the byte count or a negative errno. */
export function write(fd: number, arena: Arena, offset: number, length: number): number {
  arena.check(offset, length);
  const n = libc.write(fd, arena.at(offset), length);
  if (n < 0) return -errnoCell[0]!;
  if (n > length) brokenPromise('write', length, n);
  return n;
}

/** recv(2) with `flags`, for example MSG_PEEK. Returns the byte count, 0 at the end, or a negative errno. */
export function recv(fd: number, arena: Arena, offset: number, length: number, flags: number): number {
  arena.check(offset, length);
  const n = libc.recv(fd, arena.at(offset), length, flags);
  if (n < 0) return -errnoCell[0]!;
  if (n > length) brokenPromise('recv', length, n);
  return n;
}

/** send(2), never raising SIGPIPE. Returns the byte count or a negative errno. */
export function send(fd: number, arena: Arena, offset: number, length: number, flags = 0): number {
  arena.check(offset, length);
  const n = libc.send(fd, arena.at(offset), length, flags | MSG_NOSIGNAL);
  if (n < 0) return -errnoCell[0]!;
  if (n > length) brokenPromise('send', length, n);
  return n;
}

/** read(2) into memory that another library owns, such as OpenSSL's BIO ring. For lib/tls only. */
export function readForeign(fd: number, pointer: bigint, length: number): number {
  const n = libc.read(fd, pointer, length);
  if (n < 0) return -errnoCell[0]!;
  if (n > length) brokenPromise('read', length, n);
  return n;
}

/** send(2) from memory that another library owns, such as OpenSSL's BIO ring. For lib/tls only. */
export function sendForeign(fd: number, pointer: bigint, length: number, flags = 0): number {
  const n = libc.send(fd, pointer, length, flags | MSG_NOSIGNAL);
  if (n < 0) return -errnoCell[0]!;
  if (n > length) brokenPromise('send', length, n);
  return n;
}

/** Copies from an arena into memory that another library owns and has room for `length` bytes. For lib/tls and its transports. */
export function copyToForeign(pointer: bigint, arena: Arena, offset: number, length: number): void {
  arena.check(offset, length);
  libc.memcpy(pointer, arena.at(offset), length);
}

/** Copies `length` bytes that another library owns into an arena. For lib/tls and its transports. */
export function copyFromForeign(arena: Arena, offset: number, pointer: bigint, length: number): void {
  arena.check(offset, length);
  libc.memcpy(arena.at(offset), pointer, length);
}

/** accept4(2) with CLOEXEC and NONBLOCK; the peer is asked for with peerAddress(). Returns the descriptor or a negative errno. */
export function accept(fd: number): number {
  const n = libc.accept4(fd, 0n, 0n, SOCK_CLOEXEC | SOCK_NONBLOCK);
  return n < 0 ? -errnoCell[0]! : n;
}

/** close(2). Never repeated: after EINTR the descriptor is gone on Linux. Returns 0 or a negative errno. */
export function close(fd: number): number {
  return libc.close(fd) < 0 ? -errnoCell[0]! : 0;
}

/** shutdown(2) of the sending side: the peer reads to the end. Returns 0 or a negative errno. */
export function shutdownWrite(fd: number): number {
  return libc.shutdown(fd, SHUT_WR) < 0 ? -errnoCell[0]! : 0;
}

/** shutdown(2) of the receiving side. Returns 0 or a negative errno. */
export function shutdownRead(fd: number): number {
  return libc.shutdown(fd, SHUT_RD) < 0 ? -errnoCell[0]! : 0;
}

/** shutdown(2) of both sides. Returns 0 or a negative errno. */
export function shutdownBoth(fd: number): number {
  return libc.shutdown(fd, SHUT_RDWR) < 0 ? -errnoCell[0]! : 0;
}

/** splice(2) between a pipe and a socket, moving at most `length` bytes without blocking. Returns the count or a negative errno. */
export function splice(from: number, to: number, length: number): number {
  const n = libc.splice(from, 0n, to, 0n, length, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
  return n < 0 ? -errnoCell[0]! : n;
}
