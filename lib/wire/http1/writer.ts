// SPDX-License-Identifier: Apache-2.0
// Writing HTTP/1.1 messages. What is written is checked once more: a value that came in by another protocol must not
// become a line of its own here.
import { STATUS_CODES } from 'node:http';
import { AmbitError } from '#lib/kit/error.ts';
import { isFieldValue } from '../h2/headers.ts';
import { CLASS, TARGET, TOKEN } from './octets.ts';

/** Most octets that `writeChunkHead` takes. */
export const CHUNK_HEAD = 10;
/** The chunk that ends content without trailers. */
export const LAST_CHUNK = Buffer.from('0\r\n\r\n');
/** The line end behind each chunk. */
export const CHUNK_END = Buffer.from('\r\n');

/** The start line of a request. Throws HTTP1_INVALID if method or target would break it. */
export function requestLine(method: string, target: string): string {
  if (!consistsOf(method, TOKEN) || !consistsOf(target, TARGET))
    throw new AmbitError('HTTP1_INVALID', `request ${JSON.stringify(`${method} ${target}`)} cannot be written`);
  return `${method} ${target} HTTP/1.1\r\n`;
}

export function statusLine(status: number): string {
  return `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n`;
}

/** One field line. Throws HTTP1_INVALID if name or value would break it. */
export function fieldLine(name: string, value: string): string {
  if (!consistsOf(name, TOKEN) || !isFieldValue(value))
    throw new AmbitError('HTTP1_INVALID', `field ${JSON.stringify(name)} cannot be written`);
  return `${name}: ${value}\r\n`;
}

/**
 * Puts the line with a chunk's size right before `offset`, where the chunk begins; there must be `CHUNK_HEAD` octets of
 * room. Returns where the line begins. CHUNK_END follows the chunk.
 */
export function writeChunkHead(buffer: Buffer, offset: number, size: number): number {
  let at = offset;
  buffer[--at] = 10;
  buffer[--at] = 13;
  let rest = size;
  do {
    const digit = rest & 15;
    buffer[--at] = digit < 10 ? 0x30 + digit : 0x57 + digit;
    rest >>>= 4;
  } while (rest > 0);
  return at;
}

function consistsOf(text: string, mark: number): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code > 255 || (CLASS[code]! & mark) === 0) return false;
  }
  return text !== '';
}
