// SPDX-License-Identifier: Apache-2.0
// How Node is started for a data-plane process.

/**
 * A small young generation: 9,000 idle connections cost 19 MB with it and 43 MB with Node's own 16 MB semi-spaces, at the
 * same speed, since what a connection allocates is little and lives either for a turn or for its whole life. Collections when
 * the loop is quiet are lib/loop/housekeeping.ts's.
 */
export const WORKER_FLAGS: readonly string[] = ['--max-semi-space-size=2', '--expose-gc'];

/**
 * One heap for all threads of the process: the compiler's threads need theirs for a moment and would keep it for ever, 2 MB
 * together. The loop's thread allocates little, so it never waits for them.
 */
export const WORKER_ENV: Readonly<Record<string, string>> = { MALLOC_ARENA_MAX: '1' };
