// SPDX-License-Identifier: Apache-2.0
// Layouts and constants of arm64 Linux with glibc, for 4 KiB to 64 KiB pages.
import type { Abi } from './abi.ts';

export const arm64: Abi = {
  name: 'arm64',
  pageSize: 65536,
  epollEvent: { size: 16, events: 0, data: 8 },
  stat: { size: 128, dev: 0, ino: 8, length: 48 },
  msghdr: {
    name: 0,
    nameLength: 8,
    iov: 16,
    iovCount: 24,
    control: 32,
    controlLength: 40,
    flags: 48,
  },
  cmsghdr: { length: 0, level: 8, type: 12, data: 16, align: 8 },
  iovec: { size: 16, base: 0, length: 8 },
  pollfd: { size: 8, fd: 0, events: 4, revents: 6 },
  rlimit: { size: 16, soft: 0, hard: 8 },
  sockaddrIn: { size: 16, family: 0, port: 2, address: 4 },
  sockaddrIn6: { size: 28, family: 0, port: 2, address: 8, scope: 24 },
  openFlags: { directory: 0o40000, noFollow: 0o100000 },
};
