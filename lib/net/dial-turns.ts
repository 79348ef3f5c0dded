// SPDX-License-Identifier: Apache-2.0
// What a worker dials in one turn at most: a dial costs much more than the request for it costs whoever asks. Who asks a thousand
// times waits; established streams do not.
import type { Flushable, Loop } from '#lib/loop/loop.ts';

/** Dials in a turn, and ms after which there is no further one: a dial is half a dozen system calls, 30 to 60 µs. */
const DIALS = 32;
const DIAL_MS = 0.15;

/** A stream that leads somewhere once somebody has dialled. */
export interface Dialler {
  /** Dials, at the end of a turn; false when nobody wants it any more and it cost nothing. */
  dial(): boolean;
}

/** Streams of one tunnel that wait, first come first served. */
interface Line {
  waiting: Dialler[];
  at: number;
}

/** Dials at the end of the turn, tunnel by tunnel: a stream that is opened and reset at once costs no dial, and one tunnel's many wait for themselves alone. */
export class DialTurns implements Flushable {
  flushQueued = false;
  readonly #loop: Loop;
  readonly #lines = new Map<object, Line>();

  constructor(loop: Loop) {
    this.#loop = loop;
  }

  /** @param tunnel what `dialler` came through */
  push(tunnel: object, dialler: Dialler): void {
    const line = this.#lines.get(tunnel);
    if (line === undefined) this.#lines.set(tunnel, { waiting: [dialler], at: 0 });
    else line.waiting.push(dialler);
    this.#loop.markDirty(this);
  }

  flush(): void {
    const until = this.#loop.clock() + DIAL_MS;
    let left = DIALS;
    while (left > 0 && this.#lines.size > 0) {
      for (const [tunnel, line] of this.#lines) {
        // To the end, so that the next turn begins with another.
        this.#lines.delete(tunnel);
        if (this.#next(line)) left = this.#loop.clock() < until ? left - 1 : 0;
        if (line.at < line.waiting.length) this.#lines.set(tunnel, line);
        if (left === 0) break;
      }
    }
    if (this.#lines.size > 0) this.#loop.markDirty(this);
  }

  /** The line's next dial; false when none was left that somebody wants. */
  #next(line: Line): boolean {
    while (line.at < line.waiting.length) if (line.waiting[line.at++]!.dial()) return true;
    return false;
  }
}
