// SPDX-License-Identifier: Apache-2.0
// The only declaration of every libc function that this product calls through node:ffi, each with its man page.
// All signatures are numeric, because only those take V8's fast call: int32 and uint32 are numbers, uint64 is a pointer (bigint).
// A size_t or ssize_t that never leaves 32 bits here is declared with 32 bits, or each call would make a bigint.

const i = 'int32';
const u = 'uint32';
const p = 'uint64';

/** Signatures by symbol; at most 80 of them, since each is a hole in the type system. */
export const TABLE = {
  /** errno(3): the address of this thread's errno. */
  __errno_location: { return: p, arguments: [] },

  // Waiting
  /** epoll_create1(2): flags. */
  epoll_create1: { return: i, arguments: [i] },
  /** epoll_ctl(2): epoll, operation, descriptor, event. */
  epoll_ctl: { return: i, arguments: [i, i, i, p] },
  /** epoll_wait(2): epoll, events, capacity, timeout in ms. */
  epoll_wait: { return: i, arguments: [i, p, i, i] },
  /** poll(2): pollfds, count, timeout in ms. */
  poll: { return: i, arguments: [p, u, i] },
  /** eventfd(2): initial value, flags. */
  eventfd: { return: i, arguments: [u, i] },

  // Sockets
  /** socket(2): domain, type, protocol. */
  socket: { return: i, arguments: [i, i, i] },
  /** socketpair(2): domain, type, protocol, two ints out. */
  socketpair: { return: i, arguments: [i, i, i, p] },
  /** bind(2): descriptor, sockaddr, length. */
  bind: { return: i, arguments: [i, p, u] },
  /** listen(2): descriptor, backlog. */
  listen: { return: i, arguments: [i, i] },
  /** accept4(2): descriptor, sockaddr out, length in and out, flags. */
  accept4: { return: i, arguments: [i, p, p, i] },
  /** connect(2): descriptor, sockaddr, length. */
  connect: { return: i, arguments: [i, p, u] },
  /** shutdown(2): descriptor, how. */
  shutdown: { return: i, arguments: [i, i] },
  /** getsockopt(2): descriptor, level, name, value out, length in and out. */
  getsockopt: { return: i, arguments: [i, i, i, p, p] },
  /** setsockopt(2): descriptor, level, name, value, length. */
  setsockopt: { return: i, arguments: [i, i, i, p, u] },
  /** getsockname(2): descriptor, sockaddr out, length in and out. */
  getsockname: { return: i, arguments: [i, p, p] },
  /** getpeername(2): descriptor, sockaddr out, length in and out. */
  getpeername: { return: i, arguments: [i, p, p] },

  // Bytes
  /** read(2): descriptor, memory, count. */
  read: { return: i, arguments: [i, p, u] },
  /** write(2): descriptor, memory, count. */
  write: { return: i, arguments: [i, p, u] },
  /** readv(2): descriptor, iovecs, count. */
  readv: { return: i, arguments: [i, p, i] },
  /** writev(2): descriptor, iovecs, count. */
  writev: { return: i, arguments: [i, p, i] },
  /** recv(2): descriptor, memory, count, flags. */
  recv: { return: i, arguments: [i, p, u, i] },
  /** send(2): descriptor, memory, count, flags. */
  send: { return: i, arguments: [i, p, u, i] },
  /** recvmsg(2): descriptor, msghdr, flags. */
  recvmsg: { return: i, arguments: [i, p, i] },
  /** sendmsg(2): descriptor, msghdr, flags. */
  sendmsg: { return: i, arguments: [i, p, i] },
  /** splice(2): from, offset pointer, to, offset pointer, count, flags. */
  splice: { return: i, arguments: [i, p, i, p, u, u] },
  /** pipe2(2): two ints out, flags. */
  pipe2: { return: i, arguments: [p, i] },

  // Files and memory
  /** open(2): path (NUL terminated), flags, mode. */
  open: { return: i, arguments: [p, i, u] },
  /** close(2): descriptor. */
  close: { return: i, arguments: [i] },
  /** fcntl(2): descriptor, command, number. */
  fcntl: { return: i, arguments: [i, i, i] },
  /** fstat(2): descriptor, struct stat out (glibc 2.33 and later export it). */
  fstat: { return: i, arguments: [i, p] },
  /** memfd_create(2): name (NUL terminated), flags. */
  memfd_create: { return: i, arguments: [p, u] },
  /** ftruncate(2): descriptor, length. */
  ftruncate: { return: i, arguments: [i, p] },
  /** mmap(2): hint, length, protection, flags, descriptor, offset; the address, or 2^64 - 1. */
  mmap: { return: p, arguments: [p, p, i, i, i, p] },
  /** mprotect(2): address, length, protection. */
  mprotect: { return: i, arguments: [p, p, i] },

  // Processes
  /** setns(2): descriptor, kind; moves the calling thread only. */
  setns: { return: i, arguments: [i, i] },
  /** prctl(2): option and four numbers. */
  prctl: { return: i, arguments: [i, p, p, p, p] },
  /** getrlimit(2): resource, struct rlimit out. */
  getrlimit: { return: i, arguments: [i, p] },
  /** setrlimit(2): resource, struct rlimit. */
  setrlimit: { return: i, arguments: [i, p] },
  /** kill(2): process, signal. */
  kill: { return: i, arguments: [i, i] },
  /** _exit(2): status; ends the process at once, all threads with it. */
  _exit: { return: 'void', arguments: [i] },
} as const;
