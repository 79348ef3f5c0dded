// SPDX-License-Identifier: Apache-2.0
// Writes answers: JSON bodies, Status objects for errors, warnings as headers.
import type { ServerResponse } from 'node:http';
import { describeError } from '#lib/kit/error.ts';
import type { Logger } from '#lib/kit/log.ts';
import type { JsonObject } from '../json.ts';
import { ApiError, internal } from '../status.ts';

export function sendText(
  response: ServerResponse,
  status: number,
  text: string,
  type = 'application/json',
  warnings: readonly string[] = [],
): void {
  sendBytes(response, status, Buffer.from(text), type, warnings);
}

export function sendBytes(
  response: ServerResponse,
  status: number,
  body: Uint8Array,
  type: string,
  warnings: readonly string[] = [],
): void {
  response.statusCode = status;
  response.setHeader('content-type', type);
  response.setHeader('content-length', body.length);
  response.setHeader('cache-control', 'no-cache, private');
  if (warnings.length > 0)
    response.setHeader(
      'warning',
      warnings.map((warning) => `299 - ${JSON.stringify(warning)}`),
    );
  response.end(body);
}

export const sendJson = (
  response: ServerResponse,
  status: number,
  body: JsonObject,
  warnings: readonly string[] = [],
): void => sendText(response, status, JSON.stringify(body), 'application/json', warnings);

/** Any thrown value as a Status; what is no ApiError is our own fault and logged. */
export function sendError(response: ServerResponse, error: unknown, log: Logger, what: string): void {
  const known = asApiError(error, log, what);
  if (response.headersSent) return void response.destroy();
  sendJson(response, known.status, known.toStatus());
}

export function asApiError(error: unknown, log: Logger, what: string): ApiError {
  if (error instanceof ApiError) return error;
  log.error('request failed', () => ({
    request: what,
    error: describeError(error),
    stack: error instanceof Error ? error.stack : undefined,
  }));
  return internal(`Internal error occurred: ${describeError(error)}`);
}
