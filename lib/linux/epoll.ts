// SPDX-License-Identifier: Apache-2.0
// epoll(7) with a 64-bit tag per registration, which the loop uses as (slot, generation). One set of events is read at a time.
import { abi } from './abi/current.ts';
import { Arena, brokenPromise } from './arena.ts';
import * as C from './constants.ts';
import { callError } from './errno.ts';
import { errnoCell, libc } from './ffi.ts';

const STRIDE = abi.epollEvent.size / 4;
const EVENTS = abi.epollEvent.events / 4;
const DATA = abi.epollEvent.data / 4;

/** An epoll instance and the memory its events arrive in. */
export class Epoll {
  readonly fd: number;
  readonly capacity: number;
  /** Events that one wait takes at most, up to `capacity`. */
  limit: number;
  readonly #arena: Arena;
  readonly #words: Int32Array;
  readonly #control: Arena;
  readonly #controlWords: Int32Array;

  /** `capacity`: events taken by one wait. Throws SYSCALL_EMFILE. */
  constructor(capacity = 1024) {
    this.capacity = this.limit = capacity;
    this.#arena = Arena.allocate(capacity * abi.epollEvent.size);
    this.#words = new Int32Array(this.#arena.bytes.buffer);
    this.#control = Arena.allocate(16);
    this.#controlWords = new Int32Array(this.#control.bytes.buffer);
    this.fd = libc.epoll_create1(C.EPOLL_CLOEXEC);
    if (this.fd < 0) throw callError('epoll_create1', errnoCell[0]!);
  }

  /** Registers `fd`; its events carry (low, high). Returns 0 or a negative errno. */
  add(fd: number, events: number, low: number, high: number): number {
    return this.#ctl(C.EPOLL_CTL_ADD, fd, events, low, high);
  }

  /** Changes the events of `fd`. Returns 0 or a negative errno. */
  modify(fd: number, events: number, low: number, high: number): number {
    return this.#ctl(C.EPOLL_CTL_MOD, fd, events, low, high);
  }

  /** Takes `fd` out. Returns 0 or a negative errno. */
  delete(fd: number): number {
    return this.#ctl(C.EPOLL_CTL_DEL, fd, 0, 0, 0);
  }

  /** Waits at most `timeoutMs`; returns the number of events, or a negative errno (-EINTR is ordinary). */
  wait(timeoutMs: number): number {
    const n = libc.epoll_wait(this.fd, this.#arena.pointer, this.limit, timeoutMs);
    if (n < 0) return -errnoCell[0]!;
    if (n > this.capacity) brokenPromise('epoll_wait', this.capacity, n);
    return n;
  }

  /** Event bits of the `index`-th event of the last wait. */
  events(index: number): number {
    return this.#words[index * STRIDE + EVENTS]!;
  }

  /** Low 32 bits of its tag, as a signed integer. */
  low(index: number): number {
    return this.#words[index * STRIDE + DATA]!;
  }

  /** High 32 bits of its tag, as a signed integer. */
  high(index: number): number {
    return this.#words[index * STRIDE + DATA + 1]!;
  }

  close(): void {
    libc.close(this.fd);
  }

  #ctl(operation: number, fd: number, events: number, low: number, high: number): number {
    const words = this.#controlWords;
    words[EVENTS] = events;
    words[DATA] = low;
    words[DATA + 1] = high;
    return libc.epoll_ctl(this.fd, operation, fd, this.#control.pointer) < 0 ? -errnoCell[0]! : 0;
  }
}
