// SPDX-License-Identifier: Apache-2.0
// Layouts and constants of x86-64 Linux with glibc.
import type { Abi } from './abi.ts';

export const x64: Abi = {
  name: 'x64',
  pageSize: 4096,
  epollEvent: { size: 12, events: 0, data: 4 },
  stat: { size: 144, dev: 0, ino: 8, length: 48 },
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
  openFlags: { directory: 0o200000, noFollow: 0o400000 },
};
