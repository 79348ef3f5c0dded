// SPDX-License-Identifier: Apache-2.0
// Waiting for a condition, never for a length of time.
import { setTimeout as delay } from 'node:timers/promises';

export interface Patience {
  readonly withinMs?: number;
  readonly everyMs?: number;
}

/** Calls `attempt` until it neither throws nor gives `undefined` or `false`; then its value. The last failure is the error's cause. */
export async function eventually<T>(
  what: string,
  attempt: () => Promise<T | undefined | false> | T | undefined | false,
  { withinMs = 60_000, everyMs = 200 }: Patience = {},
): Promise<T> {
  const deadline = performance.now() + withinMs;
  let last: unknown;
  do {
    try {
      const value = await attempt();
      if (value !== undefined && value !== false) return value;
    } catch (error) {
      last = error;
    }
    await delay(everyMs);
  } while (performance.now() < deadline);
  const reason = last instanceof Error ? `: ${last.message}` : '';
  throw new Error(`${what}: not within ${withinMs / 1000} s${reason}`, { cause: last });
}
