// SPDX-License-Identifier: Apache-2.0
// What a shell is told by the engine.
import type { HeaderBlock } from './headers.ts';
import type { H2Stream } from './stream.ts';

/**
 * One object per connection; its methods are called synchronously from within `H2Connection.receive` (and nowhere else,
 * but for `onConnectionError` when an answer finds no room). They may call back into the engine, not `receive` itself.
 */
export interface H2Handler {
  /** A request (server), a response, also 1xx (client), or trailers (`status` 0 and `method` empty; `endStream` true). */
  onHeaders(stream: H2Stream, headers: HeaderBlock, endStream: boolean): void;
  /**
   * Content as it arrives, in place; the bytes are valid until the method returns. May come several times a frame; an
   * END_STREAM without content comes as an empty range. What was passed is reported back by `consumed`.
   */
  onData(stream: H2Stream, buffer: Buffer, start: number, end: number, endStream: boolean): void;
  /** The stream is gone before its end: the peer reset it, or broke the protocol on it, or announced not to serve it. */
  onReset(stream: H2Stream, code: number): void;
  /** The peer opens no more streams and serves none above `lastStreamId`. */
  onGoaway(lastStreamId: number, code: number): void;
  /** The peer's SETTINGS were applied; the first time, the connection has been accepted. */
  onSettings(): void;
  /** The answer to `ping(opaque)`. */
  onPong(opaque: number): void;
  /** `dataQuota` was 0 and is not any more. */
  onSendable(stream: H2Stream): void;
  /** A request was refused before a stream came of it: malformed, too large, too many. For logs and metrics. */
  onRefused(streamId: number, code: number, reason: string): void;
  /** After `gracefulShutdown`: the last stream has ended and no other can come. */
  onDrained(): void;
  /** The connection is over; a GOAWAY lies in the output if there was room. All streams still open die with it. */
  onConnectionError(code: number, reason: string): void;
}
