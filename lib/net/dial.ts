// SPDX-License-Identifier: Apache-2.0
// One outgoing TCP connection until it is there or has failed, within a deadline. A writable socket alone says nothing (trap 20): one
// that failed is said to be writable too, but with an error or a hang-up beside it, and then SO_ERROR tells which.

import { ETIMEDOUT } from '#lib/linux/errno.ts';
import { socketError } from '#lib/linux/socket.ts';
import type { Loop } from '#lib/loop/loop.ts';
import type { TimerId, TimerTarget } from '#lib/loop/timer-wheel.ts';
import { Socket, type SocketOwner } from './socket.ts';

/** Connect timeout of every dial, milliseconds. */
export const CONNECT_MS = 10_000;

export interface DialOwner {
  /** Connected; `socket.owner` is the caller's to set. */
  onConnected(socket: Socket): void;
  /** Nothing is left open. `errno` is positive; ETIMEDOUT is also the deadline's. */
  onDialFailed(errno: number): void;
}

export class Dial implements SocketOwner, TimerTarget {
  readonly #owner: DialOwner;
  readonly #loop: Loop;
  readonly #socket: Socket;
  #timer: TimerId;
  #over = false;

  /** `fd` comes from `tcpDial`. */
  constructor(loop: Loop, fd: number, owner: DialOwner, timeoutMs: number = CONNECT_MS) {
    this.#owner = owner;
    this.#loop = loop;
    this.#socket = new Socket(loop, fd, this);
    this.#timer = loop.after(timeoutMs, this);
  }

  onSocket(socket: Socket): void {
    if (this.#over || !socket.writable) return;
    const errno = socket.ending ? socketError(socket.fd) : 0;
    this.#end();
    if (errno === 0) this.#owner.onConnected(socket);
    else {
      socket.close();
      this.#owner.onDialFailed(errno);
    }
  }

  onTimer(): void {
    this.#timer = 0;
    this.#end();
    this.#socket.close();
    this.#owner.onDialFailed(ETIMEDOUT);
  }

  /** Gives up; nobody is told. */
  cancel(): void {
    if (this.#over) return;
    this.#end();
    this.#socket.close();
  }

  #end(): void {
    this.#over = true;
    if (this.#timer !== 0) this.#loop.cancel(this.#timer);
    this.#timer = 0;
  }
}
