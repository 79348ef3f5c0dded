// SPDX-License-Identifier: Apache-2.0
// What a struct layout table must say. One table per architecture (x64.ts, arm64.ts); selftest.ts proves each value at start.

/** Sizes and offsets in bytes, and the open(2) flags that differ between architectures. */
export interface Abi {
  readonly name: 'x64' | 'arm64';
  /** The largest page the kernel may use here; maps and guards are rounded up to it. */
  readonly pageSize: number;
  /** struct epoll_event: packed on x86-64 only. */
  readonly epollEvent: { readonly size: number; readonly events: number; readonly data: number };
  readonly stat: { readonly size: number; readonly dev: number; readonly ino: number; readonly length: number };
  readonly msghdr: {
    readonly name: number;
    readonly nameLength: number;
    readonly iov: number;
    readonly iovCount: number;
    readonly control: number;
    readonly controlLength: number;
    readonly flags: number;
  };
  readonly cmsghdr: {
    readonly length: number;
    readonly level: number;
    readonly type: number;
    readonly data: number;
    readonly align: number;
  };
  readonly iovec: { readonly size: number; readonly base: number; readonly length: number };
  readonly pollfd: { readonly size: number; readonly fd: number; readonly events: number; readonly revents: number };
  readonly rlimit: { readonly size: number; readonly soft: number; readonly hard: number };
  readonly sockaddrIn: {
    readonly size: number;
    readonly family: number;
    readonly port: number;
    readonly address: number;
  };
  readonly sockaddrIn6: {
    readonly size: number;
    readonly family: number;
    readonly port: number;
    readonly address: number;
    readonly scope: number;
  };
  readonly openFlags: { readonly directory: number; readonly noFollow: number };
}
