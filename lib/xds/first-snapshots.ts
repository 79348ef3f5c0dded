// SPDX-License-Identifier: Apache-2.0
// First snapshots, a few at a time: large ones to a thousand clients that come at once would each be a copy in memory.
// What is on its way to new clients is counted, and the next one begins when it is little enough.
import type { Clock } from '#lib/kit/clock.ts';

/** More clients are let in when so many bytes or fewer are on their way to new ones. */
const MOST_BYTES = 48 * 1024 * 1024;
/** A new client that has not read its first snapshot by then no longer keeps others waiting. */
const PATIENCE_MS = 2_000;

/** What is on its way to one new client. */
export interface Share {
  /** So many bytes were handed over; call what it gives when the transport has taken them. */
  sending(bytes: number): () => void;
  /** It is no new client any more. */
  end(): void;
}

export class FirstSnapshots {
  readonly #clock: Clock;
  readonly #queue: (() => void)[] = [];
  #bytes = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Calls `start` when its turn has come, now or later; who is still there then begins a share. */
  enter(start: () => void): void {
    this.#queue.push(start);
    this.#next();
  }

  /** A client starts. */
  begin(): Share {
    let own = 0;
    let ended = false;
    const count = (bytes: number): void => {
      if (ended) return;
      own += bytes;
      this.#bytes += bytes;
      if (bytes < 0) this.#next();
    };
    const end = (): void => {
      count(-own);
      ended = true;
    };
    this.#clock.after(PATIENCE_MS, end);
    return {
      sending: (bytes) => {
        if (ended) return () => {};
        count(bytes);
        return () => count(-bytes);
      },
      end,
    };
  }

  #next(): void {
    while (this.#bytes < MOST_BYTES) {
      const start = this.#queue.shift();
      if (start === undefined) return;
      start();
    }
  }
}
