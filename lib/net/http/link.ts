// SPDX-License-Identifier: Apache-2.0
// A two-way byte stream under HTTP: a TCP socket, or an application's stream in a tunnel. Bytes are pushed to the owner, who takes
// all of them and says `pause` when what it feeds is full; what is written is taken whole, and `backlog` tells how much of it
// still waits. So backpressure is: pause the one while the other has a backlog. Nothing here calls its owner from within a call
// of the owner's, so that two links can be joined without care for who calls whom.
import type { Arena } from '#lib/linux/arena.ts';

export interface LinkOwner {
  /** Bytes lie in `arena[start, end)` until this returns; all of them are the owner's. Never while paused. */
  onBytes(link: Link, arena: Arena, start: number, end: number): void;
  /** The peer ended its direction in good order. */
  onFin(link: Link): void;
  /** The link is of no more use; once, and nothing follows. */
  onBroken(link: Link, cause: string): void;
  /** Nothing waits any more to be sent. */
  onDrained(link: Link): void;
}

/** Of links that nobody owns any more. */
export const NOBODY: LinkOwner = Object.freeze({ onBytes() {}, onFin() {}, onBroken() {}, onDrained() {} });

export abstract class Link {
  owner: LinkOwner;
  /** Nothing is read until `resume`. */
  paused = false;
  /** Closed or broken: writes are dropped. */
  closed = false;
  /** Bytes that the peer has not taken yet. */
  backlog = 0;
  /** Monotonic ms at which the peer last took bytes that had waited. */
  progressAt = 0;

  constructor(owner: LinkOwner) {
    this.owner = owner;
  }

  /** Sends `arena[start, start + length)`, or keeps a copy of what cannot be sent now. */
  abstract transmit(arena: Arena, start: number, length: number): void;
  abstract pause(): void;
  /** Goes on reading in the next turn. */
  abstract resume(): void;
  /** Ends our direction once everything is sent; the peer's goes on. */
  abstract finish(): void;
  /** Sends what waits, then ends both directions in good order. The owner hears nothing more. */
  abstract close(): void;
  /** Ends now, visibly broken for the peer. The owner hears nothing more. */
  abstract abort(): void;
}
