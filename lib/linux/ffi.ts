// SPDX-License-Identifier: Apache-2.0
// Opens the libc functions of table.ts in the running process, and gives each the parameters that C's prototype has: numbers for int and
// size_t, bigints for pointers. Everything that is handed a pointer goes through arena.ts and calls.ts instead of coming here.
import type * as Ffi from 'node:ffi';
import { AmbitError } from '#lib/kit/error.ts';
import { big } from './big.ts';
import { TABLE } from './table.ts';

function load(): typeof Ffi {
  const ffi = process.getBuiltinModule('node:ffi') as typeof Ffi | undefined;
  if (ffi) return ffi;
  throw new AmbitError('FFI_MISSING', `node:ffi is not part of this Node (${process.version}, ${process.execPath})`, {
    advice: 'run with the pinned Node 26.10: node_modules/.bin/node, installed by npm ci',
  });
}

export const ffi = load();

function open() {
  try {
    // A copy, since what node:ffi returns is an object in dictionary mode, whose functions V8 would not inline.
    return { ...ffi.dlopen(null, TABLE).functions };
  } catch (cause) {
    throw new AmbitError('FFI_SYMBOL', 'a libc function of the table is not exported by this process', {
      cause,
      advice: 'run the pinned Node 26.10 on Linux with glibc 2.33 or later',
    });
  }
}

const raw = open();

/**
 * The libc functions. Only lib/linux may use them; pointers must come from an arena. Each is small enough to be inlined where it is called, so a
 * call is direct. A result of -1 means that errnoCell says why; see the man pages named in table.ts.
 */
export const libc = {
  close: (fd: number) => raw.close(fd),
  epoll_create1: (flags: number) => raw.epoll_create1(flags),
  _exit: (status: number) => raw._exit(status),
  unshare: (kinds: number) => raw.unshare(kinds),
  epoll_ctl: (epoll: number, operation: number, fd: number, event: bigint) =>
    raw.epoll_ctl(big(epoll), big(operation), big(fd), event),
  epoll_wait: (epoll: number, events: bigint, capacity: number, timeoutMs: number) =>
    raw.epoll_wait(big(epoll), events, big(capacity), big(timeoutMs)),
  poll: (fds: bigint, count: number, timeoutMs: number) => raw.poll(fds, big(count), big(timeoutMs)),
  eventfd: (initial: number, flags: number) => raw.eventfd(big(initial), big(flags)),
  socket: (domain: number, type: number, protocol: number) => raw.socket(big(domain), big(type), big(protocol)),
  socketpair: (domain: number, type: number, protocol: number, out: bigint) =>
    raw.socketpair(big(domain), big(type), big(protocol), out),
  bind: (fd: number, address: bigint, length: number) => raw.bind(big(fd), address, big(length)),
  listen: (fd: number, backlog: number) => raw.listen(big(fd), big(backlog)),
  accept4: (fd: number, address: bigint, length: bigint, flags: number) =>
    raw.accept4(big(fd), address, length, big(flags)),
  connect: (fd: number, address: bigint, length: number) => raw.connect(big(fd), address, big(length)),
  shutdown: (fd: number, how: number) => raw.shutdown(big(fd), big(how)),
  getsockopt: (fd: number, level: number, name: number, value: bigint, length: bigint) =>
    raw.getsockopt(big(fd), big(level), big(name), value, length),
  setsockopt: (fd: number, level: number, name: number, value: bigint, length: number) =>
    raw.setsockopt(big(fd), big(level), big(name), value, big(length)),
  getsockname: (fd: number, address: bigint, length: bigint) => raw.getsockname(big(fd), address, length),
  getpeername: (fd: number, address: bigint, length: bigint) => raw.getpeername(big(fd), address, length),
  read: (fd: number, at: bigint, count: number) => raw.read(big(fd), at, big(count)),
  write: (fd: number, at: bigint, count: number) => raw.write(big(fd), at, big(count)),
  readv: (fd: number, iov: bigint, count: number) => raw.readv(big(fd), iov, big(count)),
  writev: (fd: number, iov: bigint, count: number) => raw.writev(big(fd), iov, big(count)),
  recv: (fd: number, at: bigint, count: number, flags: number) => raw.recv(big(fd), at, big(count), big(flags)),
  send: (fd: number, at: bigint, count: number, flags: number) => raw.send(big(fd), at, big(count), big(flags)),
  recvmsg: (fd: number, header: bigint, flags: number) => raw.recvmsg(big(fd), header, big(flags)),
  sendmsg: (fd: number, header: bigint, flags: number) => raw.sendmsg(big(fd), header, big(flags)),
  splice: (from: number, fromOffset: bigint, to: number, toOffset: bigint, count: number, flags: number) =>
    raw.splice(big(from), fromOffset, big(to), toOffset, big(count), big(flags)),
  pipe2: (out: bigint, flags: number) => raw.pipe2(out, big(flags)),
  open: (path: bigint, flags: number, mode: number) => raw.open(path, big(flags), big(mode)),
  fcntl: (fd: number, command: number, argument: number) => raw.fcntl(big(fd), big(command), big(argument)),
  fstat: (fd: number, out: bigint) => raw.fstat(big(fd), out),
  memfd_create: (name: bigint, flags: number) => raw.memfd_create(name, big(flags)),
  ftruncate: (fd: number, length: bigint) => raw.ftruncate(big(fd), length),
  mmap: (hint: bigint, length: bigint, protection: number, flags: number, fd: number, offset: bigint) =>
    raw.mmap(hint, length, big(protection), big(flags), big(fd), offset),
  memcpy: (to: bigint, from: bigint, count: number) => raw.memcpy(to, from, big(count)),
  malloc_trim: (keep: number) => raw.malloc_trim(keep),
  clock_gettime: (clock: number, out: bigint) => raw.clock_gettime(big(clock), out),
  setns: (fd: number, kind: number) => raw.setns(big(fd), big(kind)),
  prctl: (option: number, a: bigint, b: bigint, c: bigint, d: bigint) => raw.prctl(big(option), a, b, c, d),
  getrlimit: (resource: number, out: bigint) => raw.getrlimit(big(resource), out),
  sched_yield: () => raw.sched_yield(),
  sched_setscheduler: (pid: number, policy: number, parameter: bigint) =>
    raw.sched_setscheduler(big(pid), big(policy), parameter),
  setrlimit: (resource: number, limit: bigint) => raw.setrlimit(big(resource), limit),
};

/** This thread's errno: valid in the statement right after a failed call, and only there. */
export const errnoCell = new Int32Array(ffi.toArrayBuffer(raw.__errno_location(), 4, false));
