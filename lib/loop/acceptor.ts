// SPDX-License-Identifier: Apache-2.0
// Takes connections from a listening socket, within limits (trap 19): with a full descriptor table an edge-triggered listener would go
// deaf and a level-triggered one would spin, so connections are refused before the table is full, and if it is full
// nevertheless, a descriptor kept in reserve is given up to accept the connection and reset it.
import { Endpoint } from '#lib/linux/address.ts';
import { close } from '#lib/linux/calls.ts';
import { elapsedMicros } from '#lib/linux/clock.ts';
import { EPOLLET, EPOLLIN } from '#lib/linux/constants.ts';
import { EAGAIN, EMFILE, ENFILE } from '#lib/linux/errno.ts';
import { createEventFd } from '#lib/linux/process.ts';
import { acceptFrom, resetOnClose } from '#lib/linux/socket.ts';
import type { Loop, Pollable, Resumable, Slot } from './loop.ts';
import type { TimerTarget } from './timer-wheel.ts';

/** Connections taken from one listener in one turn, and µs after which no further one is: others wait meanwhile. */
const ACCEPTS_PER_TURN = 16;
const ACCEPT_US = 100;
/** Pause when not even the reserve helped, in ms. */
const RETRY_MS = 100;

/** Why a connection was refused. */
export type Refusal = 'limit' | 'descriptors';

/** Gets what an acceptor takes. */
export interface AcceptHandler {
  /**
   * A connection, non-blocking; the handler owns it, and calls leave() on its admission when it is closed. `peer` is who dialled, and
   * the acceptor's own: its value holds until this returns.
   */
  onConnection(fd: number, peer: Endpoint): void;
  /** One was accepted and reset. */
  onRefused(reason: Refusal): void;
}

/** Counts what is open against a limit; one may be shared by many acceptors, and one may stand behind another (pod, then node). */
export class Admission {
  readonly limit: number;
  open = 0;
  readonly #parent: Admission | undefined;

  constructor(limit: number, parent?: Admission) {
    this.limit = limit;
    this.#parent = parent;
  }

  /** Takes a place; false when there is none. */
  enter(): boolean {
    if (this.open >= this.limit) return false;
    if (this.#parent !== undefined && !this.#parent.enter()) return false;
    this.open++;
    return true;
  }

  /** Gives it back. */
  leave(): void {
    this.open--;
    this.#parent?.leave();
  }
}

/** Owns a listening socket on a loop. */
export class Acceptor implements Pollable, Resumable, TimerTarget {
  resumeQueued = false;
  readonly #loop: Loop;
  readonly #slot: Slot;
  readonly #handler: AcceptHandler;
  readonly #admission: Admission;
  readonly #peer = new Endpoint();
  #reserve: number;
  #closed = false;

  constructor(loop: Loop, fd: number, handler: AcceptHandler, admission: Admission) {
    this.#loop = loop;
    this.#handler = handler;
    this.#admission = admission;
    this.#reserve = createEventFd();
    this.#slot = loop.add(fd, this, EPOLLIN | EPOLLET);
  }

  onReady(): void {
    this.resume();
  }

  resume(): void {
    if (this.#closed) return;
    if (this.#accept(ACCEPTS_PER_TURN)) this.#loop.again(this);
  }

  /** Takes what already waits, then closes the listener: a connection the kernel completed is not lost (trap 23). */
  close(): void {
    if (this.#closed) return;
    while (this.#accept(ACCEPTS_PER_TURN)) {}
    this.#closed = true;
    if (this.#reserve >= 0) close(this.#reserve);
    this.#loop.remove(this.#slot);
  }

  /** Accepts at most `budget` connections; true when there may be more. */
  #accept(budget: number): boolean {
    const began = this.#loop.micros();
    for (let count = 0; count < budget; count++) {
      if (count > 0 && elapsedMicros(began, this.#loop.micros()) >= ACCEPT_US) break;
      const fd = acceptFrom(this.#slot.fd, this.#peer);
      if (fd >= 0) this.#take(fd);
      else if (fd === -EAGAIN) return false;
      // accept(2) looks for a descriptor first: with a full table it says so even when nobody waits.
      else if ((fd === -EMFILE || fd === -ENFILE) && !this.#refuseWithReserve()) return false;
      // Anything else happened to that one connection before it was ours (ECONNABORTED, EPROTO, network errors of accept(2)): go on.
    }
    return true;
  }

  #take(fd: number): void {
    if (this.#admission.enter()) {
      this.#handler.onConnection(fd, this.#peer);
      return;
    }
    resetOnClose(fd);
    close(fd);
    this.#handler.onRefused('limit');
  }

  /** Resets one waiting connection; false when none waits, or when another process took the system's last descriptor. */
  #refuseWithReserve(): boolean {
    if (this.#reserve >= 0) close(this.#reserve);
    const fd = acceptFrom(this.#slot.fd, this.#peer);
    if (fd >= 0) {
      resetOnClose(fd);
      close(fd);
      this.#handler.onRefused('descriptors');
    }
    this.#reserve = openReserve();
    // Without an answer the edge is lost, so look again later.
    if (fd < 0 && fd !== -EAGAIN) this.#loop.after(RETRY_MS, this);
    return fd >= 0;
  }

  /** Another try after the system had no descriptor at all. */
  onTimer(): void {
    this.resume();
  }
}

function openReserve(): number {
  try {
    return createEventFd();
  } catch {
    return -1;
  }
}
