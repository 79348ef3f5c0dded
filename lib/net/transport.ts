// SPDX-License-Identifier: Apache-2.0
// What an HTTP/2 session stands on: something that takes plaintext when it says it has room, and delivers plaintext in the
// worker's receive arena. TLS on a socket in production, a bare socket where TLS is set aside for a test, TLS inside
// another tunnel's stream across networks.

import type { Arena } from '#lib/linux/arena.ts';
import type { PeerIdentity } from '#lib/tls/peer.ts';

export interface TransportOwner {
  /** Bytes may be written from now on; `peer` is who the other end proved to be. Returns why it is refused, or ''. */
  onOpen(peer: PeerIdentity | null): string;
  /**
   * Plaintext lies in `bytes[start, end)`, which are the worker's receive arena's, until this returns. Returns how far it was taken:
   * less than `end` when that was work enough, and the transport looks whether its turn is over before it hands over the rest.
   */
  onPlaintext(bytes: Buffer, start: number, end: number): number;
  /** Room came back after `room` had too little: ask for a flush. */
  onRoom(): void;
  /** The other end is gone; once, and never after `finish` or `abort`. `clean`: it said so by TLS's own close. */
  onTransportEnd(cause: string, clean: boolean): void;
}

export interface Transport {
  /** Plaintext bytes that `write` takes for certain now; 0 before it is open. */
  room(): number;
  /** Takes `length` bytes at the arena's start. False: it failed, and the owner has been told. */
  write(arena: Arena, length: number): boolean;
  /** Hands the kernel what it takes; false while something is left. */
  drain(): boolean;
  /** Gives memory back while nothing moves. */
  shrink(): void;
  /** Ends in good order: what was written arrives. Nothing is delivered any more. */
  finish(): void;
  /** Ends at once, visibly broken for the other end. */
  abort(): void;
}
