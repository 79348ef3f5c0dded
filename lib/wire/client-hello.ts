// SPDX-License-Identifier: Apache-2.0
// The first flight of a TLS client (RFC 8446 section 4.1.2), read before any TLS library sees it: which server it
// wants, which protocols it speaks. So a certificate is chosen by our code, and traffic can be told apart.

/** What matters of a ClientHello. */
export interface ClientHello {
  /** Server name, lower case; empty if the client sent none. */
  readonly serverName: string;
  /** Application protocols in the client's order. */
  readonly alpn: readonly string[];
  /** Versions offered (0x0304 is TLS 1.3); of an old client the one in its hello. */
  readonly versions: readonly number[];
}

/** What a reader makes of the bytes so far. */
export type HelloParse =
  | { readonly kind: 'incomplete' }
  | { readonly kind: 'hello'; readonly hello: ClientHello }
  | { readonly kind: 'invalid'; readonly reason: string };

const HANDSHAKE = 22;
const CLIENT_HELLO = 1;
const MAX_RECORD = 16_384 + 256;
/** Longest hello read, octets; with post-quantum key shares real ones have 2 KiB. */
export const MAX_HELLO = 16_384;
const Extension = { serverName: 0, alpn: 16, versions: 43 } as const;

/** A bounds-checked cursor; after the first violation everything reads as 0 and `ok` is false. */
class Cursor {
  ok = true;
  readonly #bytes: Buffer;
  #at: number;
  readonly #end: number;

  constructor(bytes: Buffer, start: number, end: number) {
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
  }

  get left(): number {
    return this.#end - this.#at;
  }

  uint(octets: number): number {
    if (this.left < octets) {
      this.ok = false;
      this.#at = this.#end;
      return 0;
    }
    const value = this.#bytes.readUIntBE(this.#at, octets);
    this.#at += octets;
    return value;
  }

  /** The part behind a length of that many octets. */
  part(octets: number): Cursor {
    return this.take(this.uint(octets));
  }

  take(length: number): Cursor {
    if (this.left < length) this.ok = false;
    const end = Math.min(this.#end, this.#at + length);
    const part = new Cursor(this.#bytes, this.#at, end);
    this.#at = end;
    return part;
  }

  text(): string {
    return this.#bytes.toString('latin1', this.#at, this.#end);
  }
}

/** Reads a ClientHello at the beginning of a connection's bytes, through as many records as it takes. */
export function parseClientHello(bytes: Buffer): HelloParse {
  const parts: Buffer[] = [];
  let have = 0;
  for (let at = 0; at < bytes.length; ) {
    if (bytes[at] !== HANDSHAKE) return invalid('no handshake record');
    if (at + 1 < bytes.length && bytes[at + 1] !== 3) return invalid('no TLS version');
    if (at + 5 > bytes.length) break;
    const size = bytes.readUInt16BE(at + 3);
    if (size === 0 || size > MAX_RECORD) return invalid(`record of ${size} octets`);
    const part = bytes.subarray(at + 5, Math.min(bytes.length, at + 5 + size));
    parts.push(part);
    have += part.length;
    at += 5 + size;
    if (have < 4) continue;
    const message = parts.length === 1 ? parts[0]! : Buffer.concat(parts);
    if (message[0] !== CLIENT_HELLO) return invalid('no ClientHello');
    const length = message.readUIntBE(1, 3);
    if (length > MAX_HELLO) return invalid(`hello of ${length} octets is above ${MAX_HELLO}`);
    if (have >= 4 + length) return parseBody(new Cursor(message, 4, 4 + length));
  }
  return { kind: 'incomplete' };
}

function parseBody(body: Cursor): HelloParse {
  const version = body.uint(2);
  body.take(32); // random
  if (body.part(1).left > 32) return invalid('session id is too long');
  body.part(2); // cipher suites
  body.part(1); // compression methods
  const extensions = body.left === 0 ? body : body.part(2);
  if (!body.ok || body.left > 0) return invalid('hello is cut or too long');
  return parseExtensions(extensions, version);
}

function parseExtensions(extensions: Cursor, version: number): HelloParse {
  const seen = new Set<number>();
  let serverName = '';
  let alpn: string[] = [];
  let versions = [version];
  while (extensions.left > 0) {
    const type = extensions.uint(2);
    const content = extensions.part(2);
    if (!extensions.ok) return invalid('an extension is cut');
    if (seen.has(type)) return invalid(`extension ${type} appears twice`);
    seen.add(type);
    if (type === Extension.serverName) {
      const name = readServerName(content);
      if (name === undefined) return invalid('server name is malformed');
      serverName = name;
    } else if (type === Extension.alpn) alpn = readProtocols(content);
    else if (type === Extension.versions) versions = readVersions(content.part(1));
    if (!content.ok) return invalid(`extension ${type} is malformed`);
  }
  return { kind: 'hello', hello: { serverName, alpn, versions } };
}

/** RFC 6066 section 3: a list of names, at most one of each type; host names have type 0. */
function readServerName(content: Cursor): string | undefined {
  const list = content.part(2);
  const type = list.uint(1);
  const name = list.part(2);
  if (!content.ok || !list.ok || content.left > 0 || list.left > 0 || type !== 0) return undefined;
  const text = name.text().toLowerCase();
  return /^[a-z0-9_]([a-z0-9_.-]{0,251}[a-z0-9_])?\.?$/.test(text) ? text.replace(/\.$/, '') : undefined;
}

function readProtocols(content: Cursor): string[] {
  const list = content.part(2);
  const names: string[] = [];
  while (list.left > 0) names.push(list.part(1).text());
  if (!list.ok || names.includes('')) content.ok = false;
  return names;
}

function readVersions(list: Cursor): number[] {
  const versions: number[] = [];
  while (list.left >= 2) versions.push(list.uint(2));
  return versions;
}

function invalid(reason: string): HelloParse {
  return { kind: 'invalid', reason: `ClientHello: ${reason}` };
}
