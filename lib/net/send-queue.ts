// SPDX-License-Identifier: Apache-2.0
// The streams of one tunnel that have something to send, in the order in which they said so. Intrusive: a stream is on the
// list at most once, and getting on or off it costs no memory.

import type { Arena } from '#lib/linux/arena.ts';

/** A stream that fills frames when it is its turn. */
export interface Sender {
  /** Owned by the queue. */
  sendQueued: boolean;
  /** Owned by the queue. */
  nextSender: Sender | null;
  /**
   * Writes frames to `arena` from `offset`, at most `room` bytes (never fewer than MIN_SEND_ROOM), at most `share` bytes of payload,
   * and returns how many bytes it wrote. A sender that has more to send puts itself on the queue again.
   */
  fill(arena: Arena, offset: number, room: number, share: number): number;
}

/** Least room a sender is asked to fill: a frame header and a little. */
export const MIN_SEND_ROOM = 512;

export class SendQueue {
  size = 0;
  #head: Sender | null = null;
  #tail: Sender | null = null;

  push(sender: Sender): void {
    if (sender.sendQueued) return;
    sender.sendQueued = true;
    sender.nextSender = null;
    if (this.#tail === null) this.#head = sender;
    else this.#tail.nextSender = sender;
    this.#tail = sender;
    this.size++;
  }

  shift(): Sender | null {
    const sender = this.#head;
    if (sender === null) return null;
    this.#head = sender.nextSender;
    if (this.#head === null) this.#tail = null;
    sender.nextSender = null;
    sender.sendQueued = false;
    this.size--;
    return sender;
  }
}
