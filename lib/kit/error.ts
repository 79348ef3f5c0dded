// SPDX-License-Identifier: Apache-2.0
// The one error class of the project: a stable code to match on, a message for an operator, advice, and the chain of causes.

/** Optional parts of an {@link AmbitError}. */
export interface ErrorDetails {
  /** The error that led to this one; `causedBy` walks the chain. */
  readonly cause?: unknown;
  /** What an operator should look at or change. */
  readonly advice?: string;
}

/** A failure with a stable `code` (`NETNS_OPEN`, `CSR_REFUSED`, …); never match on `message`. */
export class AmbitError extends Error {
  readonly code: string;
  readonly advice: string | undefined;

  constructor(code: string, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = 'AmbitError';
    this.code = code;
    this.advice = details.advice;
  }
}

/** Whether `error`, or anything in its chain of causes, carries `code`. */
export function causedBy(error: unknown, code: string): boolean {
  for (let current = error, depth = 0; current instanceof Error && depth < 32; current = current.cause, depth++) {
    if ((current as { code?: unknown }).code === code) return true;
  }
  return false;
}

/** One line for a log: the message, each cause after a colon, then the advice of the first that has some. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const parts: string[] = [];
  let advice: string | undefined;
  for (
    let current: unknown = error, depth = 0;
    current instanceof Error && depth < 32;
    current = current.cause, depth++
  ) {
    // Many say their cause's message in their own; it is told once.
    const message = current.message || current.name;
    if (parts.at(-1)?.endsWith(message) !== true) parts.push(message);
    if (current instanceof AmbitError) advice ??= current.advice;
  }
  return advice === undefined ? parts.join(': ') : `${parts.join(': ')} (${advice})`;
}
