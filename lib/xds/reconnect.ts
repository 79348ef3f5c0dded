// SPDX-License-Identifier: Apache-2.0
// When a client's stream ends: how long to wait before the next one. A server that goes away in an orderly way is
// dialled again at once; one that refuses or is not there is given more and more time, up to 3 s. An attempt takes 5 s at
// most, of which 2 s are left when its last knock (TCP asks again after 1 s and 3 s) has just been in vain: a server that
// returns is found within 5 s, and its first answer fits into the 10 s after which all is well.

import { status as Code } from '@grpc/grpc-js';
import { Backoff } from '#lib/kit/backoff.ts';

export const INITIAL_MS = 10;
export const MAX_MS = 3_000;

/** How an attempt ended. */
export type Ending =
  | { readonly kind: 'no-connection'; readonly message: string }
  | { readonly kind: 'silence'; readonly message: string }
  | { readonly kind: 'status'; readonly code: Code; readonly message: string }
  | { readonly kind: 'clean' };

export class ReconnectPolicy {
  readonly #backoff = new Backoff({ initialMs: INITIAL_MS, maxMs: MAX_MS });

  /** A response arrived: whatever was wrong is over. */
  established(): void {
    this.#backoff.reset();
  }

  /** Milliseconds until the next attempt. */
  waitMs(ending: Ending, receivedAny: boolean): number {
    switch (ending.kind) {
      case 'clean':
        // A server that ends every stream without a word must not be dialled without pause.
        return receivedAny ? 0 : this.#backoff.next();
      case 'no-connection':
        return this.#backoff.next();
      case 'silence':
        // The link is dead, and another one may be alive: a server of a dead link does not answer the next dial either,
        // which then counts as an attempt in vain.
        return receivedAny ? INITIAL_MS : this.#backoff.next();
      case 'status':
        return isPassing(ending) && receivedAny ? INITIAL_MS : this.#backoff.next();
    }
  }
}

/** Ends that say nothing about the server's health: an old connection closed, a deadline, a proxy in between. */
function isPassing({ code, message }: Extract<Ending, { kind: 'status' }>): boolean {
  if (code === Code.UNKNOWN || code === Code.CANCELLED || code === Code.DEADLINE_EXCEEDED) return true;
  return (
    code === Code.UNAVAILABLE &&
    /transport is closing|received prior goaway|connection dropped|server.*clos/i.test(message)
  );
}
