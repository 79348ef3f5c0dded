// SPDX-License-Identifier: Apache-2.0
// A listening TCP socket on the loop. It accepts in batches, and survives what makes accept loops spin or go deaf (trap 19): out
// of descriptors, it gives up its reserve, takes the connection, resets it, and takes the reserve back; at the admission
// limit connections are taken and reset, so that clients hear it at once; an aborted connection is not an error.

import { accept, close } from '#lib/linux/calls.ts';
import { EPOLLET, EPOLLIN } from '#lib/linux/constants.ts';
import { EAGAIN, ECONNABORTED, EINTR, EMFILE, ENFILE } from '#lib/linux/errno.ts';
import { resetOnClose } from '#lib/linux/socket.ts';
import type { Loop, Pollable, Resumable, Slot } from '#lib/loop/loop.ts';
import type { Admission } from './admission.ts';

/** Connections accepted before other work of the turn is looked at. */
const BATCH = 64;

export interface ListenerOwner {
  /** `fd` is the owner's from now on. */
  onAccept(fd: number): void;
}

export class Listener implements Pollable, Resumable {
  resumeQueued = false;
  readonly #loop: Loop;
  readonly #admission: Admission;
  readonly #owner: ListenerOwner;
  readonly #fd: number;
  readonly #slot: Slot;
  #closed = false;

  /** Takes over the listening `fd`. */
  constructor(loop: Loop, fd: number, admission: Admission, owner: ListenerOwner) {
    this.#loop = loop;
    this.#fd = fd;
    this.#admission = admission;
    this.#owner = owner;
    this.#slot = loop.add(fd, this, EPOLLIN | EPOLLET);
  }

  onReady(): void {
    this.resume();
  }

  resume(): void {
    for (let k = 0; k < BATCH && !this.#closed; k++) {
      const fd = accept(this.#fd);
      if (fd >= 0) {
        if (this.#admission.admits()) this.#owner.onAccept(fd);
        else refuse(fd);
        continue;
      }
      if (fd === -EINTR || fd === -ECONNABORTED) continue;
      if (fd === -EMFILE || fd === -ENFILE) {
        if (!this.#admission.spendReserve(() => this.#refuseOne())) return;
        continue;
      }
      // EAGAIN, or an error of the network that belongs to the connection just taken off the queue (accept(2)).
      if (fd === -EAGAIN) return;
    }
    if (!this.#closed) this.#loop.again(this);
  }

  /** Accepts what the kernel has queued, then stops listening: closing over a queue resets it (trap 23). */
  close(): void {
    if (this.#closed) return;
    for (let k = 0; k < 16 * BATCH; k++) {
      const fd = accept(this.#fd);
      if (fd < 0) {
        if (fd === -EINTR || fd === -ECONNABORTED) continue;
        break;
      }
      if (this.#admission.admits()) this.#owner.onAccept(fd);
      else refuse(fd);
    }
    this.abandon();
  }

  /** Stops listening at once; whoever is queued is reset. */
  abandon(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#loop.remove(this.#slot);
  }

  #refuseOne(): boolean {
    const fd = accept(this.#fd);
    if (fd < 0) return false;
    refuse(fd);
    return true;
  }
}

function refuse(fd: number): void {
  resetOnClose(fd);
  close(fd);
}
