// SPDX-License-Identifier: Apache-2.0
// Whose input is looked at next, and for how long. What a byte costs us is the sender's choice: 20 octets open a stream or make a
// handshake sign. So connections with input stand in line; each has a share of time, then the next; and after a turn's time the loop
// sends, accepts and polls again. Who has taken little lately goes first, so that a peer that asks for a little
// does not wait behind those that ask for all they can get: their floods then cost them, and nobody else. No line is
// forgotten: of every few shares one is for each line in turn.
import { elapsedMicros } from '#lib/linux/clock.ts';
import type { Loop, Resumable } from '#lib/loop/loop.ts';

/** One connection's share, µs. It may last longer by what one call costs that cannot be cut: a handshake's step. */
const SHARE_US = 100;
/** A turn's, µs: of all, and after which those who have taken much wait for the next. Each turn costs 2 µs itself. */
const TURN_US = 500;
const HEAVY_TURN_US = 200;
/** What was taken counts half with each 2^16 µs. */
const HALF_LIFE_BITS = 16;
/** Lines by what their connections took: below 1/4 ms, 1/2, … 64 ms, and above. Who takes all there is has taken 92 ms, who takes a twentieth 5. */
const LINES = 10;
/** Lines from this on have taken much: a sixth of all there is. */
const HEAVY_LINE = 7;
const FIRST_LINE_US = 250;
/** Of so many shares one goes to the lines in turn, whoever waits in the first. */
const ROUND_EVERY = 8;

/**
 * What a connection nobody knows yet is taken to have taken, µs: who comes anew again and again is not before those who are known for
 * some hundred requests a second.
 */
export const STRANGER_US = 16_000;

/** Has input to look at. */
export interface InputOwner {
  /** Looks at its input until there is no more of it, or `InputTurns.over`; true when there may be more. */
  onInputTurn(): boolean;
}

/** A connection's place in line. */
export class InputPlace {
  /** Owned by the lines. */
  queued = false;
  next: InputPlace | null = null;
  readonly owner: InputOwner;
  #taken: number;
  /** The µs at which its half-life began. */
  #agedAt: number;

  /** `now`: the loop's µs, here and below, each no earlier than the one before; `taken`: µs that it begins with. */
  constructor(owner: InputOwner, now: number, taken = 0) {
    this.owner = owner;
    this.#taken = taken;
    this.#agedAt = halfLifeOf(now);
  }

  /** It took `micros` up to `now`. */
  charge(micros: number, now: number): void {
    this.#age(now);
    this.#taken += micros;
  }

  /** The µs that it took lately. */
  taken(now: number): number {
    this.#age(now);
    return this.#taken;
  }

  #age(now: number): void {
    const halves = elapsedMicros(this.#agedAt, now) >> HALF_LIFE_BITS;
    if (halves === 0) return;
    this.#agedAt = halfLifeOf(now);
    this.#taken = halves > 30 ? 0 : this.#taken >> halves;
  }
}

export class InputTurns implements Resumable {
  resumeQueued = false;
  readonly #loop: Loop;
  readonly #heads: (InputPlace | null)[] = new Array(LINES).fill(null);
  readonly #tails: (InputPlace | null)[] = new Array(LINES).fill(null);
  #waiting = 0;
  #shares = 0;
  /** The line whose turn it is then. */
  #round = 0;
  #shareBegan = 0;

  constructor(loop: Loop) {
    this.#loop = loop;
  }

  /** Has the owner look at its input, this turn if it can be. Nothing happens to one that stands in line already. */
  push(place: InputPlace): void {
    if (place.queued) return;
    this.#append(place);
    this.#loop.again(this);
  }

  /** The share of who is looking at its input now is used up. */
  over(): boolean {
    return elapsedMicros(this.#shareBegan, this.#loop.micros()) >= SHARE_US;
  }

  resume(): void {
    const began = this.#loop.micros();
    let before = began;
    while (this.#waiting > 0 && elapsedMicros(began, before) < (this.#light() ? TURN_US : HEAVY_TURN_US)) {
      const place = this.#shift();
      this.#shareBegan = before;
      const more = place.owner.onInputTurn();
      const after = this.#loop.micros();
      place.charge(elapsedMicros(before, after), after);
      before = after;
      if (more && !place.queued) this.#append(place);
    }
    if (this.#waiting > 0) this.#loop.again(this);
  }

  /** Somebody who has taken little waits. */
  #light(): boolean {
    for (let line = 0; line < HEAVY_LINE; line++) if (this.#heads[line] !== null) return true;
    return false;
  }

  #append(place: InputPlace): void {
    place.queued = true;
    place.next = null;
    const line = lineOf(place.taken(this.#loop.lastMicros()));
    const tail = this.#tails[line]!;
    if (tail === null) this.#heads[line] = place;
    else tail.next = place;
    this.#tails[line] = place;
    this.#waiting++;
  }

  #shift(): InputPlace {
    const round = ++this.#shares % ROUND_EVERY === 0;
    let line = round ? this.#round : 0;
    while (this.#heads[line] === null) line = (line + 1) % LINES;
    if (round) this.#round = (line + 1) % LINES;
    const place = this.#heads[line]!;
    this.#heads[line] = place.next;
    if (place.next === null) this.#tails[line] = null;
    place.next = null;
    place.queued = false;
    this.#waiting--;
    return place;
  }
}

/** The µs at which the half-life under way began. */
function halfLifeOf(now: number): number {
  return (now >> HALF_LIFE_BITS) << HALF_LIFE_BITS;
}

function lineOf(taken: number): number {
  let line = 0;
  for (let bound = FIRST_LINE_US; taken >= bound && line < LINES - 1; bound *= 2) line++;
  return line;
}
