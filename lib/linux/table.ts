// SPDX-License-Identifier: Apache-2.0
// The only declaration of every libc function that this product calls through node:ffi, each with its man page.
//
// How a signature is written decides what a call costs on Node 26.10. With a number type among the arguments Node puts a checking wrapper
// around the function: 65 ns for three arguments, and 240 to 330 ns and garbage for four or more. A function of two or more arguments that
// are all 'pointer' comes bare, as a V8 fast call: 7 to 10 ns. So everything here is a pointer, given as a bigint that fills
// its register, also where C says int or size_t; ffi.ts turns numbers into (kept) bigints. Results are int32 where they fit.

const i = 'int32';
const p = 'pointer';

/** Signatures by symbol; at most 80 of them, since each is a hole in the type system. */
export const TABLE = {
  /** errno(3): the address of this thread's errno. */
  __errno_location: { return: 'uint64', arguments: [] },

  // Waiting
  /** epoll_create1(2): flags. */
  epoll_create1: { return: i, arguments: [i] },
  /** epoll_ctl(2): epoll, operation, descriptor, event. */
  epoll_ctl: { return: i, arguments: [p, p, p, p] },
  /** epoll_wait(2): epoll, events, capacity, timeout in ms. */
  epoll_wait: { return: i, arguments: [p, p, p, p] },
  /** poll(2): pollfds, count, timeout in ms. */
  poll: { return: i, arguments: [p, p, p] },
  /** eventfd(2): initial value, flags. */
  eventfd: { return: i, arguments: [p, p] },

  // Sockets
  /** socket(2): domain, type, protocol. */
  socket: { return: i, arguments: [p, p, p] },
  /** socketpair(2): domain, type, protocol, two ints out. */
  socketpair: { return: i, arguments: [p, p, p, p] },
  /** bind(2): descriptor, sockaddr, length. */
  bind: { return: i, arguments: [p, p, p] },
  /** listen(2): descriptor, backlog. */
  listen: { return: i, arguments: [p, p] },
  /** accept4(2): descriptor, sockaddr out, length in and out, flags. */
  accept4: { return: i, arguments: [p, p, p, p] },
  /** connect(2): descriptor, sockaddr, length. */
  connect: { return: i, arguments: [p, p, p] },
  /** shutdown(2): descriptor, how. */
  shutdown: { return: i, arguments: [p, p] },
  /** getsockopt(2): descriptor, level, name, value out, length in and out. */
  getsockopt: { return: i, arguments: [p, p, p, p, p] },
  /** setsockopt(2): descriptor, level, name, value, length. */
  setsockopt: { return: i, arguments: [p, p, p, p, p] },
  /** getsockname(2): descriptor, sockaddr out, length in and out. */
  getsockname: { return: i, arguments: [p, p, p] },
  /** getpeername(2): descriptor, sockaddr out, length in and out. */
  getpeername: { return: i, arguments: [p, p, p] },

  // Bytes
  /** read(2): descriptor, memory, count. */
  read: { return: i, arguments: [p, p, p] },
  /** write(2): descriptor, memory, count. */
  write: { return: i, arguments: [p, p, p] },
  /** readv(2): descriptor, iovecs, count. */
  readv: { return: i, arguments: [p, p, p] },
  /** writev(2): descriptor, iovecs, count. */
  writev: { return: i, arguments: [p, p, p] },
  /** recv(2): descriptor, memory, count, flags. */
  recv: { return: i, arguments: [p, p, p, p] },
  /** send(2): descriptor, memory, count, flags. */
  send: { return: i, arguments: [p, p, p, p] },
  /** recvmsg(2): descriptor, msghdr, flags. */
  recvmsg: { return: i, arguments: [p, p, p] },
  /** sendmsg(2): descriptor, msghdr, flags. */
  sendmsg: { return: i, arguments: [p, p, p] },
  /** splice(2): from, offset pointer, to, offset pointer, count, flags. */
  splice: { return: i, arguments: [p, p, p, p, p, p] },
  /** pipe2(2): two ints out, flags. */
  pipe2: { return: i, arguments: [p, p] },

  // Files and memory
  /** open(2): path (NUL terminated), flags, mode. */
  open: { return: i, arguments: [p, p, p] },
  /** close(2): descriptor. */
  close: { return: i, arguments: [i] },
  /** fcntl(2): descriptor, command, number. */
  fcntl: { return: i, arguments: [p, p, p] },
  /** fstat(2): descriptor, struct stat out (glibc 2.33 and later export it). */
  fstat: { return: i, arguments: [p, p] },
  /** memfd_create(2): name (NUL terminated), flags. */
  memfd_create: { return: i, arguments: [p, p] },
  /** ftruncate(2): descriptor, length. */
  ftruncate: { return: i, arguments: [p, p] },
  /** mmap(2): hint, length, protection, flags, descriptor, offset; the address, or 2^64 - 1. */
  mmap: { return: 'uint64', arguments: [p, p, p, p, p, p] },
  /** memcpy(3): to, from, count; the first again. */
  memcpy: { return: 'uint64', arguments: [p, p, p] },
  /** malloc_trim(3): bytes to keep at the top. */
  malloc_trim: { return: i, arguments: [i] },

  /** clock_gettime(2): clock, timespec out. */
  clock_gettime: { return: i, arguments: [p, p] },

  // Processes
  /** setns(2): descriptor, kind; moves the calling thread only. */
  setns: { return: i, arguments: [p, p] },
  /** unshare(2): kinds of namespace; moves the calling thread only. */
  unshare: { return: i, arguments: [i] },
  /** prctl(2): option and four numbers. */
  prctl: { return: i, arguments: [p, p, p, p, p] },
  /** getrlimit(2): resource, struct rlimit out. */
  getrlimit: { return: i, arguments: [p, p] },
  /** sched_yield(2). */
  sched_yield: { return: i, arguments: [] },
  /** sched_setscheduler(2): process, policy, struct sched_param. */
  sched_setscheduler: { return: i, arguments: [p, p, p] },
  /** setrlimit(2): resource, struct rlimit. */
  setrlimit: { return: i, arguments: [p, p] },
  /** _exit(2): status; ends the process at once, all threads with it. */
  _exit: { return: 'void', arguments: [i] },
} as const;
