// SPDX-License-Identifier: Apache-2.0
// poll(2) without waiting: which of some descriptors are ready.
import { abi } from './abi/current.ts';
import { Arena } from './arena.ts';
import { callError, EINTR } from './errno.ts';
import { errnoCell, libc } from './ffi.ts';

const CAPACITY = 1024;
const { size, fd: fdAt, events: eventsAt, revents: reventsAt } = abi.pollfd;
const scratch = Arena.allocate(CAPACITY * size);

/** For each entry, its returned event bits (POLLIN, POLLHUP, POLLNVAL, ...; 0 for none). Takes 1024 at once. */
export function pollNow(wanted: readonly { readonly fd: number; readonly events: number }[]): number[] {
  return pollFor(wanted, 0);
}

/** As pollNow, waiting at most `timeoutMs` for the first; blocks the thread. An interrupted wait returns zeros. */
export function pollFor(
  wanted: readonly { readonly fd: number; readonly events: number }[],
  timeoutMs: number,
): number[] {
  const found: number[] = [];
  for (let from = 0; from === 0 || from < wanted.length; from += CAPACITY) {
    const part = wanted.slice(from, from + CAPACITY);
    for (const [index, { fd, events }] of part.entries()) {
      scratch.view.setInt32(index * size + fdAt, fd, true);
      scratch.view.setInt16(index * size + eventsAt, events, true);
      scratch.view.setInt16(index * size + reventsAt, 0, true);
    }
    const n = libc.poll(scratch.pointer, part.length, timeoutMs);
    if (n < 0 && errnoCell[0] !== EINTR) throw callError('poll', errnoCell[0]!);
    for (const index of part.keys()) found.push(n < 0 ? 0 : scratch.view.getInt16(index * size + reventsAt, true));
  }
  return found;
}
