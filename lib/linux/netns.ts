// SPDX-License-Identifier: Apache-2.0
// Network namespaces: open one, tell two apart, run something inside one.
//
// Rule of trap 15: setns(2) moves the calling thread only, and a thread born meanwhile (a libuv pool thread, a Worker) would be
// born in the foreign namespace. So between the two setns calls only raw system calls run, the way home is open before
// the first trip, and a failed way back ends the process: its next socket would open in somebody else's network.
import { abi } from './abi/current.ts';
import { Arena } from './arena.ts';
import { CLONE_NEWNET, O_CLOEXEC, O_RDONLY } from './constants.ts';
import { callError, errnoName } from './errno.ts';
import { errnoCell, libc } from './ffi.ts';
import { endProcess } from './last-words.ts';

const scratch = Arena.allocate(4096 + 256);
let homeFd = -1;

/** Opens the way back. Called at start by data-plane processes; otherwise the first trip does it. Idempotent. */
export function openHomeNetns(): number {
  if (homeFd < 0) homeFd = openPath('/proc/thread-self/ns/net');
  return homeFd;
}

/** An open handle of a network namespace; the namespace lives at least as long (trap 16: close it when its pod goes). */
export class Netns {
  readonly fd: number;
  /** Device and inode: two handles with equal `id` are the same namespace. */
  readonly id: string;
  #closed = false;

  private constructor(fd: number) {
    this.fd = fd;
    this.id = netnsIdentity(fd);
  }

  /** By path, such as /run/netns/NAME or /proc/PID/ns/net. Throws SYSCALL_ENOENT and the like. */
  static open(path: string): Netns {
    return Netns.adopt(openPath(path));
  }

  /** The namespace a process lives in. Throws SYSCALL_ENOENT when it has ended. */
  static ofProcess(pid: number): Netns {
    return Netns.open(`/proc/${pid}/ns/net`);
  }

  /** The namespace of the calling thread. */
  static current(): Netns {
    return Netns.open('/proc/thread-self/ns/net');
  }

  /** A new namespace that nothing lives in, gone when closed. The calling thread is back home on return. */
  static create(): Netns {
    const home = openHomeNetns();
    if (libc.unshare(CLONE_NEWNET) < 0) throw callError('unshare', errnoCell[0]!, 'CLONE_NEWNET');
    scratch.writeCString(0, '/proc/thread-self/ns/net');
    const fd = libc.open(scratch.pointer, O_RDONLY | O_CLOEXEC, 0);
    const errno = errnoCell[0]!;
    if (libc.setns(home, CLONE_NEWNET) < 0) strandedInForeignNetns(errnoCell[0]!);
    if (fd < 0) throw callError('open', errno, '/proc/thread-self/ns/net');
    return Netns.adopt(fd);
  }

  /** Takes over a descriptor, for example one received over ZDS; closes it if it is not usable. */
  static adopt(fd: number): Netns {
    try {
      return new Netns(fd);
    } catch (error) {
      libc.close(fd);
      throw error;
    }
  }

  get closed(): boolean {
    return this.#closed;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    libc.close(this.fd);
  }
}

/** "device:inode" of an open namespace descriptor (stat(2), namespaces(7)). */
export function netnsIdentity(fd: number): string {
  if (libc.fstat(fd, scratch.pointer) < 0) throw callError('fstat', errnoCell[0]!, `descriptor ${fd}`);
  const dev = scratch.view.getBigUint64(abi.stat.dev, true);
  const ino = scratch.view.getBigUint64(abi.stat.ino, true);
  return `${dev}:${ino}`;
}

/**
 * Runs `step` with the calling thread in the namespace of `fd`. `step` must be synchronous and do nothing but raw system calls
 * of lib/linux. Its result is handed through; an error it throws comes out after the way back.
 */
export function inNetns<T>(fd: number, step: () => T): T {
  const home = openHomeNetns();
  if (libc.setns(fd, CLONE_NEWNET) < 0) throw callError('setns', errnoCell[0]!, `descriptor ${fd}`);
  try {
    return step();
  } finally {
    if (libc.setns(home, CLONE_NEWNET) < 0) strandedInForeignNetns(errnoCell[0]!);
  }
}

/** socket(2) inside the namespace of `fd`: the socket stays there, so this is all that ever needs the trip. Descriptor or negative errno. */
export function socketInNetns(fd: number, domain: number, type: number, protocol: number): number {
  const home = openHomeNetns();
  if (libc.setns(fd, CLONE_NEWNET) < 0) return -errnoCell[0]!;
  const made = libc.socket(domain, type, protocol);
  const errno = errnoCell[0]!;
  if (libc.setns(home, CLONE_NEWNET) < 0) strandedInForeignNetns(errnoCell[0]!);
  return made < 0 ? -errno : made;
}

function strandedInForeignNetns(errno: number): never {
  const reason = `setns: the way home failed with ${errnoName(errno)}`;
  endProcess(71, `${reason}; ending, since every next socket would be in a foreign namespace`);
}

function openPath(path: string): number {
  scratch.writeCString(0, path);
  const fd = libc.open(scratch.pointer, O_RDONLY | O_CLOEXEC, 0);
  if (fd < 0) throw callError('open', errnoCell[0]!, path);
  return fd;
}
