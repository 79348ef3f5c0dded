// SPDX-License-Identifier: Apache-2.0
// Kernel settings of one network namespace, by raw calls: /proc/sys/net shows the namespace of the thread that opens it.
import { Arena } from './arena.ts';
import { read, write } from './calls.ts';
import { O_CLOEXEC, O_RDONLY, O_WRONLY } from './constants.ts';
import { callError, must } from './errno.ts';
import { errnoCell, libc } from './ffi.ts';
import { inNetns, type Netns } from './netns.ts';

const scratch = Arena.allocate(1024);
const VALUE = 512;

/** Reads a setting such as "net/ipv6/conf/lo/disable_ipv6" in `netns`, or in the thread's own. Throws SYSCALL_ENOENT. */
export function readSysctl(path: string, netns?: Netns): string {
  const { n } = withFile(path, O_RDONLY, netns, (fd) => read(fd, scratch, VALUE, 512));
  must(n, 'read', path);
  return scratch.bytes.toString('latin1', VALUE, VALUE + n).trim();
}

/** Sets it. Throws SYSCALL_ENOENT when the kernel lacks it, SYSCALL_EROFS in a container without the right to. */
export function writeSysctl(path: string, value: string, netns?: Netns): void {
  const length = scratch.bytes.write(value, VALUE, 512, 'latin1');
  const { n } = withFile(path, O_WRONLY, netns, (fd) => write(fd, scratch, VALUE, length));
  must(n, 'write', path);
}

/** Lets a listener that closes hand its waiting connections to the others of its SO_REUSEPORT group (trap 23). */
export function migrateListeners(netns?: Netns): void {
  writeSysctl('net/ipv4/tcp_migrate_req', '1', netns);
}

function withFile(path: string, flags: number, netns: Netns | undefined, use: (fd: number) => number): { n: number } {
  scratch.writeCString(0, `/proc/sys/${path}`);
  const open = () => {
    const fd = libc.open(scratch.pointer, flags | O_CLOEXEC, 0);
    return fd < 0 ? -errnoCell[0]! : fd;
  };
  const fd = netns ? inNetns(netns.fd, open) : open();
  if (fd < 0) throw callError('open', fd, `/proc/sys/${path}`);
  const n = use(fd);
  libc.close(fd);
  return { n };
}
