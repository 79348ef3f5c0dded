// SPDX-License-Identifier: Apache-2.0
// When a client's stream ends: how long to wait before the next one. A server that goes away in an orderly way is
// dialled again at once; one that refuses or is not there is given more and more time, up to 5 s: with the 5 s that a
// connection may take, a server that returns is found within 10 s.

import { status as Code } from '@grpc/grpc-js';
import { Backoff } from '#lib/kit/backoff.ts';

export const INITIAL_MS = 10;
export const MAX_MS = 5_000;

/** How an attempt ended. */
export type Ending =
  | { readonly kind: 'no-connection'; readonly message: string }
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
