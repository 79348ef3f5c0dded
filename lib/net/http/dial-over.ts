// SPDX-License-Identifier: Apache-2.0
// A connection over another: whatever way leads to the lower one, then what both ends have to agree on before anybody may use it, in
// a time of its own.
import type { Loop } from '#lib/loop/loop.ts';
import type { TimerId, TimerTarget } from '#lib/loop/timer-wheel.ts';
import type { Link } from './link.ts';
import type { Dialler, Dialling, DialOutcome } from './upstream.ts';

/** Told once how it went. */
export interface MadeOver {
  /** Bytes of the far end come by `link` from now on, maybe as soon as this returns. */
  onMade(link: Link): void;
  onNotMade(cause: string): void;
}

export interface Over {
  /** For the agreement; the connection below has its own. */
  readonly timeoutMs: number;
  /** What is told when that is over. */
  readonly late: string;
  /** Begins over `below`, which it owns from now on. */
  make(below: Link, made: MadeOver): Link;
}

export function dialOver(loop: Loop, dial: Dialler, over: Over, outcome: DialOutcome): Dialling {
  const attempt = new Attempt(loop, over, outcome);
  attempt.begin(dial);
  return attempt;
}

class Attempt implements DialOutcome, Dialling, MadeOver, TimerTarget {
  readonly #loop: Loop;
  readonly #over: Over;
  readonly #outcome: DialOutcome;
  #dialling: Dialling | null = null;
  #link: Link | null = null;
  #localAddress = '';
  #timer: TimerId = 0;
  #ended = false;

  constructor(loop: Loop, over: Over, outcome: DialOutcome) {
    this.#loop = loop;
    this.#over = over;
    this.#outcome = outcome;
  }

  begin(dial: Dialler): void {
    const dialling = dial(this);
    if (this.#link === null && !this.#ended) this.#dialling = dialling;
  }

  cancel(): void {
    if (this.#ended) return;
    this.#end();
    this.#dialling?.cancel();
    this.#link?.abort();
  }

  onLink(below: Link, localAddress: string): void {
    this.#dialling = null;
    if (this.#ended) {
      below.abort();
      return;
    }
    this.#localAddress = localAddress;
    this.#timer = this.#loop.after(this.#over.timeoutMs, this);
    this.#link = this.#over.make(below, this);
  }

  onNoLink(cause: string): void {
    this.onNotMade(cause);
  }

  onMade(link: Link): void {
    this.#end();
    this.#outcome.onLink(link, this.#localAddress);
  }

  onNotMade(cause: string): void {
    if (this.#ended) return;
    this.#end();
    this.#outcome.onNoLink(cause);
  }

  onTimer(): void {
    this.#timer = 0;
    if (this.#ended) return;
    this.#link?.abort();
    this.onNotMade(this.#over.late);
  }

  #end(): void {
    this.#ended = true;
    if (this.#timer !== 0) this.#loop.cancel(this.#timer);
    this.#timer = 0;
  }
}
