// SPDX-License-Identifier: Apache-2.0
// sendmsg(2) and recvmsg(2): descriptors over AF_UNIX sockets (unix(7)) and datagrams with their addresses (ip(7), ipv6(7)).
// Received descriptors are CLOEXEC from the start (MSG_CMSG_CLOEXEC, trap 3) and belong to the caller at once, also when the message was cut.
import { abi } from './abi/current.ts';
import { type Endpoint, readSockaddr, SOCKADDR_ROOM, writeSockaddr } from './address.ts';
import { Arena, brokenPromise } from './arena.ts';
import * as C from './constants.ts';
import { callError } from './errno.ts';
import { errnoCell, libc } from './ffi.ts';

/** The kernel passes no more descriptors in one message (SCM_MAX_FD). */
export const MAX_DESCRIPTORS = 253;

const { msghdr, cmsghdr, iovec } = abi;
const HEADER = 0;
const IOVEC = 64;
const NAME = 96;
const CONTROL = 192;
const CONTROL_ROOM = cmsghdr.data + MAX_DESCRIPTORS * 4 + 4;
const PAIR = CONTROL + CONTROL_ROOM + 64;
const scratch = Arena.allocate(PAIR + 64);
const view = scratch.view;
view.setBigUint64(HEADER + msghdr.iov, scratch.at(IOVEC), true);
view.setBigUint64(HEADER + msghdr.iovCount, 1n, true);

/** What the last receive() or udpReceive() found beside the bytes. */
export const received: {
  /** Descriptors received; the caller owns them. */
  fds: number[];
  /** The datagram was longer than the room (MSG_TRUNC). */
  truncated: boolean;
  /** Descriptors were lost for want of room (MSG_CTRUNC). */
  controlTruncated: boolean;
} = { fds: [], truncated: false, controlTruncated: false };

/** A connected pair of AF_UNIX SEQPACKET sockets, CLOEXEC and NONBLOCK. Throws SYSCALL_EMFILE. */
export function seqpacketPair(): [number, number] {
  return pair(C.SOCK_SEQPACKET);
}

/** A connected pair of AF_UNIX STREAM sockets, CLOEXEC and NONBLOCK. Throws SYSCALL_EMFILE. */
export function streamPair(): [number, number] {
  return pair(C.SOCK_STREAM);
}

/** A pipe, CLOEXEC and NONBLOCK: [read end, write end]. Throws SYSCALL_EMFILE. */
export function pipe(): [number, number] {
  if (libc.pipe2(scratch.at(PAIR), C.O_CLOEXEC | C.O_NONBLOCK) < 0) throw callError('pipe2', errnoCell[0]!);
  return [view.getInt32(PAIR, true), view.getInt32(PAIR + 4, true)];
}

/** Sends one message, with descriptors if any; they stay the caller's. Returns the byte count or a negative errno. */
export function sendMessage(
  fd: number,
  arena: Arena,
  offset: number,
  length: number,
  fds: readonly number[] = [],
): number {
  prepare(arena, offset, length, 0);
  let control = 0;
  if (fds.length > 0) {
    control = controlHeader(C.SOL_SOCKET, C.SCM_RIGHTS, Math.min(fds.length, MAX_DESCRIPTORS) * 4);
    for (let n = 0; n < fds.length && n < MAX_DESCRIPTORS; n++)
      view.setInt32(CONTROL + cmsghdr.data + n * 4, fds[n]!, true);
  }
  setControl(control);
  return finishSend(fd, length);
}

/** Receives one message into the arena; `received` holds its descriptors and flags. Byte count, 0 at the end, or a negative errno. */
export function receiveMessage(fd: number, arena: Arena, offset: number, length: number): number {
  const n = startReceive(fd, arena, offset, length, 0);
  if (n < 0) return n;
  for (let at = firstControl(); at >= 0; at = nextControl(at)) {
    if (!isControl(at, C.SOL_SOCKET, C.SCM_RIGHTS)) continue;
    const bytes = Number(view.getBigUint64(at + cmsghdr.length, true)) - cmsghdr.data;
    for (let q = 0; q + 4 <= bytes; q += 4) received.fds.push(view.getInt32(at + cmsghdr.data + q, true));
  }
  return n;
}

/**
 * Receives a datagram: `from` is its sender, `to` its destination if the socket was bound with packetInfo (the port of `to` is left alone).
 * Returns the byte count or a negative errno; `received.truncated` tells of a longer one.
 */
export function udpReceive(
  fd: number,
  arena: Arena,
  offset: number,
  length: number,
  from: Endpoint,
  to: Endpoint,
): number {
  const n = startReceive(fd, arena, offset, length, SOCKADDR_ROOM);
  if (n < 0) return n;
  const failed = readSockaddr(scratch, NAME, from);
  if (failed < 0) return failed;
  for (let at = firstControl(); at >= 0; at = nextControl(at)) {
    const data = at + cmsghdr.data;
    if (isControl(at, C.SOL_IP, C.IP_PKTINFO)) {
      to.a = 0;
      to.b = 0;
      to.c = 0xffff;
      to.d = view.getUint32(data + 8);
    } else if (isControl(at, C.SOL_IPV6, C.IPV6_PKTINFO)) {
      to.a = view.getUint32(data);
      to.b = view.getUint32(data + 4);
      to.c = view.getUint32(data + 8);
      to.d = view.getUint32(data + 12);
    }
  }
  return n;
}

/**
 * Sends a datagram to `to`, from the address `source` when given (a redirected query must be answered from where it was sent to).
 * `v6Socket` tells of a dual-stack socket. Returns the byte count or a negative errno.
 */
export function udpSend(
  fd: number,
  arena: Arena,
  offset: number,
  length: number,
  to: Endpoint,
  source: Endpoint | undefined,
  v6Socket: boolean,
): number {
  prepare(arena, offset, length, writeSockaddr(scratch, NAME, to, v6Socket));
  let control = 0;
  if (source) {
    const data = CONTROL + cmsghdr.data;
    if (v6Socket) {
      control = controlHeader(C.SOL_IPV6, C.IPV6_PKTINFO, 20);
      view.setUint32(data, source.a);
      view.setUint32(data + 4, source.b);
      view.setUint32(data + 8, source.c);
      view.setUint32(data + 12, source.d);
      view.setUint32(data + 16, 0);
    } else {
      control = controlHeader(C.SOL_IP, C.IP_PKTINFO, 12);
      view.setUint32(data, 0);
      view.setUint32(data + 4, source.d);
      view.setUint32(data + 8, 0);
    }
  }
  setControl(control);
  return finishSend(fd, length);
}

function pair(type: number): [number, number] {
  const made = libc.socketpair(C.AF_UNIX, type | C.SOCK_CLOEXEC | C.SOCK_NONBLOCK, 0, scratch.at(PAIR));
  if (made < 0) throw callError('socketpair', errnoCell[0]!);
  return [view.getInt32(PAIR, true), view.getInt32(PAIR + 4, true)];
}

/** Points the message header at the bytes and at the name, and clears its flags. */
function prepare(arena: Arena, offset: number, length: number, nameLength: number): void {
  arena.check(offset, length);
  view.setBigUint64(IOVEC + iovec.base, arena.at(offset), true);
  view.setUint32(IOVEC + iovec.length, length, true);
  view.setUint32(IOVEC + iovec.length + 4, 0, true);
  view.setBigUint64(HEADER + msghdr.name, nameLength === 0 ? 0n : scratch.at(NAME), true);
  view.setUint32(HEADER + msghdr.nameLength, nameLength, true);
  view.setInt32(HEADER + msghdr.flags, 0, true);
}

function setControl(length: number): void {
  view.setBigUint64(HEADER + msghdr.control, length === 0 ? 0n : scratch.at(CONTROL), true);
  view.setUint32(HEADER + msghdr.controlLength, length, true);
  view.setUint32(HEADER + msghdr.controlLength + 4, 0, true);
}

/** Starts the only control message of a send; returns the room that it takes, aligned. */
function controlHeader(level: number, type: number, dataLength: number): number {
  const length = cmsghdr.data + dataLength;
  view.setBigUint64(CONTROL + cmsghdr.length, BigInt(length), true);
  view.setInt32(CONTROL + cmsghdr.level, level, true);
  view.setInt32(CONTROL + cmsghdr.type, type, true);
  return align(length);
}

function finishSend(fd: number, length: number): number {
  const n = libc.sendmsg(fd, scratch.pointer, C.MSG_NOSIGNAL);
  if (n < 0) return -errnoCell[0]!;
  if (n > length) brokenPromise('sendmsg', length, n);
  return n;
}

function startReceive(fd: number, arena: Arena, offset: number, length: number, nameRoom: number): number {
  prepare(arena, offset, length, nameRoom);
  setControl(CONTROL_ROOM);
  received.fds = [];
  received.truncated = false;
  received.controlTruncated = false;
  const n = libc.recvmsg(fd, scratch.pointer, C.MSG_CMSG_CLOEXEC);
  if (n < 0) return -errnoCell[0]!;
  if (n > length) brokenPromise('recvmsg', length, n);
  const flags = view.getInt32(HEADER + msghdr.flags, true);
  received.truncated = (flags & C.MSG_TRUNC) !== 0;
  received.controlTruncated = (flags & C.MSG_CTRUNC) !== 0;
  return n;
}

/** Offset of the first control message after a receive, or -1. */
function firstControl(): number {
  return controlAt(CONTROL);
}

function nextControl(at: number): number {
  return controlAt(at + align(Number(view.getBigUint64(at + cmsghdr.length, true))));
}

/** `at` if a whole control message lies there, else -1. */
function controlAt(at: number): number {
  const end = CONTROL + Math.min(view.getUint32(HEADER + msghdr.controlLength, true), CONTROL_ROOM);
  if (at + cmsghdr.data > end) return -1;
  const length = Number(view.getBigUint64(at + cmsghdr.length, true));
  return length < cmsghdr.data || at + length > end ? -1 : at;
}

function isControl(at: number, level: number, type: number): boolean {
  return view.getInt32(at + cmsghdr.level, true) === level && view.getInt32(at + cmsghdr.type, true) === type;
}

function align(length: number): number {
  return (length + cmsghdr.align - 1) & ~(cmsghdr.align - 1);
}
