// SPDX-License-Identifier: Apache-2.0
// Waiting that can be given up.

/** The promise, or a rejection with the signal's reason when it aborts first. */
export async function aborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  const { promise: cut, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([promise, cut]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
