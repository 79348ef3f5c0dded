// SPDX-License-Identifier: Apache-2.0
// SPDY/3.1 header blocks: name and value pairs, compressed with one zlib context for a whole connection and a dictionary
// that both sides know (draft-mbelshe-httpbis-spdy-00 section 2.6.10).
import { constants, createDeflate, createInflate, type Deflate, type Inflate } from 'node:zlib';

const WORDS = [
  'options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age allow',
  'authorization cache-control connection content-base content-encoding content-language content-length content-location',
  'content-md5 content-range content-type date etag expect expires from host if-match if-modified-since if-none-match',
  'if-range if-unmodified-since last-modified location max-forwards pragma proxy-authenticate proxy-authorization range',
  'referer retry-after server te trailer transfer-encoding upgrade user-agent vary via warning www-authenticate method get',
  'status 200_OK version HTTP/1.1 url public set-cookie keep-alive origin',
].join(' ');
const TAIL = [
  '100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505',
  '203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden',
  '404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable',
  'Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT',
  'chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,text/javascript,',
  'publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0.',
].join('');

/** The dictionary of SPDY/3; its Adler-32 checksum, which peers compare, is e3c6a7c2. */
export const DICTIONARY: Buffer = Buffer.concat([
  ...WORDS.split(' ').map((word) => lengthAnd(Buffer.from(word.replace('_', ' ')))),
  Buffer.from(TAIL),
]);

const MAX_HEADERS = 100;
const MAX_BLOCK_BYTES = 64 << 10;

export type HeaderPairs = ReadonlyMap<string, string>;

/** Both directions' compression state of one connection. Calls must not overlap: each block depends on those before. */
export class HeaderCodec {
  readonly #inflate: Inflate = createInflate({ dictionary: DICTIONARY, finishFlush: constants.Z_SYNC_FLUSH });
  readonly #deflate: Deflate = createDeflate({ dictionary: DICTIONARY });
  #in: Buffer[] = [];
  #out: Buffer[] = [];

  constructor() {
    this.#inflate.on('data', (chunk: Buffer) => this.#in.push(chunk));
    this.#deflate.on('data', (chunk: Buffer) => this.#out.push(chunk));
  }

  /** The headers of a compressed block. Rejects when it is malformed. */
  async decode(block: Buffer): Promise<HeaderPairs> {
    await passThrough(this.#inflate, block);
    const text = Buffer.concat(this.#in);
    this.#in = [];
    return parseBlock(text);
  }

  async encode(headers: HeaderPairs): Promise<Buffer> {
    await passThrough(this.#deflate, writeBlock(headers));
    const block = Buffer.concat(this.#out);
    this.#out = [];
    return block;
  }

  close(): void {
    this.#inflate.close();
    this.#deflate.close();
  }
}

function passThrough(stream: Inflate | Deflate, chunk: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (error: Error): void => reject(error);
    stream.once('error', fail);
    stream.write(chunk);
    stream.flush(constants.Z_SYNC_FLUSH, () => {
      stream.off('error', fail);
      resolve();
    });
  });
}

/** An uncompressed block (section 2.6.10): a count, then lengths and texts. */
export function parseBlock(block: Buffer): HeaderPairs {
  if (block.length < 4 || block.length > MAX_BLOCK_BYTES) throw new Error('a header block has a wrong size');
  const count = block.readUInt32BE(0);
  if (count > MAX_HEADERS) throw new Error(`a header block has ${count} headers`);
  const headers = new Map<string, string>();
  let at = 4;
  const text = (): string => {
    if (at + 4 > block.length) throw new Error('a header block is cut off');
    const size = block.readUInt32BE(at);
    if (at + 4 + size > block.length) throw new Error('a header block is cut off');
    const value = block.toString('utf8', at + 4, at + 4 + size);
    at += 4 + size;
    return value;
  };
  for (let i = 0; i < count; i++) {
    const name = text();
    headers.set(name.toLowerCase(), text());
  }
  return headers;
}

export function writeBlock(headers: HeaderPairs): Buffer {
  const count = Buffer.alloc(4);
  count.writeUInt32BE(headers.size);
  return Buffer.concat([
    count,
    ...[...headers].flatMap(([name, value]) => [lengthAnd(Buffer.from(name)), lengthAnd(Buffer.from(value))]),
  ]);
}

function lengthAnd(text: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(text.length);
  return Buffer.concat([length, text]);
}
