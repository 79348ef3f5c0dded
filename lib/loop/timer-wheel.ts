// SPDX-License-Identifier: Apache-2.0
// A hierarchical timer wheel: 256 slots of 1 ms, then three rings of 64 slots, each slot as long as the whole ring below it.
// Adding and cancelling take constant time and no garbage; a timer never fires early and fires at the first advance() at or after its time.
// Pure: it knows no clock. Timers further off than the wheel turns (18 hours) wait in its last slot and are put in again.

const BITS = [8, 6, 6, 6] as const;
const SHIFTS = [0, 8, 14, 20] as const;
const SLOT_BASES = [0, 256, 320, 384] as const;
const SLOTS = 448;
const HORIZON = 2 ** 26 - 1;
const NONE = -1;
/** Timer ids carry their entry's number below this and its generation above. */
const ENTRY_LIMIT = 2 ** 22;
const GENERATION_LIMIT = 2 ** 30;

/** What a timer calls. */
export interface TimerTarget {
  /** The timer `id` is due; it is already gone from the wheel. */
  onTimer(id: TimerId): void;
}

/** Names one timer for cancel(); never 0, so 0 can stand for "no timer". */
export type TimerId = number;

/** Timers by their due time in whole ms of any monotonic clock that starts near `start`. */
export class TimerWheel {
  /** Timers waiting. */
  size = 0;
  #now: number;
  /** Timers added now are due later than this: #now, or the end of the advance() under way. */
  #floor: number;
  /** No slot needs a visit before this time. */
  #soonest = Number.POSITIVE_INFINITY;
  #capacity = 64;
  #next = new Int32Array(64);
  #previous = new Int32Array(64);
  #slot = new Int32Array(64);
  #due = new Float64Array(64);
  #generation = new Int32Array(64).fill(1);
  #targets: (TimerTarget | undefined)[] = new Array(64).fill(undefined);
  #free = NONE;
  readonly #heads = new Int32Array(SLOTS).fill(NONE);

  constructor(start: number) {
    this.#now = Math.floor(start);
    this.#floor = this.#now;
    this.#chainFree(0, 64);
  }

  /** Calls `target` at `due` (ms, rounded up) or at the next advance when that is past. */
  add(due: number, target: TimerTarget): TimerId {
    if (this.#free === NONE) this.#grow();
    const entry = this.#free;
    this.#free = this.#next[entry]!;
    this.#due[entry] = Math.max(Math.ceil(due), this.#floor + 1);
    this.#targets[entry] = target;
    this.#link(entry);
    this.size++;
    return this.#generation[entry]! * ENTRY_LIMIT + entry;
  }

  /** Takes a timer out; false when it already fired or was cancelled. */
  cancel(id: TimerId): boolean {
    const entry = id % ENTRY_LIMIT;
    if (id <= 0 || entry >= this.#capacity || this.#targets[entry] === undefined) return false;
    if (this.#generation[entry]! !== Math.floor(id / ENTRY_LIMIT)) return false;
    this.#unlink(entry);
    this.#release(entry);
    return true;
  }

  /** Fires every timer due at or before `now`, in slots of time; returns how many. Timers added meanwhile wait for a later advance. */
  advance(now: number): number {
    const until = Math.floor(now);
    if (until <= this.#now) return 0;
    let fired = 0;
    this.#floor = until;
    while (this.#soonest <= until) {
      this.#now = this.#soonest;
      this.#cascade();
      fired += this.#fire();
      this.#soonest = this.#nextSlotTime();
    }
    this.#now = until;
    return fired;
  }

  /** Ms from `now` until advance() may have something to do, at most `limit`; 0 when something is due. */
  delay(now: number, limit: number): number {
    const wait = this.#soonest - now;
    return wait <= 0 ? 0 : wait >= limit ? limit : Math.ceil(wait);
  }

  /** The next time after #now at which a slot must be fired or cascaded; infinity without timers. */
  #nextSlotTime(): number {
    let best = Number.POSITIVE_INFINITY;
    if (this.size === 0) return best;
    for (let level = 0; level < 4; level++) {
      const shift = SHIFTS[level]!;
      const count = 1 << BITS[level]!;
      const unit = 2 ** shift;
      const current = Math.floor(this.#now / unit);
      const base = SLOT_BASES[level]!;
      for (let step = 1; step <= count; step++) {
        const time = (current + step) * unit;
        if (time >= best) break;
        if (this.#heads[base + ((current + step) % count)]! !== NONE) {
          best = time;
          break;
        }
      }
    }
    return best;
  }

  /** Puts the timers of every coarser slot that begins now into finer ones. */
  #cascade(): void {
    for (let level = 3; level >= 1; level--) {
      const unit = 2 ** SHIFTS[level]!;
      if (this.#now % unit !== 0) continue;
      const slot = SLOT_BASES[level]! + ((this.#now / unit) % (1 << BITS[level]!));
      let entry = this.#heads[slot]!;
      this.#heads[slot] = NONE;
      while (entry !== NONE) {
        const next = this.#next[entry]!;
        this.#link(entry);
        entry = next;
      }
    }
  }

  /** Fires the slot of #now. A callback may cancel its neighbours and add others; those go to later slots. */
  #fire(): number {
    const slot = this.#now % 256;
    let fired = 0;
    for (let entry = this.#heads[slot]!; entry !== NONE; entry = this.#heads[slot]!) {
      const target = this.#targets[entry]!;
      const id = this.#generation[entry]! * ENTRY_LIMIT + entry;
      this.#unlink(entry);
      this.#release(entry);
      fired++;
      target.onTimer(id);
    }
    return fired;
  }

  /** Files an entry in the slot of its due time. */
  #link(entry: number): void {
    const time = Math.min(Math.max(this.#due[entry]!, this.#now), this.#now + HORIZON);
    const distance = time - this.#now;
    const level = distance < 256 ? 0 : distance < 2 ** 14 ? 1 : distance < 2 ** 20 ? 2 : 3;
    const unit = 2 ** SHIFTS[level]!;
    const turn = Math.floor(time / unit);
    const slot = SLOT_BASES[level]! + (turn % (1 << BITS[level]!));
    this.#soonest = Math.min(this.#soonest, turn * unit);
    const head = this.#heads[slot]!;
    this.#next[entry] = head;
    this.#previous[entry] = NONE;
    this.#slot[entry] = slot;
    if (head !== NONE) this.#previous[head] = entry;
    this.#heads[slot] = entry;
  }

  #unlink(entry: number): void {
    const next = this.#next[entry]!;
    const previous = this.#previous[entry]!;
    if (next !== NONE) this.#previous[next] = previous;
    if (previous !== NONE) this.#next[previous] = next;
    else this.#heads[this.#slot[entry]!] = next;
  }

  #release(entry: number): void {
    this.#targets[entry] = undefined;
    this.#generation[entry] = (this.#generation[entry]! % GENERATION_LIMIT) + 1;
    this.#next[entry] = this.#free;
    this.#free = entry;
    this.size--;
  }

  #grow(): void {
    const from = this.#capacity;
    const to = Math.min(from * 2, ENTRY_LIMIT);
    if (to === from) throw new RangeError(`more than ${ENTRY_LIMIT} timers`);
    const grown = (old: Int32Array) => {
      const array = new Int32Array(to);
      array.set(old);
      return array;
    };
    this.#next = grown(this.#next);
    this.#previous = grown(this.#previous);
    this.#slot = grown(this.#slot);
    this.#generation = grown(this.#generation).fill(1, from);
    const due = new Float64Array(to);
    due.set(this.#due);
    this.#due = due;
    for (let entry = from; entry < to; entry++) this.#targets.push(undefined);
    this.#capacity = to;
    this.#chainFree(from, to);
  }

  #chainFree(from: number, to: number): void {
    for (let entry = from; entry < to; entry++) this.#next[entry] = entry + 1 < to ? entry + 1 : NONE;
    this.#free = from;
  }
}
