// SPDX-License-Identifier: Apache-2.0
// Limits and fate of the own process: descriptors, core dumps, parent's death, signals; and eventfds and memfds.
import { writeSync } from 'node:fs';
import { abi } from './abi/current.ts';
import { Arena } from './arena.ts';
import * as C from './constants.ts';
import { callError } from './errno.ts';
import { errnoCell, libc } from './ffi.ts';

const scratch = Arena.allocate(512);

/** Raises the soft limit of open files to the hard one and returns it. Throws SYSCALL_EPERM. */
export function raiseFileLimit(): number {
  const { soft, hard } = abi.rlimit;
  if (libc.getrlimit(C.RLIMIT_NOFILE, scratch.pointer) < 0) throw callError('getrlimit', errnoCell[0]!, 'NOFILE');
  const limit = scratch.view.getBigUint64(hard, true);
  scratch.view.setBigUint64(soft, limit, true);
  if (libc.setrlimit(C.RLIMIT_NOFILE, scratch.pointer) < 0) throw callError('setrlimit', errnoCell[0]!, 'NOFILE');
  return Number(limit);
}

/** Sets the soft limit of open files, for tests of a full descriptor table. Throws SYSCALL_EINVAL. */
export function setFileLimit(limit: number): void {
  const { soft } = abi.rlimit;
  if (libc.getrlimit(C.RLIMIT_NOFILE, scratch.pointer) < 0) throw callError('getrlimit', errnoCell[0]!, 'NOFILE');
  scratch.view.setBigUint64(soft, BigInt(limit), true);
  if (libc.setrlimit(C.RLIMIT_NOFILE, scratch.pointer) < 0) throw callError('setrlimit', errnoCell[0]!, 'NOFILE');
}

/** No core dumps and no ptrace by others: a dump of this process would hold private keys (trap 24). */
export function forbidCoreDumps(): void {
  scratch.view.setBigUint64(abi.rlimit.soft, 0n, true);
  scratch.view.setBigUint64(abi.rlimit.hard, 0n, true);
  if (libc.setrlimit(C.RLIMIT_CORE, scratch.pointer) < 0) throw callError('setrlimit', errnoCell[0]!, 'CORE');
  if (libc.prctl(C.PR_SET_DUMPABLE, 0n, 0n, 0n, 0n) < 0) throw callError('prctl', errnoCell[0]!, 'PR_SET_DUMPABLE');
}

/**
 * Whether waking this process may take a processor from whoever runs there (sched(7), SCHED_BATCH when not). Needs no privilege.
 * Returns 0 or a negative errno.
 */
export function setBatchScheduling(batch: boolean): number {
  scratch.view.setInt32(0, 0, true);
  const policy = batch ? C.SCHED_BATCH : C.SCHED_OTHER;
  return libc.sched_setscheduler(0, policy, scratch.pointer) < 0 ? -errnoCell[0]! : 0;
}

/** Lets others that wait for this core run first. Hot. */
export function yieldCore(): void {
  libc.sched_yield();
}

/** An eventfd, CLOEXEC and NONBLOCK. Throws SYSCALL_EMFILE. */
export function createEventFd(): number {
  const fd = libc.eventfd(0, C.EFD_CLOEXEC | C.EFD_NONBLOCK);
  if (fd < 0) throw callError('eventfd', errnoCell[0]!);
  return fd;
}

/** A memfd of `size` bytes, CLOEXEC, that can never change its size: whoever maps it never meets SIGBUS. */
export function createMemory(name: string, size: number): number {
  scratch.writeCString(0, name.slice(0, 200));
  const fd = libc.memfd_create(scratch.pointer, C.MFD_CLOEXEC | C.MFD_ALLOW_SEALING);
  if (fd < 0) throw callError('memfd_create', errnoCell[0]!, name);
  const rounded = Math.ceil(size / abi.pageSize) * abi.pageSize;
  if (libc.ftruncate(fd, BigInt(rounded)) < 0) throw callError('ftruncate', errnoCell[0]!, `${name} to ${size} bytes`);
  if (libc.fcntl(fd, C.F_ADD_SEALS, C.F_SEAL_SHRINK | C.F_SEAL_GROW) < 0)
    throw callError('fcntl', errnoCell[0]!, 'F_ADD_SEALS');
  return fd;
}

/** A memfd that holds `text`, CLOEXEC, read from its start: standard input for programs that open /dev/stdin, which no socket allows. */
export function textDescriptor(text: string): number {
  scratch.writeCString(0, 'ambit-text');
  const fd = libc.memfd_create(scratch.pointer, C.MFD_CLOEXEC);
  if (fd < 0) throw callError('memfd_create', errnoCell[0]!, 'for a text');
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at, bytes.length - at, at);
  return fd;
}

/** A second descriptor of a memfd through which nobody can map it writable. Throws SYSCALL_ENOENT. */
export function readOnlyDescriptor(fd: number): number {
  scratch.writeCString(0, `/proc/self/fd/${fd}`);
  const made = libc.open(scratch.pointer, C.O_RDONLY | C.O_CLOEXEC, 0);
  if (made < 0) throw callError('open', errnoCell[0]!, `/proc/self/fd/${fd}`);
  return made;
}

/** open(2) for reading, CLOEXEC. Returns the descriptor or a negative errno. */
export function openReadOnly(path: string): number {
  scratch.writeCString(0, path);
  const fd = libc.open(scratch.pointer, C.O_RDONLY | C.O_CLOEXEC, 0);
  return fd < 0 ? -errnoCell[0]! : fd;
}

/** Size of the memory behind a memfd in bytes, rounded up to pages. Throws SYSCALL_EBADF. */
export function memorySize(fd: number): number {
  if (libc.fstat(fd, scratch.pointer) < 0) throw callError('fstat', errnoCell[0]!, `descriptor ${fd}`);
  return Number(scratch.view.getBigUint64(abi.stat.length, true));
}

/** A descriptor's status flags get `flags` added (O_NONBLOCK, O_ASYNC). Throws SYSCALL_EBADF. */
export function addStatusFlags(fd: number, flags: number): void {
  const current = libc.fcntl(fd, C.F_GETFL, 0);
  if (current < 0) throw callError('fcntl', errnoCell[0]!, `F_GETFL of descriptor ${fd}`);
  if (libc.fcntl(fd, C.F_SETFL, current | flags) < 0)
    throw callError('fcntl', errnoCell[0]!, `F_SETFL of descriptor ${fd}`);
}

/** Sets FD_CLOEXEC on a descriptor that was inherited. Throws SYSCALL_EBADF. */
export function closeOnExec(fd: number): void {
  if (libc.fcntl(fd, C.F_SETFD, C.FD_CLOEXEC) < 0)
    throw callError('fcntl', errnoCell[0]!, `F_SETFD of descriptor ${fd}`);
}

/** Has the kernel send SIGIO to this process when `fd` becomes readable (fcntl(2), O_ASYNC). */
export function signalWhenReadable(fd: number): void {
  if (libc.fcntl(fd, C.F_SETOWN, process.pid) < 0)
    throw callError('fcntl', errnoCell[0]!, `F_SETOWN of descriptor ${fd}`);
  addStatusFlags(fd, C.O_ASYNC | C.O_NONBLOCK);
}

/** Takes signalWhenReadable() back. */
export function stopSignals(fd: number): void {
  const current = libc.fcntl(fd, C.F_GETFL, 0);
  if (current >= 0) libc.fcntl(fd, C.F_SETFL, current & ~C.O_ASYNC);
}

/** A second descriptor of the same open file, CLOEXEC. Returns it or a negative errno. */
export function duplicate(fd: number): number {
  const made = libc.fcntl(fd, C.F_DUPFD_CLOEXEC, 0);
  return made < 0 ? -errnoCell[0]! : made;
}

/** Gives the free pages of malloc's heap back to the kernel: what compilers and TLS needed for a moment. Takes about 0.5 ms. */
export function releaseFreeMemory(): void {
  libc.malloc_trim(0);
}
