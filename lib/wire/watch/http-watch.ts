// SPDX-License-Identifier: Apache-2.0
// Requests and answers of a connection that somebody else carries: bytes are shown as they pass, what they are is told
// to a listener, and nothing is changed, delayed or answered. Memory is bounded: a head, a table, a few dozen requests.
// A connection that is no HTTP, or cannot be read, is given up for good; whatever it holds cannot do more harm than that.
//
//   undecided ──▶ HTTP/1.1 | HTTP/2 ──▶ over
//        └──────────────┴──── given up ──▲
import { FrameType } from '../h2/protocol.ts';
import { detectProtocol } from '../http/detect.ts';
import { Http1Watch } from './http1-watch.ts';
import { Http2Watch } from './http2-watch.ts';
import type { GaveUp, HttpListener, VersionWatch } from './outcome.ts';

/** Octets of a request line. */
const MAX_LINE = 8192;
const LINE_FEED = 10;
/** Octets that a server may say first. */
const MAX_EARLY = 1024;
/** Where a frame's header tells its type. */
const TYPE_AT = 3;
const NOTHING = Buffer.alloc(0);

export class HttpWatch {
  /** Nothing more needs to be shown. */
  over = false;
  readonly #listener: HttpListener;
  readonly #now: () => number;
  #version: VersionWatch | null = null;
  /** Too few bytes to tell what it is. */
  #first: Buffer | null = null;
  /** What the server said before that was told. */
  #early: Buffer = NOTHING;

  /** @param now monotonic, any unit; what `onExchange` calls `startedAt` */
  constructor(listener: HttpListener, now: () => number) {
    this.#listener = {
      onExchange: (version, method, status, startedAt) => listener.onExchange(version, method, status, startedAt),
      onGaveUp: (reason) => {
        this.over = true;
        listener.onGaveUp(reason);
      },
    };
    this.#now = now;
  }

  /** Bytes on their way from client to server; not kept, not written to. */
  request(buffer: Buffer, start: number, end: number): void {
    if (this.over) return;
    if (this.#version !== null) this.#version.request(buffer, start, end);
    else this.#begin(buffer, start, end);
  }

  /** Bytes on their way back. */
  response(buffer: Buffer, start: number, end: number): void {
    if (this.over) return;
    if (this.#version !== null) {
      this.#version.response(buffer, start, end);
      return;
    }
    // The client speaks first, but for HTTP/2's SETTINGS, which a server sends without waiting (RFC 9113 section 3.4).
    this.#early = Buffer.concat([this.#early, buffer.subarray(start, end)]);
    if (!beginsAsSettings(this.#early) || this.#early.length > MAX_EARLY) this.#giveUp('not_http');
  }

  /** The connection is over. */
  end(): void {
    if (this.over) return;
    this.over = true;
    this.#version?.end();
  }

  #begin(buffer: Buffer, start: number, end: number): void {
    const bytes = this.#first === null ? buffer : Buffer.concat([this.#first, buffer.subarray(start, end)]);
    const from = this.#first === null ? start : 0;
    const to = this.#first === null ? end : bytes.length;
    const detected = detectProtocol(bytes, from, to);
    // A request line says more than its beginning does.
    if (detected === 'more' || (detected === 'h1' && !bytes.subarray(from, to).includes(LINE_FEED))) {
      if (to - from > MAX_LINE) this.#giveUp('unreadable');
      else this.#first = Buffer.from(bytes.subarray(from, to));
      return;
    }
    if (detected === 'other' || (detected === 'h1' && this.#early.length > 0)) {
      this.#giveUp('not_http');
      return;
    }
    const early = this.#early;
    this.#early = NOTHING;
    const Version = detected === 'h1' ? Http1Watch : Http2Watch;
    this.#version = new Version(this.#listener, this.#now);
    this.#first = null;
    this.#version.request(bytes, from, to);
    if (early.length > 0) this.#version.response(early, 0, early.length);
  }

  #giveUp(reason: GaveUp): void {
    this.over = true;
    this.#first = null;
    this.#early = NOTHING;
    this.#listener.onGaveUp(reason);
  }
}

/** Whether these may be the first octets of a SETTINGS frame. */
function beginsAsSettings(bytes: Buffer): boolean {
  return bytes[0] === 0 && (bytes.length <= TYPE_AT || bytes[TYPE_AT] === FrameType.settings);
}
