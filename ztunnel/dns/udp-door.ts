// SPDX-License-Identifier: Apache-2.0
// The UDP socket at which a pod's DNS questions come in. An answer goes back to where its question came from, whenever it is ready.
import { Endpoint } from '#lib/linux/address.ts';
import { Arena } from '#lib/linux/arena.ts';
import { EPOLLET, EPOLLIN } from '#lib/linux/constants.ts';
import { EINTR } from '#lib/linux/errno.ts';
import { received, udpReceive, udpSend } from '#lib/linux/message.ts';
import type { Loop, Pollable, Resumable, Slot } from '#lib/loop/loop.ts';

/** Datagrams answered before other work of the turn is looked at. */
const BATCH = 64;
const MAX_DATAGRAM = 4096;

const arena = Arena.allocate(70 * 1024);

export type Reply = (message: Buffer) => void;
/** Answers a message, now or later, or never. */
export type Handle = (message: Buffer, reply: Reply) => void;

export class UdpDoor implements Pollable, Resumable {
  resumeQueued = false;
  readonly #loop: Loop;
  readonly #fd: number;
  readonly #v6: boolean;
  readonly #handle: Handle;
  readonly #slot: Slot;
  readonly #from = new Endpoint();
  readonly #to = new Endpoint();
  #closed = false;

  constructor(loop: Loop, fd: number, v6: boolean, handle: Handle) {
    this.#loop = loop;
    this.#fd = fd;
    this.#v6 = v6;
    this.#handle = handle;
    this.#slot = loop.add(fd, this, EPOLLIN | EPOLLET);
  }

  onReady(): void {
    this.resume();
  }

  resume(): void {
    for (let k = 0; k < BATCH && !this.#closed; k++) {
      const n = udpReceive(this.#fd, arena, 0, MAX_DATAGRAM, this.#from, this.#to);
      if (n === -EINTR) continue;
      if (n < 0) return;
      if (received.truncated) continue;
      const from = this.#from.clone();
      this.#handle(Buffer.from(arena.bytes.subarray(0, n)), (reply) => this.#reply(reply, from));
    }
    if (!this.#closed) this.#loop.again(this);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#loop.remove(this.#slot);
  }

  #reply(message: Buffer, to: Endpoint): void {
    if (this.#closed) return;
    message.copy(arena.bytes, 0);
    udpSend(this.#fd, arena, 0, message.length, to, undefined, this.#v6);
  }
}
