// SPDX-License-Identifier: Apache-2.0
// Whether a request that failed is sent once more (conditions by Envoy's names, as rules carry them).
import type { Retry, RetryCondition } from '#lib/mesh/http/route-table.ts';
import type { FailureKind } from '#lib/net/http/exchange.ts';

const GRPC: Readonly<Record<number, RetryCondition>> = {
  1: 'cancelled',
  4: 'deadline-exceeded',
  8: 'resource-exhausted',
  13: 'internal',
  14: 'unavailable',
};

/** Whether an answer asks for another try. `grpc` is its grpc-status, -1 if there is none in its head. */
export function retriesStatus({ codes, conditions }: Retry, status: number, grpc: number): boolean {
  if (status >= 500 && conditions.includes('5xx')) return true;
  if (status >= 502 && status <= 504 && conditions.includes('gateway-error')) return true;
  if (status === 409 && conditions.includes('retriable-4xx')) return true;
  if (codes.includes(status) && conditions.includes('retriable-status-codes')) return true;
  const named = GRPC[grpc];
  return named !== undefined && conditions.includes(named);
}

/** Whether the lack of an answer does. `sent`: something of the request may have reached the server. */
export function retriesFailure({ conditions }: Retry, kind: FailureKind, sent: boolean): boolean {
  if (kind === 'overflow') return false;
  if (conditions.includes('5xx')) return true;
  switch (kind) {
    case 'connect':
      return conditions.includes('connect-failure') || conditions.includes('gateway-error');
    case 'refused':
      return conditions.includes('refused-stream') || conditions.includes('reset');
    default:
      return conditions.includes('reset') || (!sent && conditions.includes('reset-before-request'));
  }
}

/** Milliseconds to wait before try number `attempt` (1 is the first retry): exponential with full jitter. */
export function backoffMs({ backoffBaseMs, backoffMaxMs }: Retry, attempt: number, chance: number): number {
  const base = backoffBaseMs > 0 ? backoffBaseMs : 25;
  const most = backoffMaxMs > 0 ? backoffMaxMs : base * 10;
  return Math.min(most, base * (2 ** Math.min(attempt, 16) - 1)) * chance;
}

const IDEMPOTENT = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE']);

/** Methods whose second arrival does no more than the first (RFC 9110 section 9.2.2). */
export function isIdempotent(method: string): boolean {
  return IDEMPOTENT.has(method);
}
