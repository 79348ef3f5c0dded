// SPDX-License-Identifier: Apache-2.0
// The clock of a loop, which looks at it several times a turn. Ms have a fraction, and a number with a fraction is memory wherever the
// compiler does not see through a call; so what is measured within turns is whole µs, which are not.
import { Arena } from './arena.ts';
import { CLOCK_MONOTONIC } from './constants.ts';
import { libc } from './ffi.ts';

/** Whole µs begin anew after so many: 18 minutes. The largest number V8 keeps without memory on every platform has 31 bits with its sign. */
const AROUND = 2 ** 30;

/** Time that never goes back. */
export interface LoopClock {
  /** Ms now, as performance.now() tells them. */
  ms(): number;
  /** Whole µs now, 0 to 2^30 - 1: for `elapsedMicros` alone. */
  micros(): number;
  /** The same of the last look of either kind, without another. */
  lastMicros(): number;
}

/** Whole µs from one look to a later one, less than 18 minutes apart. */
export function elapsedMicros(from: number, to: number): number {
  return (to - from) & (AROUND - 1);
}

/** Tells what performance.now() does, in two thirds of the time: that one checks what it is called on. */
export class MonotonicClock implements LoopClock {
  readonly #timespec = Arena.allocate(16);
  /** Seconds since the start of the machine, of whose 64 bits 32 will do, and nanoseconds. */
  readonly #words = new Uint32Array(this.#timespec.bytes.buffer);
  readonly #origin: number;

  constructor() {
    this.#origin = this.#read() - performance.now();
  }

  ms(): number {
    return this.#read() - this.#origin;
  }

  micros(): number {
    libc.clock_gettime(CLOCK_MONOTONIC, this.#timespec.pointer);
    return this.lastMicros();
  }

  lastMicros(): number {
    return (Math.imul(this.#words[0]!, 1_000_000) + ((this.#words[2]! / 1000) | 0)) & (AROUND - 1);
  }

  #read(): number {
    libc.clock_gettime(CLOCK_MONOTONIC, this.#timespec.pointer);
    return this.#words[0]! * 1000 + this.#words[2]! / 1e6;
  }
}

/** A clock by somebody's ms. */
export class ClockOf implements LoopClock {
  readonly #ms: () => number;
  #last: number;

  constructor(ms: () => number) {
    this.#ms = ms;
    this.#last = ms();
  }

  ms(): number {
    this.#last = this.#ms();
    return this.#last;
  }

  micros(): number {
    this.ms();
    return this.lastMicros();
  }

  lastMicros(): number {
    // Tests count in fractions of a ms that binary numbers do not have.
    return Math.floor(this.#last * 1000 + 1e-3) % AROUND;
  }
}
