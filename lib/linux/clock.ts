// SPDX-License-Identifier: Apache-2.0
// The clock of a loop, which looks at it several times a turn.
import { Arena } from './arena.ts';
import { CLOCK_MONOTONIC } from './constants.ts';
import { libc } from './ffi.ts';

/** A clock that tells what performance.now() does, in two thirds of the time: that one checks what it is called on. */
export function monotonicClock(): () => number {
  const timespec = Arena.allocate(16);
  // Seconds since the start of the machine, of whose 64 bits 32 will do, and nanoseconds.
  const words = new Uint32Array(timespec.bytes.buffer);
  const read = (): number => {
    libc.clock_gettime(CLOCK_MONOTONIC, timespec.pointer);
    return words[0]! * 1000 + words[2]! / 1e6;
  };
  const origin = read() - performance.now();
  return () => read() - origin;
}
