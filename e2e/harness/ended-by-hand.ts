// SPDX-License-Identifier: Apache-2.0
// A program that is ended by hand takes down what it has built: a signal ends a process without unwinding it, so it becomes an
// abort, which whoever waits or goes round meets as an error.

/** Aborted when this program is told to end. Being told again changes nothing: npm, timeout and terminals tell a child and its group. */
export function endedByHand(): AbortSignal {
  const ended = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.on(signal, () => ended.abort(new Error(`ended by ${signal}`)));
  return ended.signal;
}
