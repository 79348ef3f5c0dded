// SPDX-License-Identifier: Apache-2.0
// Writing HTTP/1 content to a link, whichever half of an exchange it is.
import type { Arena } from '#lib/linux/arena.ts';
import { CHUNK_HEAD, writeChunkHead } from '#lib/wire/http1/writer.ts';
import type { Cork } from './cork.ts';
import type { Trailers } from './exchange.ts';
import type { Link } from './link.ts';
import { trailerFields } from './trailers.ts';

const CRLF = Buffer.from('\r\n');
const LAST_CHUNK = Buffer.from('0\r\n\r\n');

export function writePlain(cork: Cork, link: Link, arena: Arena | null, bytes: Buffer, start: number, end: number) {
  if (arena !== null) cork.pass(link, arena, start, end);
  else cork.write(link, bytes, start, end);
}

/** One chunk. */
export function writeChunk(cork: Cork, link: Link, arena: Arena | null, bytes: Buffer, start: number, end: number) {
  if (end === start) return;
  cork.open(link, CHUNK_HEAD);
  const from = cork.at;
  const head = writeChunkHead(cork.bytes, from + CHUNK_HEAD, end - start);
  cork.bytes.copyWithin(from, head, from + CHUNK_HEAD);
  cork.at = from + (from + CHUNK_HEAD - head);
  writePlain(cork, link, arena, bytes, start, end);
  cork.write(link, CRLF, 0, 2);
}

/** The end of chunks, with the trailers. Returns the octets written. */
export function writeLastChunk(cork: Cork, link: Link, trailers: Trailers): number {
  const fields = trailerFields(trailers);
  if (fields.length === 0) {
    cork.write(link, LAST_CHUNK, 0, LAST_CHUNK.length);
    return LAST_CHUNK.length;
  }
  const text = Buffer.from(`0\r\n${fields.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`, 'latin1');
  cork.write(link, text, 0, text.length);
  return text.length;
}
