// SPDX-License-Identifier: Apache-2.0
// A client's HTTP/2 connection, and the requests in it.
import type { Arena } from '#lib/linux/arena.ts';
import type { PeerIdentity } from '#lib/tls/peer.ts';
import { HeaderBlock } from '#lib/wire/h2/headers.ts';
import { ErrorCode, errorName } from '#lib/wire/h2/protocol.ts';
import type { H2Settings } from '#lib/wire/h2/settings.ts';
import type { H2Stream } from '#lib/wire/h2/stream.ts';
import { type HeadEdits, NO_EDITS } from '#lib/wire/http/edits.ts';
import { MessageHead } from '#lib/wire/http/message.ts';
import { toHttp2Response } from '#lib/wire/http/to-http2.ts';
import type { Sender } from '../send-queue.ts';
import { Session, type SessionOwner, type StreamUser } from '../session.ts';
import type { Transport, TransportOwner } from '../transport.ts';
import type { HttpBench } from './bench.ts';
import type { HttpConnection, HttpService, ServerStream, ServerTimeouts, ServerUser, Trailers } from './exchange.ts';
import { H2Body, type H2BodyOwner } from './h2-body.ts';

/** What HTTP/2 servers announce here: enough for one fast stream, little for very many slow ones. */
export const HTTP_SERVER: H2Settings = Object.freeze({
  initialWindowSize: 256 * 1024,
  connectionWindow: 4 << 20,
  maxFrameSize: 16_384,
  maxHeaderListSize: 65_536,
  headerTableSize: 4096,
  maxConcurrentStreams: 100,
});

export class H2Server implements SessionOwner, HttpConnection {
  place = -1;
  readonly context: unknown;
  readonly session: Session;
  readonly #bench: HttpBench;
  readonly #service: HttpService;
  readonly #timeouts: ServerTimeouts;
  readonly #onPeer: (peer: PeerIdentity | null) => string;

  /** `transport` makes what it stands on; `onPeer` says why a peer is refused, or ''. */
  constructor(
    bench: HttpBench,
    settings: H2Settings,
    service: HttpService,
    context: unknown,
    timeouts: ServerTimeouts,
    transport: (owner: TransportOwner) => Transport,
    onPeer: (peer: PeerIdentity | null) => string = () => '',
  ) {
    this.#bench = bench;
    this.#service = service;
    this.context = context;
    this.#timeouts = timeouts;
    this.#onPeer = onPeer;
    this.session = new Session(bench, 'server', settings, this, transport);
  }

  onPeer(_session: Session, peer: PeerIdentity | null): string {
    return this.#onPeer(peer);
  }

  onUsable(): void {}

  onRequest(session: Session, stream: H2Stream, headers: HeaderBlock, endStream: boolean): void {
    const half = new H2ServerStream(this.#bench, session, stream, headers, endStream);
    half.begin(this.#service, this);
  }

  onStreamGone(): void {}

  onSessionEnd(): void {
    this.#service.onConnectionEnd(this);
  }

  drain(): void {
    this.session.drain();
  }

  kill(): void {
    this.session.abort('connection closed due to connection drain');
  }

  sweep(now: number): void {
    const { idleMs, stallMs } = this.#timeouts;
    if (idleMs > 0 && this.session.h2.openStreams === 0 && now - this.session.idleSince >= idleMs) this.drain();
    if (stallMs > 0)
      this.session.h2.forEachStream(({ userData }) => (userData as H2ServerStream | undefined)?.sweep(now, stallMs));
  }
}

class H2ServerStream implements StreamUser, ServerStream, H2BodyOwner {
  sendQueued = false;
  nextSender: Sender | null = null;
  readonly head: MessageHead;
  received: number;
  sent = 0;
  responded = false;
  readonly #bench: HttpBench;
  readonly #session: Session;
  readonly #stream: H2Stream;
  readonly #body: H2Body;
  #user: ServerUser | null = null;
  #requestDone: boolean;
  #responseDone = false;
  #over = false;
  #paused = false;
  /** Bytes received whose credit is kept back. */
  #owed = 0;
  /** Octets of the answer that are still to come; -1 if that is not known, or trailers may follow. */
  #left = -1;

  constructor(bench: HttpBench, session: Session, stream: H2Stream, headers: HeaderBlock, ended: boolean) {
    this.#bench = bench;
    this.#session = session;
    this.#stream = stream;
    this.#requestDone = ended;
    this.#body = new H2Body(bench, session, stream, this);
    this.head = MessageHead.ofHttp2(headers, ended);
    this.received = headers.size;
    stream.userData = this;
  }

  begin(service: HttpService, connection: H2Server): void {
    this.#user = service.onRequest(this, connection);
    if (this.#over || this.#responseDone) this.#user = null;
    else if (this.#requestDone) this.#user.onRequestEnd(null);
  }

  // === ServerStream ===

  interim(head: MessageHead): void {
    if (this.#over || this.responded || head.status === 101) return;
    this.#session.h2.respond(this.#stream, toHttp2Response(head, NO_EDITS, this.#bench.fields), false);
  }

  respond(head: MessageHead, edits: HeadEdits, ends: boolean): void {
    if (this.#over || this.responded) return;
    this.responded = true;
    if (head.h1 !== null) this.#left = head.contentLength;
    const block = toHttp2Response(head, edits, this.#bench.fields);
    this.sent += block.size;
    this.#session.h2.respond(this.#stream, block, ends);
    if (ends) this.#responseEnded();
  }

  /** Only a CONNECT comes here. */
  upgrade(_head: MessageHead, edits: HeadEdits): void {
    this.respond(MessageHead.ofHttp2(HeaderBlock.response(200), false), edits, false);
  }

  body(_arena: Arena | null, bytes: Buffer, start: number, end: number): boolean {
    if (this.#over || this.#responseDone) return true;
    const octets = end - start;
    this.sent += octets;
    if (this.#left >= 0) this.#left -= octets;
    return this.#body.write(bytes, start, end, this.#left === 0);
  }

  end(trailers: Trailers): void {
    if (this.#over || this.#responseDone) return;
    this.#body.end(trailers);
    this.#responseEnded();
  }

  abort(): void {
    if (this.#over) return;
    this.#user = null;
    this.#session.h2.resetStream(this.#stream, ErrorCode.internalError);
    this.#leave();
  }

  pauseRequest(): void {
    this.#paused = true;
  }

  resumeRequest(): void {
    this.#paused = false;
    if (this.#owed === 0 || this.#over) return;
    const owed = this.#owed;
    this.#owed = 0;
    this.#session.h2.consumed(this.#stream, owed);
  }

  // === StreamUser ===

  onHeaders(headers: HeaderBlock, endStream: boolean): void {
    if (endStream) this.#onEnd(headers);
  }

  onData(start: number, end: number, endStream: boolean): void {
    const length = end - start;
    this.received += length;
    const { receive } = this.#bench;
    if (length > 0 && this.#user !== null) this.#user.onRequestBody(receive, receive.bytes, start, end);
    if (this.#paused && this.#user !== null) this.#owed += length;
    else this.#session.h2.consumed(this.#stream, length);
    if (endStream) this.#onEnd(null);
  }

  onReset(code: number): void {
    this.#gone(`stream reset by client: ${errorName(code)}`);
  }

  onSendable(): void {
    if (!this.#over) this.#session.wantsToSend(this);
  }

  onTunnelLost(cause: string): void {
    this.#gone(cause);
  }

  fill(arena: Arena, offset: number, room: number, share: number): number {
    const n = this.#body.fill(arena, offset, room, share);
    this.#checkOver();
    return n;
  }

  // === H2BodyOwner ===

  onBodyRoom(): void {
    this.#user?.onResponseRoom();
  }

  onBodyOverBudget(): void {
    const user = this.#user;
    this.abort();
    user?.onClientGone('memory for stopped readers is used up, this one held most');
  }

  /** Ends a stream whose client takes nothing. */
  sweep(now: number, stallMs: number): void {
    if (this.#body.backlog === 0 || now - this.#body.progressAt < stallMs) return;
    const user = this.#user;
    this.abort();
    user?.onClientGone('client takes nothing of its answer');
  }

  // === inside ===

  #onEnd(trailers: HeaderBlock | null): void {
    this.#requestDone = true;
    this.#user?.onRequestEnd(trailers);
    this.#checkOver();
  }

  #responseEnded(): void {
    this.#responseDone = true;
    this.#user = null;
    this.resumeRequest();
    this.#checkOver();
  }

  #checkOver(): void {
    if (this.#over || !this.#responseDone || !this.#stream.localEnded) return;
    // The answer is whole: a client that still sends may stop (RFC 9113 section 8.1).
    if (!this.#requestDone) this.#session.h2.resetStream(this.#stream, ErrorCode.noError);
    this.#leave();
  }

  #gone(cause: string): void {
    if (this.#over) return;
    const user = this.#user;
    this.#user = null;
    this.#leave();
    user?.onClientGone(cause);
  }

  #leave(): void {
    this.#over = true;
    this.#body.clear();
    this.#session.streamGone();
  }
}
