// SPDX-License-Identifier: Apache-2.0
// The one factory of sockets. Every socket is CLOEXEC and NONBLOCK from its first instant (traps 3 and 20), and every option
// that decides where packets go is set before bind and connect. Slow-path functions throw; those marked "hot" return negative errnos.
import { abi } from './abi/current.ts';
import { type Endpoint, readSockaddr, SOCKADDR_ROOM, writeSockaddr } from './address.ts';
import { Arena } from './arena.ts';
import * as C from './constants.ts';
import { callError, EINPROGRESS, EINTR, must } from './errno.ts';
import { errnoCell, libc } from './ffi.ts';
import { socketInNetns } from './netns.ts';

/** TCP keepalive, in seconds as the kernel wants it (tcp(7)). */
export interface KeepAlive {
  readonly idleS: number;
  readonly intervalS: number;
  readonly probes: number;
}

/** What a socket may be told before it is used. */
export interface SocketOptions {
  /** Descriptor of the network namespace to make it in; the thread's own when absent. */
  readonly netns?: number | undefined;
  /** SO_MARK; 0 or absent sets none. Needs CAP_NET_ADMIN. */
  readonly mark?: number | undefined;
  /** IP_TRANSPARENT: accept for, or speak from, addresses that are not ours. Needs CAP_NET_ADMIN. */
  readonly transparent?: boolean | undefined;
  /** IP_FREEBIND: bind to an address that no interface has. */
  readonly freebind?: boolean | undefined;
  /** SO_REUSEPORT: share the port with other processes. */
  readonly reusePort?: boolean | undefined;
  readonly noDelay?: boolean | undefined;
  readonly keepAlive?: KeepAlive | undefined;
  /** TCP_USER_TIMEOUT in ms. */
  readonly userTimeoutMs?: number | undefined;
}

export interface DialOptions extends SocketOptions {
  /** Source address (port 0: the kernel picks one at connect, IP_BIND_ADDRESS_NO_PORT). */
  readonly source?: Endpoint | undefined;
}

export interface ListenOptions extends SocketOptions {
  /** Pending connections the kernel holds; 128 unless told, as the node proxies of the field do. */
  readonly backlog?: number | undefined;
  /** For an IPv6 endpoint: refuse IPv4. Off by default, so [::] serves both. */
  readonly v6Only?: boolean | undefined;
}

export interface UdpOptions extends SocketOptions {
  readonly v6Only?: boolean | undefined;
  /** Report each datagram's destination (IP_PKTINFO, IPV6_RECVPKTINFO) to udpReceive. */
  readonly packetInfo?: boolean | undefined;
}

const scratch = Arena.allocate(256);
const ADDRESS = 0;
const LENGTH = 64;
const VALUE = 128;
const addressPointer = scratch.at(ADDRESS);
const lengthPointer = scratch.at(LENGTH);
const valuePointer = scratch.at(VALUE);
const FLAGS = C.SOCK_CLOEXEC | C.SOCK_NONBLOCK;

/** setsockopt(2) with an int. Hot. Returns 0 or a negative errno. */
export function setOption(fd: number, level: number, name: number, value: number): number {
  scratch.view.setInt32(VALUE, value, true);
  return libc.setsockopt(fd, level, name, valuePointer, 4) < 0 ? -errnoCell[0]! : 0;
}

/** getsockopt(2) of an int that is never negative. Hot. Returns the value or a negative errno. */
export function getOption(fd: number, level: number, name: number): number {
  scratch.view.setUint32(LENGTH, 4, true);
  if (libc.getsockopt(fd, level, name, valuePointer, lengthPointer) < 0) return -errnoCell[0]!;
  return scratch.view.getInt32(VALUE, true);
}

/** The pending error of a socket (SO_ERROR) as a positive errno, 0 for none; reading it clears it. Hot. */
export function socketError(fd: number): number {
  return Math.abs(getOption(fd, C.SOL_SOCKET, C.SO_ERROR));
}

/** Makes close(2) send RST instead of FIN (SO_LINGER 0), so that a broken stream is not taken for a whole one. Hot. */
export function resetOnClose(fd: number): number {
  scratch.view.setInt32(VALUE, 1, true);
  scratch.view.setInt32(VALUE + 4, 0, true);
  return libc.setsockopt(fd, C.SOL_SOCKET, C.SO_LINGER, valuePointer, 8) < 0 ? -errnoCell[0]! : 0;
}

/**
 * accept4(2) of a TCP listener, with CLOEXEC and NONBLOCK, that also tells who dialled. Hot. Returns the descriptor or a negative errno;
 * `peer` is set with a descriptor only.
 */
export function acceptFrom(fd: number, peer: Endpoint): number {
  scratch.view.setUint32(LENGTH, SOCKADDR_ROOM, true);
  const accepted = libc.accept4(fd, addressPointer, lengthPointer, FLAGS);
  if (accepted < 0) return -errnoCell[0]!;
  readSockaddr(scratch, ADDRESS, peer);
  return accepted;
}

/** getsockname(2). Hot. Returns 0 or a negative errno. */
export function localAddress(fd: number, into: Endpoint): number {
  scratch.view.setUint32(LENGTH, SOCKADDR_ROOM, true);
  if (libc.getsockname(fd, addressPointer, lengthPointer) < 0) return -errnoCell[0]!;
  return readSockaddr(scratch, ADDRESS, into);
}

/** getpeername(2). Hot. Returns 0 or a negative errno. */
export function peerAddress(fd: number, into: Endpoint): number {
  scratch.view.setUint32(LENGTH, SOCKADDR_ROOM, true);
  if (libc.getpeername(fd, addressPointer, lengthPointer) < 0) return -errnoCell[0]!;
  return readSockaddr(scratch, ADDRESS, into);
}

/**
 * Where a redirected connection was going (SO_ORIGINAL_DST, then its IPv6 twin). Hot. Returns 0, or a negative errno
 * (-ENOENT or -ENOPROTOOPT) when the kernel tracked no redirection: then localAddress() is the answer.
 */
export function originalDestination(fd: number, into: Endpoint): number {
  scratch.view.setUint32(LENGTH, abi.sockaddrIn.size, true);
  if (libc.getsockopt(fd, C.SOL_IP, C.SO_ORIGINAL_DST, addressPointer, lengthPointer) === 0) {
    return readSockaddr(scratch, ADDRESS, into);
  }
  scratch.view.setUint32(LENGTH, abi.sockaddrIn6.size, true);
  if (libc.getsockopt(fd, C.SOL_IPV6, C.IP6T_SO_ORIGINAL_DST, addressPointer, lengthPointer) < 0) return -errnoCell[0]!;
  return readSockaddr(scratch, ADDRESS, into);
}

/**
 * Starts a TCP connection. Hot. Returns the descriptor, connecting or connected (EPOLLOUT, then socketError()), or a negative errno with
 * nothing left open. A source that cannot be bound is an error here; whether to go on without it is the caller's decision.
 */
export function tcpDial(to: Endpoint, options: DialOptions): number {
  const v4 = to.isV4;
  const fd = open(v4 ? C.AF_INET : C.AF_INET6, C.SOCK_STREAM, options);
  if (fd < 0) return fd;
  let failed = configure(fd, v4, options);
  if (failed === 0 && options.source) failed = bindSource(fd, v4, options.source);
  if (failed === 0) failed = connect(fd, to);
  if (failed === 0) return fd;
  libc.close(fd);
  return failed;
}

/** A listening TCP socket at `at` ([::] serves IPv4 too unless v6Only). Throws with the endpoint named. */
export function tcpListen(at: Endpoint, options: ListenOptions = {}): number {
  const v4 = at.isV4;
  const fd = must(open(v4 ? C.AF_INET : C.AF_INET6, C.SOCK_STREAM, options), 'socket', `for ${at}`);
  try {
    must(setOption(fd, C.SOL_SOCKET, C.SO_REUSEADDR, 1), 'setsockopt SO_REUSEADDR');
    if (!v4) must(setOption(fd, C.SOL_IPV6, C.IPV6_V6ONLY, options.v6Only ? 1 : 0), 'setsockopt IPV6_V6ONLY');
    must(configure(fd, v4, options), 'setsockopt', `for ${at}`);
    bindTo(fd, at);
    if (libc.listen(fd, options.backlog ?? 128) < 0) throw callError('listen', errnoCell[0]!, `${at}`);
    return fd;
  } catch (error) {
    libc.close(fd);
    throw error;
  }
}

/** A UDP socket bound to `at`. Throws with the endpoint named. */
export function udpBind(at: Endpoint, options: UdpOptions = {}): number {
  const v4 = at.isV4;
  const fd = must(open(v4 ? C.AF_INET : C.AF_INET6, C.SOCK_DGRAM, options), 'socket', `for ${at}`);
  try {
    if (!v4) must(setOption(fd, C.SOL_IPV6, C.IPV6_V6ONLY, options.v6Only ? 1 : 0), 'setsockopt IPV6_V6ONLY');
    must(configure(fd, v4, options), 'setsockopt', `for ${at}`);
    if (options.packetInfo) {
      if (v4 || !options.v6Only) must(setOption(fd, C.SOL_IP, C.IP_PKTINFO, 1), 'setsockopt IP_PKTINFO');
      if (!v4) must(setOption(fd, C.SOL_IPV6, C.IPV6_RECVPKTINFO, 1), 'setsockopt IPV6_RECVPKTINFO');
    }
    bindTo(fd, at);
    return fd;
  } catch (error) {
    libc.close(fd);
    throw error;
  }
}

/** connect(2) of a UDP socket, so that it hears only `to`. Returns 0 or a negative errno. */
export function udpConnect(fd: number, to: Endpoint): number {
  return connect(fd, to);
}

function open(domain: number, type: number, options: SocketOptions): number {
  if (options.netns !== undefined) return socketInNetns(options.netns, domain, type | FLAGS, 0);
  const fd = libc.socket(domain, type | FLAGS, 0);
  return fd < 0 ? -errnoCell[0]! : fd;
}

/** Options that must stand before bind and connect. Returns 0 or the first negative errno. */
function configure(fd: number, v4: boolean, options: SocketOptions): number {
  let failed = 0;
  if (options.mark) failed ||= setOption(fd, C.SOL_SOCKET, C.SO_MARK, options.mark);
  if (options.reusePort) failed ||= setOption(fd, C.SOL_SOCKET, C.SO_REUSEPORT, 1);
  if (options.transparent) {
    failed ||= v4 ? 0 : setOption(fd, C.SOL_IPV6, C.IPV6_TRANSPARENT, 1);
    failed ||= setOption(fd, C.SOL_IP, C.IP_TRANSPARENT, 1);
  }
  if (options.freebind) {
    failed ||= v4 ? setOption(fd, C.SOL_IP, C.IP_FREEBIND, 1) : setOption(fd, C.SOL_IPV6, C.IPV6_FREEBIND, 1);
  }
  if (options.noDelay) failed ||= setOption(fd, C.SOL_TCP, C.TCP_NODELAY, 1);
  if (options.userTimeoutMs) failed ||= setOption(fd, C.SOL_TCP, C.TCP_USER_TIMEOUT, options.userTimeoutMs);
  if (options.keepAlive) {
    const { idleS, intervalS, probes } = options.keepAlive;
    failed ||= setOption(fd, C.SOL_SOCKET, C.SO_KEEPALIVE, 1);
    failed ||= setOption(fd, C.SOL_TCP, C.TCP_KEEPIDLE, idleS);
    failed ||= setOption(fd, C.SOL_TCP, C.TCP_KEEPINTVL, intervalS);
    failed ||= setOption(fd, C.SOL_TCP, C.TCP_KEEPCNT, probes);
  }
  return failed;
}

/** Trap 20: without NO_PORT a kept source runs out of ports after a few hundred connections. */
function bindSource(fd: number, v4: boolean, source: Endpoint): number {
  const failed = setOption(fd, C.SOL_IP, C.IP_BIND_ADDRESS_NO_PORT, 1);
  if (failed < 0) return failed;
  const length = writeSockaddr(scratch, ADDRESS, source, !v4);
  return libc.bind(fd, addressPointer, length) < 0 ? -errnoCell[0]! : 0;
}

function bindTo(fd: number, at: Endpoint): void {
  const length = writeSockaddr(scratch, ADDRESS, at);
  if (libc.bind(fd, addressPointer, length) < 0) throw callError('bind', errnoCell[0]!, `${at}`);
}

function connect(fd: number, to: Endpoint): number {
  const length = writeSockaddr(scratch, ADDRESS, to);
  if (libc.connect(fd, addressPointer, length) === 0) return 0;
  const errno = errnoCell[0]!;
  return errno === EINPROGRESS || errno === EINTR ? 0 : -errno;
}
