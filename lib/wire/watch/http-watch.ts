// SPDX-License-Identifier: Apache-2.0
// Requests and answers of a connection that somebody else carries: bytes are shown as they pass, what they are is told
// to a listener, and nothing is changed, delayed or answered. Memory is bounded: a head, a table, a few dozen requests.
// A connection that is no HTTP, or cannot be read, is given up for good; whatever it holds cannot do more harm than that.
//
//   undecided ──▶ HTTP/1.1 | HTTP/2 ──▶ over
//        └──────────────┴──── given up ──▲
import { detectProtocol } from '../http/detect.ts';
import { Http1Watch } from './http1-watch.ts';
import { Http2Watch } from './http2-watch.ts';
import type { GaveUp, HttpListener, VersionWatch } from './outcome.ts';

/** Octets of a request line. */
const MAX_LINE = 8192;
const LINE_FEED = 10;

export class HttpWatch {
  /** Nothing more needs to be shown. */
  over = false;
  readonly #listener: HttpListener;
  readonly #now: () => number;
  #version: VersionWatch | null = null;
  /** Too few bytes to tell what it is. */
  #first: Buffer | null = null;

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
    // In HTTP the client speaks first.
    if (this.#version === null) this.#giveUp('not_http');
    else this.#version.response(buffer, start, end);
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
    if (detected === 'other') {
      this.#giveUp('not_http');
      return;
    }
    const Version = detected === 'h1' ? Http1Watch : Http2Watch;
    this.#version = new Version(this.#listener, this.#now);
    this.#first = null;
    this.#version.request(bytes, from, to);
  }

  #giveUp(reason: GaveUp): void {
    this.over = true;
    this.#first = null;
    this.#listener.onGaveUp(reason);
  }
}
