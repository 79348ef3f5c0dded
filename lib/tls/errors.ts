// SPDX-License-Identifier: Apache-2.0
// OpenSSL's error queue is one per thread, shared by every session (trap 6): whoever calls drains it at once, so that a
// neighbour's failed handshake never shows up as our own.
import { AmbitError } from '#lib/kit/error.ts';
import { Cell, cText, openssl } from './openssl.ts';

const MAX_TEXT_BYTES = 256;
const textCell = new Cell(MAX_TEXT_BYTES);

/** Empties the queue into one line; the first entry is the cause, as OpenSSL orders them. Empty when nothing was queued. */
export function drainErrors(): string {
  const parts: string[] = [];
  for (let i = 0; i < 16; i++) {
    const code = openssl.ERR_get_error();
    if (code === 0n) break;
    openssl.ERR_error_string_n(code, textCell.pointer, BigInt(MAX_TEXT_BYTES));
    parts.push(readable(cText(textCell.pointer)));
  }
  openssl.ERR_clear_error();
  return parts.join('; ');
}

// `error:0A000086:SSL routines::certificate verify failed` says it all behind the last colon.
function readable(line: string): string {
  return line.split(':').slice(4).join(':') || line;
}

/** Runs one call outside the hot path; a result for which `good` is false becomes TLS_OPENSSL with the queue's text. */
export function checked<T>(what: string, call: () => T, good: (result: T) => boolean): T {
  openssl.ERR_clear_error();
  const result = call();
  const text = drainErrors();
  if (!good(result)) throw new AmbitError('TLS_OPENSSL', `${what} failed${text === '' ? '' : `: ${text}`}`);
  return result;
}

/** Why a chain was refused, in OpenSSL's words. */
export const verifyErrorText = (code: bigint): string => cText(openssl.X509_verify_cert_error_string(code));
