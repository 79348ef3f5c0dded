// SPDX-License-Identifier: Apache-2.0
// Ends the process at once with a reason on standard error, for faults after which nothing may run on.
import { writeSync } from 'node:fs';
import { libc } from './ffi.ts';

/** Writes `reason` to standard error and calls _exit(2): no handler runs, no other thread goes on. */
export function endProcess(status: number, reason: string): never {
  try {
    writeSync(2, `${reason}\n`);
  } finally {
    libc._exit(status);
  }
  throw new Error(reason);
}
