// SPDX-License-Identifier: Apache-2.0
// The two halves of a request on its way through a proxy, without the version of HTTP that each is carried by. The server's half
// belongs to who asked, the client's to who answers; a program joins them.
//
// Content is pushed: each `body` says whether more may come at once; if not, the other half is paused until `onRoom`. Content
// lies in `bytes[start, end)` until the call returns; `arena` is the memory it lies in, null if it lies in none.
import type { Enrolled } from '#lib/kit/roster.ts';
import type { Arena } from '#lib/linux/arena.ts';
import type { HeaderBlock } from '#lib/wire/h2/headers.ts';
import type { HeadEdits } from '#lib/wire/http/edits.ts';
import type { MessageHead } from '#lib/wire/http/message.ts';
import type { Http1Head } from '#lib/wire/http1/head.ts';

/** Trailers as they came. */
export type Trailers = HeaderBlock | Http1Head | null;

/** Bytes that may wait on one half before the other is paused. */
export const HIGH_WATER = 64 * 1024;

// === the half towards the client ===

/** Who serves a request. */
export interface ServerUser {
  onRequestBody(arena: Arena | null, bytes: Buffer, start: number, end: number): void;
  onRequestEnd(trailers: Trailers): void;
  /** What was written to the client has left; go on. */
  onResponseRoom(): void;
  /** The client is gone or broke the protocol; nothing can be answered any more. */
  onClientGone(cause: string): void;
}

/** A request that came, and the way to answer it. */
export interface ServerStream {
  /** The request's head. Valid until `onRequest` returns, unless it was told to `keep`. */
  readonly head: MessageHead;
  /** Octets of request and response that crossed the wire so far, heads among them. */
  readonly received: number;
  readonly sent: number;
  /** The head of a final response has been written. */
  readonly responded: boolean;
  /** A response that is not the final one, 1xx. */
  interim(head: MessageHead): void;
  /** The final response. `ends`: no content follows, whatever Content-Length says (HEAD, 304). */
  respond(head: MessageHead, edits: HeadEdits, ends: boolean): void;
  /** 101, or 200 for a CONNECT: from now on content is bytes of another protocol. */
  upgrade(head: MessageHead, edits: HeadEdits): void;
  body(arena: Arena | null, bytes: Buffer, start: number, end: number): boolean;
  end(trailers: Trailers): void;
  /** The response cannot be completed: the client must see that. */
  abort(): void;
  pauseRequest(): void;
  resumeRequest(): void;
}

/** Takes requests. */
export interface HttpService {
  /** A request; returns who serves it. Answering at once is fine. */
  onRequest(stream: ServerStream, connection: HttpConnection): ServerUser;
  /** The client sent what is no request; it has been answered with `status` and the connection ends. */
  onBadRequest(connection: HttpConnection, status: number, reason: string): void;
  onConnectionEnd(connection: HttpConnection): void;
}

/** A connection that requests come by. */
export interface HttpConnection extends Enrolled {
  /** The program's own. */
  readonly context: unknown;
  /** Ends after what is under way. */
  drain(): void;
  /** Ends now. */
  kill(): void;
  /** Called about once a second: ends it when it has stood still for too long. */
  sweep(now: number): void;
}

/** How long a client's connection may stand still, milliseconds; 0 for as long as it likes. */
export interface ServerTimeouts {
  /** Between two requests. */
  readonly idleMs: number;
  /** From the first byte of a head to its last. */
  readonly headMs: number;
  /** A client that takes nothing of what waits for it. */
  readonly stallMs: number;
}

// === the half towards the server ===

/** Why there is no answer. */
export type FailureKind =
  /** The connection could not be made. */
  | 'connect'
  /** It was made, and reset or closed before an answer. */
  | 'reset'
  | 'closed'
  /** The server says that it has not looked at the request. */
  | 'refused'
  /** The answer is no HTTP. */
  | 'protocol'
  /** Too many connections or requests wait already. */
  | 'overflow';

/** Who waits for an answer. */
export interface ClientUser {
  onInterim(head: MessageHead): void;
  /** The final head. `ends`: no content follows. */
  onResponse(head: MessageHead, ends: boolean): void;
  /** The server agreed to another protocol. */
  onUpgrade(head: MessageHead): void;
  onResponseBody(arena: Arena | null, bytes: Buffer, start: number, end: number): void;
  onResponseEnd(trailers: Trailers): void;
  /** What was written to the server has left; go on. */
  onRequestRoom(): void;
  /** No answer, or no more of it; the stream is gone. `reused`: the connection had served other requests before. */
  onFailure(kind: FailureKind, cause: string, reused: boolean): void;
}

/** A request on its way to a server. */
export interface ClientStream {
  /** `ip:port` of our end of the connection; empty if it is not known. */
  readonly localAddress: string;
  /** Sends the head. `ends`: no content follows. */
  send(user: ClientUser, head: MessageHead, edits: HeadEdits, ends: boolean): void;
  body(arena: Arena | null, bytes: Buffer, start: number, end: number): boolean;
  end(trailers: Trailers): void;
  /** The answer is not wanted any more; the user hears nothing more. */
  abort(): void;
  pauseResponse(): void;
  resumeResponse(): void;
}
