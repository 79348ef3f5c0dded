// SPDX-License-Identifier: Apache-2.0
// A request in an HTTP/2 connection to a server.
import type { Arena } from '#lib/linux/arena.ts';
import type { HeaderBlock } from '#lib/wire/h2/headers.ts';
import { ErrorCode, errorName } from '#lib/wire/h2/protocol.ts';
import type { H2Settings } from '#lib/wire/h2/settings.ts';
import type { H2Stream } from '#lib/wire/h2/stream.ts';
import type { HeadEdits } from '#lib/wire/http/edits.ts';
import { MessageHead } from '#lib/wire/http/message.ts';
import { toHttp2Request } from '#lib/wire/http/to-http2.ts';
import type { Sender } from '../send-queue.ts';
import type { Session, StreamUser } from '../session.ts';
import type { HttpBench } from './bench.ts';
import type { ClientStream, ClientUser, FailureKind, Trailers } from './exchange.ts';
import { H2Body, type H2BodyOwner } from './h2-body.ts';

/** What HTTP/2 clients announce here. */
export const HTTP_CLIENT: H2Settings = Object.freeze({
  initialWindowSize: 256 * 1024,
  connectionWindow: 4 << 20,
  maxFrameSize: 16_384,
  maxHeaderListSize: 65_536,
  headerTableSize: 4096,
  assumedPeerStreams: 100,
});

export class H2Client implements ClientStream, StreamUser, H2BodyOwner {
  sendQueued = false;
  nextSender: Sender | null = null;
  readonly localAddress: string;
  readonly #bench: HttpBench;
  readonly #session: Session;
  readonly #scheme: 'http' | 'https';
  #stream: H2Stream | null = null;
  #body: H2Body | null = null;
  #user: ClientUser | null = null;
  #requestDone = false;
  #begun = false;
  #over = false;
  #paused = false;
  #owed = 0;
  /** Octets of the request that are still to come; -1 if that is not known, or trailers may follow. */
  #left = -1;

  constructor(bench: HttpBench, session: Session, localAddress: string, scheme: 'http' | 'https' = 'http') {
    this.#bench = bench;
    this.#session = session;
    this.#scheme = scheme;
    this.localAddress = localAddress;
  }

  // === ClientStream ===

  send(user: ClientUser, head: MessageHead, edits: HeadEdits, ends: boolean): void {
    this.#user = user;
    this.#requestDone = ends;
    if (head.h1 !== null) this.#left = head.contentLength;
    const stream = this.#session.request(toHttp2Request(head, edits, this.#scheme, this.#bench.fields), this, ends);
    if (stream === null) {
      this.#over = true;
      user.onFailure('refused', 'the connection takes no more streams', true);
      return;
    }
    this.#stream = stream;
    this.#body = new H2Body(this.#bench, this.#session, stream, this);
  }

  body(_arena: Arena | null, bytes: Buffer, start: number, end: number): boolean {
    if (this.#over || this.#requestDone || this.#body === null) return true;
    if (this.#left >= 0) this.#left -= end - start;
    return this.#body.write(bytes, start, end, this.#left === 0);
  }

  end(trailers: Trailers): void {
    if (this.#over || this.#requestDone) return;
    this.#requestDone = true;
    this.#body?.end(trailers);
  }

  abort(): void {
    if (this.#over) return;
    this.#user = null;
    if (this.#stream !== null) this.#session.h2.resetStream(this.#stream, ErrorCode.cancel);
    this.#leave();
  }

  pauseResponse(): void {
    this.#paused = true;
  }

  resumeResponse(): void {
    this.#paused = false;
    if (this.#owed === 0 || this.#over || this.#stream === null) return;
    const owed = this.#owed;
    this.#owed = 0;
    this.#session.h2.consumed(this.#stream, owed);
  }

  // === StreamUser ===

  onHeaders(headers: HeaderBlock, endStream: boolean): void {
    const user = this.#user;
    if (user === null) return;
    if (headers.status === 0) {
      if (endStream) this.#ended(headers);
      return;
    }
    this.#begun = true;
    const head = MessageHead.ofHttp2(headers, endStream);
    if (headers.status < 200) user.onInterim(head);
    else {
      user.onResponse(head, endStream);
      if (endStream) this.#ended(null);
    }
  }

  onData(start: number, end: number, endStream: boolean): void {
    const length = end - start;
    const { receive } = this.#bench;
    if (length > 0) this.#user?.onResponseBody(receive, receive.bytes, start, end);
    if (this.#stream !== null) {
      if (this.#paused && this.#user !== null && !endStream) this.#owed += length;
      else this.#session.h2.consumed(this.#stream, length);
    }
    if (endStream) this.#ended(null);
  }

  onReset(code: number): void {
    this.#fail(code === ErrorCode.refusedStream ? 'refused' : 'reset', `stream reset: ${errorName(code)}`);
  }

  onSendable(): void {
    if (!this.#over) this.#session.wantsToSend(this);
  }

  onTunnelLost(cause: string): void {
    this.#fail('reset', cause);
  }

  fill(arena: Arena, offset: number, room: number, share: number): number {
    return this.#body === null || this.#over ? 0 : this.#body.fill(arena, offset, room, share);
  }

  // === H2BodyOwner ===

  onBodyRoom(): void {
    this.#user?.onRequestRoom();
  }

  onBodyOverBudget(): void {
    const user = this.#user;
    this.abort();
    user?.onFailure('reset', 'memory for stopped readers is used up, this one held most', false);
  }

  // === inside ===

  #ended(trailers: HeaderBlock | null): void {
    const user = this.#user;
    this.#user = null;
    if (this.#over) return;
    // The answer is whole; what is left of the request is of no use.
    if (this.#stream !== null && !this.#stream.localEnded)
      this.#session.h2.resetStream(this.#stream, ErrorCode.noError);
    this.#leave();
    user?.onResponseEnd(trailers);
  }

  #fail(kind: FailureKind, cause: string): void {
    if (this.#over) return;
    const user = this.#user;
    this.#user = null;
    this.#leave();
    user?.onFailure(kind, cause, !this.#begun && kind === 'refused');
  }

  #leave(): void {
    this.#over = true;
    this.#body?.clear();
    this.#session.streamGone();
  }
}
