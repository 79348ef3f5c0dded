// SPDX-License-Identifier: Apache-2.0
// Proves at start that node:ffi, the libc functions and the struct layouts are what this code takes them for: each struct makes a round
// trip through the kernel. A wrong value would otherwise show as somebody else's bytes. Takes the layout table as a parameter, so that
// tests can damage each value and see it noticed.
import { AmbitError } from '#lib/kit/error.ts';
import type { Abi } from './abi/abi.ts';
import { abi as current } from './abi/current.ts';
import { Arena } from './arena.ts';
import * as C from './constants.ts';
import { EADDRINUSE, EADDRNOTAVAIL, EBADF, ELOOP, ENOTDIR, errnoName } from './errno.ts';
import { errnoCell, libc } from './ffi.ts';

/** Throws GROUND_UNSOUND naming every proof that failed. */
export function assertGround(): void {
  const failures = proveGround(current);
  if (failures.length === 0) return;
  throw new AmbitError('GROUND_UNSOUND', `the system call surface is not as expected: ${failures.join('; ')}`, {
    advice: `run the pinned Node 26.10 on Linux with glibc 2.33 or later; this is ${process.version} on ${process.arch}`,
  });
}

/** Every proof that fails for this layout table, as a sentence; empty when the ground is sound. */
export function proveGround(abi: Abi): string[] {
  const memory = scratchMemory();
  const failures: string[] = [];
  for (const [name, proof] of Object.entries(PROOFS)) {
    memory.bytes.fill(0);
    const failure = proof(abi, memory);
    if (failure !== undefined) failures.push(`${name}: ${failure}`);
  }
  return failures;
}

type Proof = (abi: Abi, memory: Arena) => string | undefined;

let scratch: Arena | undefined;

function scratchMemory(): Arena {
  scratch ??= Arena.allocate(1 << 16);
  return scratch;
}

const PROOFS: Readonly<Record<string, Proof>> = {
  errno() {
    const result = libc.close(-1);
    if (result !== -1 || errnoCell[0] !== EBADF) return `close(-1) gave ${result} and ${errnoName(errnoCell[0]!)}`;
    return undefined;
  },

  pageSize(abi) {
    // Half of the page size must not do as an offset of a map where the table is exact, and the size itself must.
    const map = (offset: number) => libc.mmap(0n, BigInt(abi.pageSize), C.PROT_NONE, C.MAP_SHARED, fd, BigInt(offset));
    const fd = libc.memfd_create(stringAt(scratchMemory(), 'ambit-selftest'), C.MFD_CLOEXEC);
    if (fd < 0) return `memfd_create: ${errnoName(errnoCell[0]!)}`;
    const at = map(abi.pageSize);
    const failed = errnoCell[0]!;
    libc.close(fd);
    if (at === 0xffffffffffffffffn) return `a map at ${abi.pageSize} bytes: ${errnoName(failed)}`;
    return isPowerOfTwo(abi.pageSize) ? undefined : `${abi.pageSize} is not a power of two`;
  },

  epollEvent(abi, memory) {
    const { size, events, data } = abi.epollEvent;
    const ep = libc.epoll_create1(C.EPOLL_CLOEXEC);
    const fds = [libc.eventfd(1, C.EFD_CLOEXEC | C.EFD_NONBLOCK), libc.eventfd(1, C.EFD_CLOEXEC | C.EFD_NONBLOCK)];
    const tags = [0x1122334455667788n, 0x99aabbccddeeff01n];
    for (const [n, fd] of fds.entries()) {
      memory.view.setUint32(events, C.EPOLLIN, true);
      memory.view.setBigUint64(data, tags[n]!, true);
      libc.epoll_ctl(ep, C.EPOLL_CTL_ADD, fd, memory.pointer);
    }
    memory.bytes.fill(0);
    const count = libc.epoll_wait(ep, memory.pointer, 2, 0);
    for (const fd of [ep, ...fds]) libc.close(fd);
    const seen = [0, 1].map((n) => memory.view.getBigUint64(n * size + data, true));
    const bits = [0, 1].map((n) => memory.view.getUint32(n * size + events, true));
    const end = memory.bytes.subarray(2 * size, 2 * size + 64).every((byte) => byte === 0);
    const sound =
      count === 2 && end && bits.every((bit) => bit === C.EPOLLIN) && tags.every((tag) => seen.includes(tag));
    return sound ? undefined : 'the tags of two events did not come back';
  },

  stat(abi, memory) {
    const { size, dev, ino, length } = abi.stat;
    const fd = libc.memfd_create(stringAt(memory, 'ambit-selftest'), C.MFD_CLOEXEC);
    libc.ftruncate(fd, 0x123456n);
    memory.bytes.fill(0xa5);
    const result = libc.fstat(fd, memory.pointer);
    const other = libc.memfd_create(stringAt(memory, 'ambit-selftest', 4096), C.MFD_CLOEXEC);
    libc.fstat(other, memory.at(8192));
    libc.close(fd);
    libc.close(other);
    if (result !== 0) return `fstat: ${errnoName(errnoCell[0]!)}`;
    if (memory.view.getBigUint64(length, true) !== 0x123456n) return 'the length of a file is elsewhere';
    const untouched = memory.bytes.subarray(size, size + 64).every((byte) => byte === 0xa5);
    if (!untouched || memory.bytes[size - 1] === 0xa5) return 'it has another size';
    const [ours, theirs] = [ino, 8192 + ino].map((at) => memory.view.getBigUint64(at, true));
    const [devA, devB] = [dev, 8192 + dev].map((at) => memory.view.getBigUint64(at, true));
    // Two files of one file system differ in the inode only, and device numbers of memory files are small.
    if (ours === theirs || ours === 0n || devA !== devB || devA! > 0xffffffffn) return 'device and inode are elsewhere';
    return undefined;
  },

  message(abi, memory) {
    const pair = memory.at(0);
    if (libc.socketpair(C.AF_UNIX, C.SOCK_SEQPACKET | C.SOCK_CLOEXEC | C.SOCK_NONBLOCK, 0, pair) < 0)
      return 'socketpair failed';
    const [a, b] = [memory.view.getInt32(0, true), memory.view.getInt32(4, true)];
    const sent = sendOne(abi, memory, a, b);
    const failure = sent ?? receiveOne(abi, memory, b, a);
    libc.close(a);
    libc.close(b);
    return failure;
  },

  iovec(abi, memory) {
    const { size, base, length } = abi.iovec;
    if (libc.pipe2(memory.at(0), C.O_CLOEXEC | C.O_NONBLOCK) < 0) return 'pipe2 failed';
    const [reader, writer] = [memory.view.getInt32(0, true), memory.view.getInt32(4, true)];
    memory.bytes.write('abcdef', 512);
    for (const [n, [from, count]] of [
      [512, 2],
      [515, 3],
    ].entries()) {
      memory.view.setBigUint64(1024 + n * size + base, memory.at(from!), true);
      memory.view.setBigUint64(1024 + n * size + length, BigInt(count!), true);
    }
    const n = libc.writev(writer, memory.at(1024), 2);
    const m = libc.read(reader, memory.at(2048), 64);
    libc.close(reader);
    libc.close(writer);
    return n === 5 && m === 5 && memory.bytes.toString('latin1', 2048, 2053) === 'abdef'
      ? undefined
      : 'two ranges did not arrive';
  },

  pollfd(abi, memory) {
    const { size, fd, events, revents } = abi.pollfd;
    const ready = libc.eventfd(1, C.EFD_CLOEXEC);
    const silent = libc.eventfd(0, C.EFD_CLOEXEC);
    for (const [n, each] of [silent, ready].entries()) {
      memory.view.setInt32(n * size + fd, each, true);
      memory.view.setInt16(n * size + events, C.POLLIN, true);
    }
    const count = libc.poll(memory.pointer, 2, 0);
    libc.close(ready);
    libc.close(silent);
    const bits = [0, 1].map((n) => memory.view.getInt16(n * size + revents, true));
    return count === 1 && bits[0] === 0 && bits[1] === C.POLLIN ? undefined : 'the ready one of two was not told';
  },

  rlimit(abi, memory) {
    const { size, soft, hard } = abi.rlimit;
    memory.bytes.fill(0xa5);
    if (libc.getrlimit(C.RLIMIT_NOFILE, memory.pointer) !== 0) return 'getrlimit failed';
    const [softLimit, hardLimit] = [memory.view.getBigUint64(soft, true), memory.view.getBigUint64(hard, true)];
    if (softLimit === 0n || softLimit > hardLimit || hardLimit > 0x80000000n) return 'the limits make no sense';
    if (soft === hard || memory.bytes[size] !== 0xa5 || memory.bytes[size - 1] === 0xa5) return 'it has another size';
    return undefined;
  },

  sockaddrIn(abi, memory) {
    const { family, address } = abi.sockaddrIn;
    const fill = () => {
      memory.view.setUint16(family, C.AF_INET, true);
      memory.view.setUint32(address, 0x7f000001);
    };
    const check = () =>
      memory.view.getUint16(family, true) === C.AF_INET && memory.view.getUint32(address) === 0x7f000001;
    return bindRoundTrip(memory, C.AF_INET, abi.sockaddrIn, fill, check);
  },

  sockaddrIn6(abi, memory) {
    const { family, address, scope } = abi.sockaddrIn6;
    const fill = () => {
      memory.view.setUint16(family, C.AF_INET6, true);
      memory.view.setUint32(address + 12, 1);
    };
    const check = () =>
      memory.view.getUint16(family, true) === C.AF_INET6 &&
      memory.view.getUint32(address) === 0 &&
      memory.view.getUint32(address + 12) === 1;
    const failure = bindRoundTrip(memory, C.AF_INET6, abi.sockaddrIn6, fill, check);
    return failure ?? (scope === address + 16 ? undefined : 'the scope does not follow the address');
  },

  openFlags(abi, memory) {
    const open = (path: string, flags: number) => {
      const fd = libc.open(stringAt(memory, path), flags | C.O_RDONLY | C.O_CLOEXEC, 0);
      if (fd < 0) return errnoCell[0]!;
      libc.close(fd);
      return 0;
    };
    const { directory, noFollow } = abi.openFlags;
    if (!isPowerOfTwo(directory) || !isPowerOfTwo(noFollow)) return 'a flag is not one bit';
    if (open('/proc/self/status', directory) !== ENOTDIR || open('/proc/self/', directory) !== 0)
      return 'O_DIRECTORY means something else';
    if (open('/proc/self/exe', noFollow) !== ELOOP || open('/proc/self/status', noFollow) !== 0)
      return 'O_NOFOLLOW means something else';
    return undefined;
  },
};

const HEADER = 1024;
const VECTOR = 1536;
const CONTROL = 2048;
const BODY = 4096;
const BODY_IN = 8192;

/** Fills the message header for one range and its control room. */
function header(abi: Abi, memory: Arena, body: number, length: number, control: number): void {
  const { msghdr, iovec } = abi;
  memory.bytes.fill(0, HEADER, HEADER + 128);
  memory.view.setBigUint64(VECTOR + iovec.base, memory.at(body), true);
  memory.view.setBigUint64(VECTOR + iovec.length, BigInt(length), true);
  memory.view.setBigUint64(HEADER + msghdr.iov, memory.at(VECTOR), true);
  memory.view.setBigUint64(HEADER + msghdr.iovCount, 1n, true);
  memory.view.setBigUint64(HEADER + msghdr.control, memory.at(CONTROL), true);
  memory.view.setBigUint64(HEADER + msghdr.controlLength, BigInt(control), true);
}

/** Sends five bytes and a descriptor over `fd`. */
function sendOne(abi: Abi, memory: Arena, fd: number, passed: number): string | undefined {
  const { cmsghdr } = abi;
  memory.bytes.write('proof', BODY);
  const length = cmsghdr.data + 4;
  header(abi, memory, BODY, 5, Math.ceil(length / cmsghdr.align) * cmsghdr.align);
  memory.view.setBigUint64(CONTROL + cmsghdr.length, BigInt(length), true);
  memory.view.setInt32(CONTROL + cmsghdr.level, C.SOL_SOCKET, true);
  memory.view.setInt32(CONTROL + cmsghdr.type, C.SCM_RIGHTS, true);
  memory.view.setInt32(CONTROL + cmsghdr.data, passed, true);
  const n = libc.sendmsg(fd, memory.at(HEADER), C.MSG_NOSIGNAL);
  return n === 5 ? undefined : `sendmsg of 5 bytes gave ${n < 0 ? errnoName(errnoCell[0]!) : n}`;
}

/** Receives them over `fd` in a shorter range, so that the flags have something to tell. */
function receiveOne(abi: Abi, memory: Arena, fd: number, sender: number): string | undefined {
  const { cmsghdr, msghdr } = abi;
  memory.bytes.fill(0, CONTROL, CONTROL + 256);
  header(abi, memory, BODY_IN, 4, 128);
  const n = libc.recvmsg(fd, memory.at(HEADER), C.MSG_CMSG_CLOEXEC);
  const passed = memory.view.getInt32(CONTROL + cmsghdr.data, true);
  const owned = passed > 2 && passed !== fd && passed !== sender;
  if (owned) libc.close(passed);
  if (n !== 4 || memory.bytes.toString('latin1', BODY_IN, BODY_IN + 4) !== 'proo') return 'the bytes did not arrive';
  if ((memory.view.getInt32(HEADER + msghdr.flags, true) & C.MSG_TRUNC) === 0) return 'the flags are elsewhere';
  const level = memory.view.getInt32(CONTROL + cmsghdr.level, true);
  const type = memory.view.getInt32(CONTROL + cmsghdr.type, true);
  const length = Number(memory.view.getBigUint64(CONTROL + cmsghdr.length, true));
  if (level !== C.SOL_SOCKET || type !== C.SCM_RIGHTS || length !== 20) return 'the control message is elsewhere';
  if (!owned) return 'the descriptor did not arrive';
  if (!isPowerOfTwo(cmsghdr.align)) return 'the alignment is not a power of two';
  if (
    Math.ceil(length / cmsghdr.align) * cmsghdr.align !==
    Number(memory.view.getBigUint64(HEADER + msghdr.controlLength, true))
  ) {
    return 'control messages are aligned otherwise';
  }
  return nameRoundTrip(abi, memory);
}

/** Sends a datagram to the address in msg_name and reads it back from there. */
function nameRoundTrip(abi: Abi, memory: Arena): string | undefined {
  const { msghdr, sockaddrIn } = abi;
  const NAME = 2560;
  const fd = libc.socket(C.AF_INET, C.SOCK_DGRAM | C.SOCK_CLOEXEC | C.SOCK_NONBLOCK, 0);
  memory.bytes.fill(0, NAME, NAME + 64);
  memory.view.setUint16(NAME + sockaddrIn.family, C.AF_INET, true);
  memory.view.setUint32(NAME + sockaddrIn.address, 0x7f000001);
  libc.bind(fd, memory.at(NAME), 16);
  memory.view.setUint32(3072, 16, true);
  libc.getsockname(fd, memory.at(NAME), memory.at(3072));
  header(abi, memory, BODY, 5, 0);
  memory.view.setBigUint64(HEADER + msghdr.control, 0n, true);
  memory.view.setBigUint64(HEADER + msghdr.name, memory.at(NAME), true);
  memory.view.setUint32(HEADER + msghdr.nameLength, 16, true);
  const sent = libc.sendmsg(fd, memory.at(HEADER), C.MSG_NOSIGNAL);
  memory.bytes.fill(0, NAME, NAME + 64);
  header(abi, memory, BODY_IN, 5, 0);
  memory.view.setBigUint64(HEADER + msghdr.control, 0n, true);
  memory.view.setBigUint64(HEADER + msghdr.name, memory.at(NAME), true);
  memory.view.setUint32(HEADER + msghdr.nameLength, 64, true);
  const got = libc.recvmsg(fd, memory.at(HEADER), 0);
  libc.close(fd);
  const nameLength = memory.view.getUint32(HEADER + msghdr.nameLength, true);
  const named = nameLength === 16 && memory.view.getUint32(NAME + sockaddrIn.address) === 0x7f000001;
  return sent === 5 && got === 5 && named ? undefined : 'the address of a message is elsewhere';
}

/** Binds to what `fill` wrote, checks what getsockname gives back, and that the port read there is the one now taken. */
function bindRoundTrip(
  memory: Arena,
  domain: number,
  layout: { readonly size: number; readonly port: number },
  fill: () => void,
  check: () => boolean,
): string | undefined {
  const first = libc.socket(domain, C.SOCK_STREAM | C.SOCK_CLOEXEC, 0);
  const second = libc.socket(domain, C.SOCK_STREAM | C.SOCK_CLOEXEC, 0);
  try {
    // Without this family in the kernel there is nothing to prove, and nothing that could go wrong.
    if (first < 0 || second < 0) return undefined;
    fill();
    if (libc.bind(first, memory.at(0), layout.size) < 0) {
      return errnoCell[0] === EADDRNOTAVAIL ? undefined : `bind: ${errnoName(errnoCell[0]!)}`;
    }
    memory.bytes.fill(0, 0, 64);
    memory.view.setUint32(256, 64, true);
    libc.getsockname(first, memory.at(0), memory.at(256));
    if (memory.view.getUint32(256, true) !== layout.size) return 'it has another size';
    if (!check()) return 'the address did not come back';
    const port = memory.view.getUint16(layout.port);
    memory.bytes.fill(0, 0, 64);
    fill();
    memory.view.setUint16(layout.port, port);
    if (libc.bind(second, memory.at(0), layout.size) === 0) return 'the port is elsewhere';
    return errnoCell[0] === EADDRINUSE ? undefined : `the port is elsewhere: ${errnoName(errnoCell[0]!)}`;
  } finally {
    libc.close(first);
    libc.close(second);
  }
}

function isPowerOfTwo(value: number): boolean {
  return value > 0 && (value & (value - 1)) === 0;
}

function stringAt(memory: Arena, text: string, at = 3500): bigint {
  memory.writeCString(at, text);
  return memory.at(at);
}
