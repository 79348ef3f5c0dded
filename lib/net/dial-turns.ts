// SPDX-License-Identifier: Apache-2.0
// What a worker dials in one turn at most: a dial costs much more than the request for it costs whoever asks. Who asks a thousand
// times waits; established streams do not.
import { elapsedMicros } from '#lib/linux/clock.ts';
import type { Flushable, Loop } from '#lib/loop/loop.ts';

/** Dials in a turn, and µs after which there is no further one: a dial is half a dozen system calls, 30 to 60 µs. */
const DIALS = 32;
const DIAL_US = 150;

/** A stream that leads somewhere once somebody has dialled. */
export interface Dialler {
  /** Owned by its line. Starts null. */
  nextDialler: Dialler | null;
  /** Dials, at the end of a turn; false when nobody wants it any more and it cost nothing. */
  dial(): boolean;
}

/** Streams of one tunnel that wait, first come first served: a list through the streams themselves, which points at none that has left it. */
export class DialLine {
  /** Owned by the turns. */
  queued = false;
  nextLine: DialLine | null = null;
  #first: Dialler | null = null;
  #last: Dialler | null = null;

  get empty(): boolean {
    return this.#first === null;
  }

  push(dialler: Dialler): void {
    if (this.#last === null) this.#first = dialler;
    else this.#last.nextDialler = dialler;
    this.#last = dialler;
  }

  /** The next dial; false when none was left that somebody wants. */
  dial(): boolean {
    for (let dialler = this.#first; dialler !== null; dialler = this.#first) {
      this.#first = dialler.nextDialler;
      if (this.#first === null) this.#last = null;
      dialler.nextDialler = null;
      if (dialler.dial()) return true;
    }
    return false;
  }
}

/** Dials at the end of the turn, tunnel by tunnel: a stream that is opened and reset at once costs no dial, and one tunnel's many wait for themselves alone. */
export class DialTurns implements Flushable {
  flushQueued = false;
  readonly #loop: Loop;
  #first: DialLine | null = null;
  #last: DialLine | null = null;

  constructor(loop: Loop) {
    this.#loop = loop;
  }

  /** @param line of the tunnel that `dialler` came through */
  push(line: DialLine, dialler: Dialler): void {
    line.push(dialler);
    if (!line.queued) this.#append(line);
    this.#loop.markDirty(this);
  }

  flush(): void {
    const began = this.#loop.micros();
    for (let left = DIALS; left > 0 && this.#first !== null; ) {
      const line = this.#first;
      this.#first = line.nextLine;
      if (this.#first === null) this.#last = null;
      line.nextLine = null;
      line.queued = false;
      if (line.dial()) left = elapsedMicros(began, this.#loop.micros()) < DIAL_US ? left - 1 : 0;
      if (!line.empty && !line.queued) this.#append(line);
    }
    if (this.#first !== null) this.#loop.markDirty(this);
  }

  #append(line: DialLine): void {
    line.queued = true;
    if (this.#last === null) this.#first = line;
    else this.#last.nextLine = line;
    this.#last = line;
  }
}
