// SPDX-License-Identifier: Apache-2.0
// Names and texts of Linux error numbers, and what usually causes them. On the hot path a failed call is a negative
// errno; off it the number becomes an AmbitError that names the call, the errno and the likely cause.
import { AmbitError } from '#lib/kit/error.ts';

export const EPERM = 1;
export const ENOENT = 2;
export const ESRCH = 3;
export const EINTR = 4;
export const EBADF = 9;
export const EAGAIN = 11;
export const ENOMEM = 12;
export const EACCES = 13;
export const EFAULT = 14;
export const EEXIST = 17;
export const ENOTDIR = 20;
export const EINVAL = 22;
export const ENFILE = 23;
export const EMFILE = 24;
export const EPIPE = 32;
export const ERANGE = 34;
export const ELOOP = 40;
export const EPROTO = 71;
export const EMSGSIZE = 90;
export const ENOPROTOOPT = 92;
export const EAFNOSUPPORT = 97;
export const EADDRINUSE = 98;
export const EADDRNOTAVAIL = 99;
export const ENETDOWN = 100;
export const ENETUNREACH = 101;
export const ECONNABORTED = 103;
export const ECONNRESET = 104;
export const ENOBUFS = 105;
export const ENOTCONN = 107;
export const ETIMEDOUT = 110;
export const ECONNREFUSED = 111;
export const EHOSTUNREACH = 113;
export const EALREADY = 114;
export const EINPROGRESS = 115;

/** Number → [name, text, likely cause]. */
const KNOWN = new Map<number, readonly [name: string, text: string, cause?: string]>([
  [EPERM, ['EPERM', 'operation not permitted', 'the process lacks a capability (NET_ADMIN, SYS_ADMIN or NET_RAW)']],
  [ENOENT, ['ENOENT', 'no such file or directory', 'the path or namespace is already gone']],
  [ESRCH, ['ESRCH', 'no such process', 'the process has ended']],
  [EINTR, ['EINTR', 'interrupted by a signal']],
  [5, ['EIO', 'input or output error']],
  [6, ['ENXIO', 'no such device or address']],
  [EBADF, ['EBADF', 'bad descriptor', 'the descriptor was closed or never open: a fault of this program']],
  [10, ['ECHILD', 'no child process']],
  [EAGAIN, ['EAGAIN', 'would block']],
  [ENOMEM, ['ENOMEM', 'out of memory', 'the memory limit of the container is too small']],
  [EACCES, ['EACCES', 'permission denied', 'file mode, or a security module forbids it']],
  [EFAULT, ['EFAULT', 'bad address', 'a pointer outside its arena: a fault of this program']],
  [16, ['EBUSY', 'busy']],
  [EEXIST, ['EEXIST', 'already exists']],
  [19, ['ENODEV', 'no such device']],
  [ENOTDIR, ['ENOTDIR', 'not a directory']],
  [21, ['EISDIR', 'is a directory']],
  [EINVAL, ['EINVAL', 'invalid argument', 'the kernel lacks this option, or the descriptor is of another kind']],
  [ENFILE, ['ENFILE', 'the system has too many open files', 'raise fs.file-max']],
  [EMFILE, ['EMFILE', 'this process has too many open files', 'raise the limit of open files (ulimit -n)']],
  [27, ['EFBIG', 'file too large']],
  [28, ['ENOSPC', 'no space left']],
  [30, ['EROFS', 'read-only file system']],
  [EPIPE, ['EPIPE', 'the other side is closed']],
  [ERANGE, ['ERANGE', 'out of range']],
  [36, ['ENAMETOOLONG', 'name too long']],
  [38, ['ENOSYS', 'the kernel lacks this call']],
  [ELOOP, ['ELOOP', 'too many symbolic links']],
  [EPROTO, ['EPROTO', 'protocol error']],
  [88, ['ENOTSOCK', 'not a socket']],
  [89, ['EDESTADDRREQ', 'destination address required']],
  [EMSGSIZE, ['EMSGSIZE', 'message too long']],
  [91, ['EPROTOTYPE', 'wrong socket type', 'the socket on the other side is of another type']],
  [ENOPROTOOPT, ['ENOPROTOOPT', 'no such socket option']],
  [93, ['EPROTONOSUPPORT', 'protocol not supported']],
  [95, ['EOPNOTSUPP', 'operation not supported']],
  [EAFNOSUPPORT, ['EAFNOSUPPORT', 'address family not supported', 'IPv6 is disabled in this network namespace']],
  [EADDRINUSE, ['EADDRINUSE', 'address in use', 'another program listens there without SO_REUSEPORT']],
  [EADDRNOTAVAIL, ['EADDRNOTAVAIL', 'address not available', 'no interface has the address, or no port is free']],
  [ENETDOWN, ['ENETDOWN', 'network is down']],
  [ENETUNREACH, ['ENETUNREACH', 'network unreachable', 'no route from this network namespace']],
  [102, ['ENETRESET', 'connection dropped by the network']],
  [ECONNABORTED, ['ECONNABORTED', 'connection aborted before it was accepted']],
  [ECONNRESET, ['ECONNRESET', 'connection reset by the peer']],
  [ENOBUFS, ['ENOBUFS', 'no buffer space']],
  [106, ['EISCONN', 'already connected']],
  [ENOTCONN, ['ENOTCONN', 'not connected']],
  [ETIMEDOUT, ['ETIMEDOUT', 'timed out', 'the peer or the way to it does not answer']],
  [ECONNREFUSED, ['ECONNREFUSED', 'connection refused', 'nothing listens at that address and port']],
  [112, ['EHOSTDOWN', 'host is down']],
  [EHOSTUNREACH, ['EHOSTUNREACH', 'host unreachable', 'the peer is gone, or a firewall rejects']],
  [EALREADY, ['EALREADY', 'already in progress']],
  [EINPROGRESS, ['EINPROGRESS', 'in progress']],
]);

/** The symbol of an error number, given positive or negative: ECONNREFUSED, or E1234 when unknown. */
export function errnoName(errno: number): string {
  const positive = Math.abs(errno);
  return KNOWN.get(positive)?.[0] ?? `E${positive}`;
}

/** A short text for an error number, given positive or negative. */
export function errnoText(errno: number): string {
  return KNOWN.get(Math.abs(errno))?.[1] ?? 'unknown error';
}

/** What usually causes this error, if something can be said. */
export function errnoCause(errno: number): string | undefined {
  return KNOWN.get(Math.abs(errno))?.[2];
}

/** A failed call as an error: code SYSCALL_ECONNREFUSED, text "connect 10.0.0.1:80: ECONNREFUSED (connection refused)". */
export function callError(call: string, errno: number, detail = ''): AmbitError {
  const name = errnoName(errno);
  const advice = errnoCause(errno);
  const subject = detail === '' ? call : `${call} ${detail}`;
  return new AmbitError(`SYSCALL_${name}`, `${subject}: ${name} (${errnoText(errno)})`, advice ? { advice } : {});
}

/** Returns `result` unless it is a negative errno, which is thrown as an error. For callers off the hot path. */
export function must(result: number, call: string, detail = ''): number {
  if (result < 0) throw callError(call, result, detail);
  return result;
}
