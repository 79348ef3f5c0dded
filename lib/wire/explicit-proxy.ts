// SPDX-License-Identifier: Apache-2.0
// How a client that knows of its proxy tells where it wants to go: SOCKS5 (RFC 1928, no authentication, CONNECT only) or HTTP's CONNECT
// (RFC 9110 section 9.3.6), told apart by the first byte. The handshake never asks for more bytes than it may consume, so what the
// client sends to its destination stays in the socket.
import { isIPv6 } from 'node:net';
import { parseAuthority } from './hbone.ts';

const VERSION = 5;
const NO_AUTHENTICATION = 0;
const NONE_ACCEPTABLE = 0xff;
const CONNECT = 1;
const ADDRESS = { v4: 1, name: 3, v6: 4 } as const;
/** REP of RFC 1928 section 6. */
const REPLY = { succeeded: 0, failure: 1, commandUnsupported: 7, addressUnsupported: 8 } as const;
const MAX_HEAD_BYTES = 8 * 1024;
const HEAD_END = '\r\n\r\n';

/** Where the client wants to go: an address, or a host name in lower case. */
export interface ExplicitTarget {
  readonly host: string;
  readonly isName: boolean;
  readonly port: number;
}

export type ExplicitStep =
  /** At most `need` bytes may be read, after `reply` was sent. */
  | { readonly kind: 'more'; readonly need: number; readonly reply: Buffer | undefined }
  /** `reply` is the last the client hears of the handshake. */
  | { readonly kind: 'target'; readonly target: ExplicitTarget; readonly reply: Buffer }
  | { readonly kind: 'refused'; readonly reason: string; readonly reply: Buffer };

export class ExplicitHandshake {
  #buffered = Buffer.alloc(0);
  #state: 'first' | 'greeting' | 'request' | 'head' = 'first';

  /** The step before anything was received. */
  begin(): ExplicitStep {
    return more(1);
  }

  /** Takes what was read; never more than the last step's `need`. */
  receive(bytes: Uint8Array): ExplicitStep {
    this.#buffered = Buffer.concat([this.#buffered, bytes]);
    if (this.#state === 'first') this.#state = this.#buffered[0] === VERSION ? 'greeting' : 'head';
    if (this.#state === 'greeting') return this.#greeting();
    return this.#state === 'request' ? this.#request() : this.#head();
  }

  // === SOCKS5 ===

  #greeting(): ExplicitStep {
    const length = this.#buffered.length < 2 ? 2 : 2 + this.#buffered[1]!;
    if (this.#buffered.length < length) return more(length - this.#buffered.length);
    const offered = this.#buffered.subarray(2);
    this.#buffered = Buffer.alloc(0);
    if (!offered.includes(NO_AUTHENTICATION)) {
      return refuse('the client offers no SOCKS5 without authentication', Buffer.from([VERSION, NONE_ACCEPTABLE]));
    }
    this.#state = 'request';
    return more(5, Buffer.from([VERSION, NO_AUTHENTICATION]));
  }

  #request(): ExplicitStep {
    const bytes = this.#buffered;
    if (bytes.length < 5) return more(5 - bytes.length);
    const [version, command, , type, first] = bytes as unknown as [number, number, number, number, number];
    if (version !== VERSION) return refuse(`SOCKS version ${version}`, reply(REPLY.failure));
    if (command !== CONNECT) return refuse(`SOCKS5 command ${command}`, reply(REPLY.commandUnsupported));
    const address = type === ADDRESS.v4 ? 4 : type === ADDRESS.v6 ? 16 : type === ADDRESS.name ? 1 + first : undefined;
    if (address === undefined) return refuse(`SOCKS5 address type ${type}`, reply(REPLY.addressUnsupported));
    const length = 4 + address + 2;
    if (bytes.length < length) return more(length - bytes.length);
    const port = bytes.readUInt16BE(length - 2);
    const target = parse(
      type === ADDRESS.name ? bytes.toString('latin1', 5, 5 + first) : addressText(bytes, type),
      port,
    );
    if (target === undefined) return refuse('the SOCKS5 destination is no host and port', reply(REPLY.failure));
    return { kind: 'target', target, reply: reply(REPLY.succeeded) };
  }

  // === HTTP ===

  #head(): ExplicitStep {
    const text = this.#buffered.toString('latin1');
    if (!text.endsWith(HEAD_END)) {
      if (text.length >= MAX_HEAD_BYTES)
        return refuse('the head is too long', answer('431 Request Header Fields Too Large'));
      // So many bytes are missing at least.
      const matched = [3, 2, 1].find((count) => text.endsWith(HEAD_END.slice(0, count))) ?? 0;
      return more(HEAD_END.length - matched);
    }
    const line = text.slice(0, text.indexOf('\r\n'));
    const match = /^CONNECT (\S+) HTTP\/1\.[01]$/.exec(line);
    if (match === null) return refuse('no CONNECT', answer('405 Method Not Allowed', 'Allow: CONNECT\r\n'));
    const authority = parseAuthority(match[1]!);
    if (authority === undefined) return refuse(`CONNECT to ${match[1]}`, answer('400 Bad Request'));
    const isName = authority.kind === 'hostname';
    const host = isName ? authority.hostname : authority.ip;
    return {
      kind: 'target',
      target: { host, isName, port: authority.port },
      reply: Buffer.from('HTTP/1.1 200 OK\r\n\r\n'),
    };
  }
}

function parse(host: string, port: number): ExplicitTarget | undefined {
  const authority = parseAuthority(isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`);
  if (authority === undefined) return undefined;
  const isName = authority.kind === 'hostname';
  return { host: isName ? authority.hostname : authority.ip, isName, port };
}

function addressText(bytes: Buffer, type: number): string {
  if (type === ADDRESS.v4) return bytes.subarray(4, 8).join('.');
  return Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(4 + 2 * i).toString(16)).join(':');
}

function more(need: number, reply?: Buffer): ExplicitStep {
  return { kind: 'more', need, reply };
}

function refuse(reason: string, reply: Buffer): ExplicitStep {
  return { kind: 'refused', reason, reply };
}

function reply(code: number): Buffer {
  return Buffer.from([VERSION, code, 0, ADDRESS.v4, 0, 0, 0, 0, 0, 0]);
}

function answer(status: string, more = ''): Buffer {
  return Buffer.from(`HTTP/1.1 ${status}\r\n${more}Content-Length: 0\r\nConnection: close\r\n\r\n`);
}
