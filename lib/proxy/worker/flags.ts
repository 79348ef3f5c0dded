// SPDX-License-Identifier: Apache-2.0
// How Node is started for a data-plane process: the environment of every proxy's, and the flags of node proxies'. Waypoints have flags of
// their own, since requests make garbage where tunnels make none.

/**
 * A small young generation: 9,000 idle connections cost 19 MB with it and 43 MB with Node's own 16 MB semi-spaces, at the same speed, since
 * what a connection allocates is little and lives either for a turn or for its whole life. Collections when the loop is quiet are
 * lib/loop/housekeeping.ts's.
 */
const MEMORY = ['--max-semi-space-size=2', '--expose-gc'];

/**
 * Code is compiled for good after 500 calls, not 3,000, and by one thread, not four that share the processors with whoever waits: new
 * kinds of traffic are fast within two seconds, and until then nobody waits behind several compilers.
 */
const COMPILING = ['--invocation-count-for-turbofan=500', '--v8-pool-size=1'];

export const WORKER_FLAGS: readonly string[] = [...MEMORY, ...COMPILING];

/**
 * One heap for all threads of the process: the compiler's threads need theirs for a moment and would keep it for ever, 2 MB
 * together. The loop's thread allocates little, so it never waits for them.
 */
export const WORKER_ENV: Readonly<Record<string, string>> = { MALLOC_ARENA_MAX: '1' };
