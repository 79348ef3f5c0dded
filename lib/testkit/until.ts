// SPDX-License-Identifier: Apache-2.0
// Waiting in tests: for a condition, with a deadline and a name for what did not come.
import type { Loop } from '#lib/loop/loop.ts';

/** Polls until `condition` is true (or gives a value that is not undefined); throws naming `what` after `deadlineMs`. */
export async function until<T>(
  what: string,
  condition: () => T | undefined | false | Promise<T | undefined | false>,
  deadlineMs = 60_000,
): Promise<T> {
  const end = performance.now() + deadlineMs;
  for (;;) {
    const value = await condition();
    if (value !== undefined && value !== false) return value;
    if (performance.now() > end) throw new Error(`after ${deadlineMs} ms still waiting for: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** `until` on a loop of the test's own, which is turned meanwhile. */
export const untilOn =
  (loop: Loop) =>
  <T>(what: string, condition: () => T | undefined | false, deadlineMs?: number): Promise<T> =>
    until(
      what,
      () => {
        loop.turn(1);
        return condition();
      },
      deadlineMs,
    );
