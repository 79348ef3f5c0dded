// SPDX-License-Identifier: Apache-2.0
// The event loop of a data-plane process: edge-triggered epoll, one registration a descriptor, no promise anywhere.
//
//   turn:  wait  →  hand out the events  →  timers  →  resume what asked for another go  →  flush what became dirty  →  close
//
// Invariants: an event reaches only the owner it was registered for (its tag is slot and generation, trap 2); a descriptor is closed at the
// end of the turn and nowhere else; what is marked while the lists are being walked belongs to the next turn, and then the
// wait does not block (trap 17); a wait lasts at most a second (trap 21).
import { AmbitError } from '#lib/kit/error.ts';
import { close } from '#lib/linux/calls.ts';
import { ClockOf, elapsedMicros, type LoopClock, MonotonicClock } from '#lib/linux/clock.ts';
import { EPOLLET, EPOLLIN, EPOLLOUT, EPOLLPRI, EPOLLRDHUP } from '#lib/linux/constants.ts';
import { Epoll } from '#lib/linux/epoll.ts';
import { callError, EINTR } from '#lib/linux/errno.ts';
import { Spinner } from './spinner.ts';
import { type TimerId, type TimerTarget, TimerWheel } from './timer-wheel.ts';
import { TurnList } from './turn-list.ts';

/** Gets the epoll bits of its descriptor. */
export interface Pollable {
  onReady(events: number): void;
}

/** Has bytes gathered during a turn and sends them at its end. */
export interface Flushable {
  /** Owned by the loop: whether it stands on the flush list. Starts false. */
  flushQueued: boolean;
  flush(): void;
}

/** Stopped for fairness with work left. */
export interface Resumable {
  /** Owned by the loop: whether it stands on the list of the next turn. Starts false. */
  resumeQueued: boolean;
  resume(): void;
}

/** A registered descriptor. The loop closes it; nobody else does. */
export class Slot {
  /** -1 once removed. */
  fd: number;
  readonly index: number;
  readonly generation: number;
  readonly target: Pollable;

  constructor(fd: number, index: number, generation: number, target: Pollable) {
    this.fd = fd;
    this.index = index;
    this.generation = generation;
    this.target = target;
  }
}

/** Told of each turn, for counters and the flight recorder. Called on the hot path. */
export interface TurnObserver {
  /** `events` handed out; whole µs spent after the wait; `flushed` objects flushed. */
  onTurn(events: number, busyMicros: number, flushed: number): void;
}

export interface LoopOptions {
  /** Events taken by one wait; 1024 unless told. */
  readonly batch?: number;
  /**
   * Events taken at once while nothing is left over from the turn before; `batch` unless told. Smaller portions answer the first of many
   * earlier. With work left over all are looked at, so that who should go first is known.
   */
  readonly portion?: number;
  readonly observer?: TurnObserver;
  /** Poll for a moment before blocking, when that has been paying; on unless told. */
  readonly spin?: boolean;
  /** Monotonic ms; those of performance.now unless told. */
  readonly monotonic?: () => number;
}

/** Everything a socket may report, edge-triggered. */
export const ALL_EVENTS = EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLRDHUP | EPOLLET;

/** Timers that need not be exact meet at multiples of this, in ms: where the timer wheel has to look in any case. */
export const GRID_MS = 256;

/** Waits are never longer, so that a loop can always be seen to live. */
export const MAX_WAIT_MS = 1000;

export class Loop {
  /** Monotonic ms at the start of this turn. */
  now: number;
  /** The same as whole µs, for `elapsedMicros`. */
  began: number;
  /** Descriptors registered. */
  active = 0;
  readonly #clock: LoopClock;
  readonly #epoll: Epoll;
  readonly #portion: number;
  readonly #wheel: TimerWheel;
  readonly #spinner: Spinner | undefined;
  readonly #observer: TurnObserver | undefined;
  readonly #slots: (Slot | undefined)[] = [];
  readonly #generations: number[] = [];
  readonly #freeSlots: number[] = [];
  readonly #closing = new TurnList<Slot>();
  #dirty = new TurnList<Flushable>();
  #dirtySpare = new TurnList<Flushable>();
  #resuming = new TurnList<Resumable>();
  #resumingSpare = new TurnList<Resumable>();
  #running = false;

  constructor(options: LoopOptions = {}) {
    this.#clock = options.monotonic === undefined ? new MonotonicClock() : new ClockOf(options.monotonic);
    this.now = this.#clock.ms();
    this.began = this.#clock.lastMicros();
    this.#epoll = new Epoll(options.batch ?? 1024);
    this.#portion = options.portion ?? this.#epoll.capacity;
    this.#wheel = new TimerWheel(this.now);
    this.#spinner = options.spin === false ? undefined : new Spinner(this.#clock);
    this.#observer = options.observer;
  }

  /** Whole µs now, which a turn's work has moved on since `began`, for `elapsedMicros`. */
  micros(): number {
    return this.#clock.micros();
  }

  /** The µs of whatever look at the clock was the last, without another: never before those that anybody has seen. */
  lastMicros(): number {
    return this.#clock.lastMicros();
  }

  /** Registers `fd`, which the loop owns from now on. Throws SYSCALL_EEXIST when it is registered already. */
  add(fd: number, target: Pollable, events: number = ALL_EVENTS): Slot {
    const index = this.#freeSlots.pop() ?? this.#slots.length;
    const generation = ((this.#generations[index] ?? 0) + 1) | 0;
    const failed = this.#epoll.add(fd, events, index, generation);
    if (failed < 0) {
      this.#giveBack(index);
      throw callError('epoll_ctl ADD', failed, `descriptor ${fd}`);
    }
    const slot = new Slot(fd, index, generation, target);
    this.#slots[index] = slot;
    this.#generations[index] = generation;
    this.active++;
    return slot;
  }

  /** Changes what a slot waits for. Throws when the slot was removed. */
  modify(slot: Slot, events: number): void {
    const failed = this.#epoll.modify(this.#open(slot), events, slot.index, slot.generation);
    if (failed < 0) throw callError('epoll_ctl MOD', failed, `descriptor ${slot.fd}`);
  }

  /**
   * Drops the descriptor's events from now on, and closes it at the end of the turn. Does nothing a second time. Closing takes it out of
   * epoll; if a duplicate keeps the open file alive, its events carry a tag that nobody has any more.
   */
  remove(slot: Slot): void {
    if (slot.fd < 0 || this.#slots[slot.index] !== slot) return;
    this.#slots[slot.index] = undefined;
    this.#closing.push(slot);
    this.active--;
  }

  /** Takes the descriptor out of epoll and hands it back, open. Events of it that are under way are dropped. */
  release(slot: Slot): number {
    const fd = this.#open(slot);
    this.#slots[slot.index] = undefined;
    this.#epoll.delete(fd);
    slot.fd = -1;
    this.active--;
    // The index rests until the end of the turn like that of a closed one.
    this.#closing.push(slot);
    return fd;
  }

  /** Has `target` flushed at the end of this turn, or of the next one when this one is already flushing. */
  markDirty(target: Flushable): void {
    if (target.flushQueued) return;
    target.flushQueued = true;
    this.#dirty.push(target);
  }

  /** Has `target` resumed in the next turn, which then does not block. */
  again(target: Resumable): void {
    if (target.resumeQueued) return;
    target.resumeQueued = true;
    this.#resuming.push(target);
  }

  /** Calls `target` once, `ms` after the start of this turn. */
  after(ms: number, target: TimerTarget): TimerId {
    return this.#wheel.add(this.now + ms, target);
  }

  /**
   * Calls `target` once, `ms` from now or up to GRID_MS later, in one turn with all others that may wait so: for what looks after
   * things now and then, so that a process at rest wakes a few times a second, however much it looks after.
   */
  afterAbout(ms: number, target: TimerTarget): TimerId {
    return this.#wheel.add(Math.ceil((this.now + ms) / GRID_MS) * GRID_MS, target);
  }

  /** Takes a timer back; false when it already fired. 0 is never a timer. */
  cancel(id: TimerId): boolean {
    return this.#wheel.cancel(id);
  }

  /** One turn that waits at most `maxMs`; returns the number of events, timers and resumptions handled. */
  turn(maxMs: number): number {
    const events = this.#wait(Math.min(maxMs, MAX_WAIT_MS));
    const start = this.#clock.ms();
    this.now = start;
    this.began = this.#clock.lastMicros();
    this.#dispatch(events);
    const timers = this.#wheel.advance(start);
    const resumed = this.#resume();
    const flushed = this.#flush();
    this.#closeRemoved();
    this.#observer?.onTurn(events, elapsedMicros(this.began, this.#clock.micros()), flushed);
    return events + timers + resumed;
  }

  /** Turns until stop(). */
  run(): void {
    this.#running = true;
    while (this.#running) this.turn(MAX_WAIT_MS);
  }

  /** Ends run() after this turn. */
  stop(): void {
    this.#running = false;
  }

  /** Closes every descriptor and the epoll instance. The loop is of no use afterwards. */
  dispose(): void {
    this.stop();
    for (const slot of this.#slots) if (slot) this.remove(slot);
    this.#closeRemoved();
    this.#epoll.close();
  }

  #wait(maxMs: number): number {
    const pending = this.#resuming.size > 0 || this.#dirty.size > 0;
    this.#epoll.limit = pending ? this.#epoll.capacity : this.#portion;
    const timeout = pending ? 0 : this.#wheel.delay(this.#clock.ms(), maxMs);
    let events = 0;
    if (timeout > 0 && this.#spinner !== undefined) events = this.#spinner.poll(this.#epoll);
    if (events === 0) events = this.#epoll.wait(timeout);
    this.#spinner?.note(events);
    if (events >= 0) return events;
    if (events === -EINTR) return 0;
    throw callError('epoll_wait', events);
  }

  #dispatch(events: number): void {
    const epoll = this.#epoll;
    for (let index = 0; index < events; index++) {
      const slot = this.#slots[epoll.low(index)];
      if (slot !== undefined && slot.generation === epoll.high(index)) slot.target.onReady(epoll.events(index));
    }
  }

  #resume(): number {
    const list = this.#resuming;
    const count = list.size;
    if (count === 0) return 0;
    this.#resuming = this.#resumingSpare;
    this.#resumingSpare = list;
    for (let index = 0; index < count; index++) {
      const target = list.take(index);
      target.resumeQueued = false;
      target.resume();
    }
    list.size = 0;
    return count;
  }

  #flush(): number {
    const list = this.#dirty;
    const count = list.size;
    if (count === 0) return 0;
    this.#dirty = this.#dirtySpare;
    this.#dirtySpare = list;
    for (let index = 0; index < count; index++) {
      const target = list.take(index);
      target.flushQueued = false;
      target.flush();
    }
    list.size = 0;
    return count;
  }

  #closeRemoved(): void {
    const list = this.#closing;
    for (let index = 0; index < list.size; index++) {
      const slot = list.take(index);
      if (slot.fd >= 0) close(slot.fd);
      slot.fd = -1;
      this.#giveBack(slot.index);
    }
    list.size = 0;
  }

  #giveBack(index: number): void {
    if (index === this.#slots.length) this.#slots.push(undefined);
    this.#freeSlots.push(index);
  }

  #open(slot: Slot): number {
    if (slot.fd >= 0 && this.#slots[slot.index] === slot) return slot.fd;
    throw new AmbitError('LOOP_SLOT_REMOVED', `slot ${slot.index} was removed from the loop`);
  }
}
