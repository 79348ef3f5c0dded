// SPDX-License-Identifier: Apache-2.0
// A connection through an HTTP/1.1 proxy: CONNECT (RFC 9110 section 9.3.6), after whose answer the connection below is the tunnel
// itself; or a POST, whose request's and response's content, in chunks, are the two directions.
//
//   asking ──2xx──▶ agreed ──▶ closed
//
// A POST's other half goes on when one has ended, as a tunnel's does.
import { Arena } from '#lib/linux/arena.ts';
import type { Http1Head } from '#lib/wire/http1/head.ts';
import { http1Reason } from '#lib/wire/http1/reason.ts';
import { type Http1Handler, Http1Receiver } from '#lib/wire/http1/receiver.ts';
import type { HttpBench } from './bench.ts';
import type { MadeOver } from './dial-over.ts';
import { type Link, NOBODY } from './link.ts';
import { LinkOver } from './link-over.ts';

export type ProxyMethod = 'CONNECT' | 'POST';

/** Octets of one chunk. */
const PIECE = 16 * 1024;
/** Room for a chunk's size and the ends of its lines. */
const CHUNK_EXTRA = 16;
const LAST_CHUNK = '0\r\n\r\n';

/** One chunk on its way: nothing stays in it when a call returns. Made for the first POST. */
let chunk: Arena | undefined;

export class ProxyLink extends LinkOver implements Http1Handler {
  readonly #bench: HttpBench;
  readonly #method: ProxyMethod;
  readonly #receiver: Http1Receiver;
  /** Where bytes lie that are being read. */
  #arena: Arena | null = null;
  #handedOver = false;
  #finished = false;
  #ended = false;

  /** Takes over a connected link. `authority`: `host:port` to be led to. */
  constructor(bench: HttpBench, inner: Link, method: ProxyMethod, authority: string, made: MadeOver) {
    super(inner, made);
    this.#bench = bench;
    this.#method = method;
    this.#receiver = new Http1Receiver(false, this);
    this.#receiver.expect(method);
    const target = method === 'CONNECT' ? authority : '/';
    const more = method === 'CONNECT' ? '' : 'transfer-encoding: chunked\r\n';
    const head = Buffer.from(`${method} ${target} HTTP/1.1\r\nhost: ${authority}\r\n${more}\r\n`, 'latin1');
    bench.cork.write(inner, head, 0, head.length);
    bench.cork.flushOf(inner);
  }

  // === Link, of a POST ===

  transmit(arena: Arena, start: number, length: number): void {
    if (this.closed || this.#finished) return;
    chunk ??= Arena.allocate(PIECE + CHUNK_EXTRA);
    for (let from = start; from < start + length; from += PIECE) {
      const size = Math.min(PIECE, start + length - from);
      let at = chunk.bytes.write(`${size.toString(16)}\r\n`, 0, 'latin1');
      at += arena.bytes.copy(chunk.bytes, at, from, from + size);
      at += chunk.bytes.write('\r\n', at, 'latin1');
      this.inner.transmit(chunk, 0, at);
    }
    this.measure();
  }

  resume(): void {
    this.paused = false;
    this.inner.resume();
  }

  finish(): void {
    if (this.closed || this.#finished) return;
    this.#bench.cork.flushOf(this);
    this.#finished = true;
    chunk ??= Arena.allocate(PIECE + CHUNK_EXTRA);
    this.inner.transmit(chunk, 0, chunk.bytes.write(LAST_CHUNK, 0, 'latin1'));
    this.measure();
  }

  close(): void {
    if (this.closed) return;
    this.finish();
    this.leave();
    this.inner.close();
  }

  // === the link below ===

  onBytes(_link: Link, arena: Arena, start: number, end: number): void {
    this.#arena = arena;
    this.#receiver.receive(arena.bytes, start, end);
    this.#arena = null;
  }

  onFin(): void {
    if (this.closed || this.#ended) return;
    if (this.made !== null) this.break('the proxy closed the connection without an answer');
    else this.#receiver.end();
  }

  onDrained(): void {
    this.measure();
    this.owner.onDrained(this);
  }

  // === what the proxy says ===

  onHead({ status }: Http1Head): void {
    const made = this.made;
    if (made === null || (status < 200 && status !== 101)) return;
    if (status === 101 || status >= 300) {
      this.break(`the proxy answered ${this.#method} with ${status}`);
      return;
    }
    this.made = null;
    if (this.#method === 'POST') {
      made.onMade(this);
      return;
    }
    this.leave();
    this.#handedOver = true;
    this.inner.owner = NOBODY;
    made.onMade(this.inner);
  }

  onBody(_buffer: Buffer, start: number, end: number): void {
    const arena = this.#arena;
    if (arena === null) return;
    // What came right behind a CONNECT's answer is the first of the far end.
    if (this.#handedOver) this.inner.owner.onBytes(this.inner, arena, start, end);
    else if (!this.closed) this.owner.onBytes(this, arena, start, end);
  }

  onEnd(): void {
    if (this.closed || this.#ended) return;
    this.#ended = true;
    this.owner.onFin(this);
  }

  onError(code: number): void {
    if (!this.closed) this.break(`the proxy broke HTTP: ${http1Reason(code)}`);
  }
}
