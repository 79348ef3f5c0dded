// SPDX-License-Identifier: Apache-2.0
// How streams and their connection come to an end, whichever side ends them: what is told to whom, what is remembered of a
// stream that is gone, and which budget a peer pays from that opens streams in vain (RFC 9113 sections 5.1, 5.4 and 6.8).
import type { FloodGuard } from './flood.ts';
import { FrameWriter, type OutputOwner } from './frame-writer.ts';
import type { H2Handler } from './handler.ts';
import type { OutputBuffer } from './output.ts';
import { ErrorCode, MAX_31 } from './protocol.ts';
import { SendWindows } from './send-windows.ts';
import type { H2Stream } from './stream.ts';
import { StreamTable } from './stream-table.ts';

// First half of the octets of the PING between the two GOAWAYs of a graceful shutdown.
const DRAIN_MARK = 0x6472616e;

/** The ends of one connection and of its streams. */
export class Endings implements OutputOwner {
  /** No more is read or written: after an error, or GOAWAY of ours. */
  ended = false;
  /** The peer has sent GOAWAY. */
  goawayReceived = false;
  /** Graceful shutdown: 0 no, 1 announced, 2 no further stream is served. */
  draining = 0;
  /** What reads the peer's frames; stops when the connection ends. */
  reader: { stopped: boolean } | undefined;
  readonly table = new StreamTable();
  readonly writer: FrameWriter;
  readonly sending: SendWindows;
  readonly #server: boolean;
  readonly #handler: H2Handler;
  readonly #guard: FloodGuard;

  constructor(server: boolean, handler: H2Handler, guard: FloodGuard, out: OutputBuffer) {
    this.#server = server;
    this.#handler = handler;
    this.#guard = guard;
    this.writer = new FrameWriter(out, this);
    this.sending = new SendWindows(handler);
  }

  // === the connection ===

  /** The peer broke the protocol, or asks for too much. */
  fail(code: number, reason: string) {
    if (this.ended) return;
    this.goaway(code);
    this.#handler.onConnectionError(code, reason);
  }

  /** Ends the connection now: GOAWAY, then nothing. */
  goaway(code: number) {
    if (this.ended) return;
    this.ended = true;
    this.reader!.stopped = true;
    this.writer.goaway(this.table.lastPeerId, code);
  }

  /** Announces the end: a server warns first, and names the last stream when its PING comes back. */
  drain() {
    if (this.ended || this.draining > 0) return;
    this.draining = this.#server ? 1 : 2;
    this.writer.goaway(this.#server ? MAX_31 : 0, ErrorCode.noError);
    if (this.#server) this.writer.ping(DRAIN_MARK, 0);
  }

  /** Whether that PONG was the one that `drain` waits for. */
  drained(mark: number): boolean {
    if (mark !== DRAIN_MARK || this.draining !== 1) return false;
    this.draining = 2;
    this.writer.goaway(this.table.lastPeerId, ErrorCode.noError);
    if (this.table.open.size === 0) this.#handler.onDrained();
    return true;
  }

  onOutputFull() {
    this.fail(ErrorCode.enhanceYourCalm, 'the peer does not read its answers');
  }

  // === what a peer may not do for ever ===

  /** A frame came that carries nothing for an application. */
  control() {
    if (!this.#guard.spendControl()) this.calm();
  }

  /** One that nobody's traffic calls for. */
  probe() {
    if (this.#guard.spendProbe()) this.control();
    else this.calm();
  }

  calm() {
    this.fail(ErrorCode.enhanceYourCalm, 'too many frames that carry nothing for an application');
  }

  /** The peer has reset a stream that did nothing for an application. */
  wasted(stream: H2Stream) {
    const some = stream.begun || stream.carried;
    if (!(some ? this.#guard.spendReset() : this.#guard.spendIdleReset()))
      this.fail(ErrorCode.enhanceYourCalm, 'too many streams opened in vain');
  }

  /** A stream came to nothing because the peer broke its rules. */
  fault() {
    if (!this.#guard.spendFault()) this.fail(ErrorCode.enhanceYourCalm, 'too many streams that break the rules');
  }

  // === streams ===

  /** A frame for a stream that is not open. */
  unexpected(id: number, what: string) {
    if (this.draining === 2) return this.control();
    switch (this.table.past(id, this.#server)) {
      case 'reset':
        return this.control();
      case 'ended':
        return this.fail(ErrorCode.streamClosed, `${what} on a stream that has ended`);
      case 'skipped':
      case 'idle':
        return this.fail(ErrorCode.protocolError, `${what} on an idle stream`);
    }
  }

  /** Refuses a request before a stream comes of it. */
  refuse(id: number, code: number, reason: string, counts: boolean) {
    this.queueReset(id, code);
    this.#handler.onRefused(id, code, reason);
    if (counts) this.fault();
  }

  /** The peer broke the protocol on one stream. */
  streamError(stream: H2Stream, code: number) {
    this.close(stream);
    this.queueReset(stream.id, code);
    this.#handler.onReset(stream, code);
    this.fault();
  }

  /** We have sent the last of that stream. */
  endLocal(stream: H2Stream) {
    stream.localEnded = true;
    this.sending.forget(stream);
    this.closeIfEnded(stream);
  }

  closeIfEnded(stream: H2Stream) {
    if (!stream.localEnded || !stream.remoteEnded || stream.closed) return;
    if (this.#server && stream.headersSent) this.#guard.answered();
    this.close(stream);
  }

  close(stream: H2Stream) {
    stream.closed = true;
    this.sending.forget(stream);
    this.table.remove(stream);
    if (this.draining === 2 && this.table.open.size === 0 && !this.ended) this.#handler.onDrained();
  }

  queueReset(id: number, code: number) {
    this.table.rememberReset(id);
    if (!this.ended) this.writer.reset(id, code);
  }
}
