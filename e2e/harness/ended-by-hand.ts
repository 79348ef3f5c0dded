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

/** What `work` comes to, or an error as soon as the program is told to end. What is left of the work then goes unheard. */
export async function orEnded<T>(ended: AbortSignal, work: Promise<T>): Promise<T> {
  const end = Promise.withResolvers<never>();
  const onAbort = (): void => end.reject(ended.reason);
  if (ended.aborted) onAbort();
  ended.addEventListener('abort', onAbort);
  try {
    return await Promise.race([work, end.promise]);
  } finally {
    ended.removeEventListener('abort', onAbort);
  }
}
