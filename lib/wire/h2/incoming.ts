// SPDX-License-Identifier: Apache-2.0
// What the peer's frames do to a connection and its streams (RFC 9113 section 6).
import type { Endings } from './endings.ts';
import type { FloodGuard } from './flood.ts';
import type { H2Handler } from './handler.ts';
import { Messages, type Receiving } from './messages.ts';
import { ErrorCode, MAX_31 } from './protocol.ts';
import type { FrameSink } from './reader.ts';
import type { ReceiveWindows } from './receive-windows.ts';
import type { SendWindows } from './send-windows.ts';
import type { H2Settings, PeerSettings } from './settings.ts';
import type { H2Stream } from './stream.ts';
import type { StreamTable } from './stream-table.ts';

const EMPTY = Buffer.alloc(0);
/** First half of the octets of the shell's PINGs. */
export const PING_MARK = 0x616d6274;
/** Content below this size does not count as useful when the window is what made it small. */
export const DRIBBLE = 256;

/** The frames of one connection's peer. */
export class Incoming implements FrameSink {
  readonly #server: boolean;
  readonly #settings: H2Settings;
  readonly #peer: PeerSettings;
  readonly #handler: H2Handler;
  readonly #guard: FloodGuard;
  readonly #endings: Endings;
  readonly #windows: ReceiveWindows;
  readonly #sending: SendWindows;
  readonly #table: StreamTable;
  readonly #messages: Messages;
  #dataStream: H2Stream | undefined;
  #dataEnds = false;

  constructor(given: Receiving) {
    this.#server = given.server;
    this.#settings = given.settings;
    this.#peer = given.peer;
    this.#handler = given.handler;
    this.#guard = given.guard;
    this.#endings = given.endings;
    this.#windows = given.windows;
    this.#sending = given.endings.sending;
    this.#table = given.endings.table;
    this.#messages = new Messages(given);
  }

  // === streams ===

  onDataStart(id: number, length: number, padding: number, endStream: boolean): boolean {
    const total = length + padding;
    if (total > this.#windows.window) {
      this.#endings.fail(ErrorCode.flowControlError, 'DATA beyond the window of the connection');
      return false;
    }
    const stream = this.#table.find(id);
    if (stream === undefined) this.#endings.unexpected(id, 'DATA');
    else if (stream.remoteEnded) this.#endings.streamError(stream, ErrorCode.streamClosed);
    else if (!stream.headersReceived) this.#endings.streamError(stream, ErrorCode.protocolError);
    else if (total > stream.recvWindow) this.#endings.streamError(stream, ErrorCode.flowControlError);
    else if (stream.contentLeft >= 0 && (endStream ? length !== stream.contentLeft : length > stream.contentLeft))
      this.#endings.streamError(stream, ErrorCode.protocolError);
    else {
      if (padding > 0) this.#windows.padding(stream, padding);
      if (stream.contentLeft >= 0) stream.contentLeft -= length;
      if (length >= DRIBBLE) this.#guard.received();
      if (length > 0) {
        this.#dataStream = stream;
        this.#dataEnds = endStream;
        return true;
      }
      if (endStream) this.#deliver(stream, EMPTY, 0, 0, true);
      else this.#endings.probe();
      return false;
    }
    this.#windows.received(total);
    return false;
  }

  onDataBytes(buffer: Buffer, start: number, end: number, last: boolean) {
    const stream = this.#dataStream!;
    const length = end - start;
    if (!stream.closed) {
      stream.recvWindow -= length;
      stream.undelivered += length;
      stream.carried = true;
      this.#deliver(stream, buffer, start, end, last && this.#dataEnds);
    }
    this.#windows.received(length);
  }

  #deliver(stream: H2Stream, buffer: Buffer, start: number, end: number, endStream: boolean) {
    if (endStream) stream.remoteEnded = true;
    this.#handler.onData(stream, buffer, start, end, endStream);
    if (endStream) this.#endings.closeIfEnded(stream);
  }

  onHeaderBlock(id: number, buffer: Buffer, start: number, end: number, ends: boolean, selfDependent: boolean) {
    this.#messages.onBlock(id, buffer, start, end, ends, selfDependent);
  }

  onRstStream(id: number, code: number) {
    const stream = this.#table.find(id);
    if (stream === undefined) {
      if (this.#endings.draining < 2 && this.#table.past(id, this.#server) === 'idle')
        this.#endings.fail(ErrorCode.protocolError, 'RST_STREAM on an idle stream');
      else this.#endings.control();
      return;
    }
    const vain = this.#server && !(stream.headersSent && stream.carried);
    this.#endings.close(stream);
    this.#handler.onReset(stream, code);
    if (vain) this.#endings.wasted(stream); // one that carried something has cost its opener as much as us
  }

  onStreamViolation(id: number, code: number) {
    const stream = this.#table.find(id);
    if (stream !== undefined) this.#endings.streamError(stream, code);
    else if (this.#table.past(id, this.#server) === 'idle') this.#endings.fail(code, 'a bad frame on an idle stream');
    else {
      this.#endings.queueReset(id, code);
      this.#endings.fault();
    }
  }

  // === the connection ===

  onSettings(buffer: Buffer, start: number, end: number) {
    this.#endings.probe();
    if (this.#endings.ended) return;
    const peer = this.#peer;
    const before = peer.initialWindowSize;
    if (!peer.received) peer.maxConcurrentStreams = MAX_31;
    const code = peer.apply(buffer, start, end, !this.#server);
    if (code !== ErrorCode.noError) return this.#endings.fail(code, peer.reason);
    peer.received = true;
    this.#endings.writer.encoder.setPeerLimit(peer.headerTableSize);
    if (!this.#endings.writer.settingsAck()) return;
    if (peer.initialWindowSize !== before) this.#shiftWindows(peer.initialWindowSize - before);
    if (!this.#endings.ended) this.#handler.onSettings();
  }

  /** The peer changed the window of all streams (section 6.9.2); it may become negative. */
  #shiftWindows(delta: number) {
    for (const stream of this.#table.open.values())
      if (!this.#sending.openStream(stream, delta))
        return this.#endings.fail(ErrorCode.flowControlError, 'SETTINGS_INITIAL_WINDOW_SIZE overflows a window');
    if (delta > 0) for (const stream of this.#table.open.values()) this.#sending.wake(stream);
  }

  onSettingsAck() {
    if (this.#peer.acknowledged) return this.#endings.control();
    this.#peer.acknowledged = true;
    this.#messages.decoder.setLimit(this.#settings.headerTableSize);
    if (this.#server) this.#windows.acknowledge(this.#table.open.values());
  }

  onPing(buffer: Buffer, start: number) {
    this.#endings.probe();
    if (!this.#endings.ended) this.#endings.writer.pong(buffer, start);
  }

  onPong(high: number, low: number) {
    if (this.#endings.drained(high)) return;
    if (high === PING_MARK) this.#handler.onPong(low);
    else this.#endings.control();
  }

  onGoawayFrame(lastStreamId: number, code: number) {
    this.#endings.control();
    if (this.#endings.ended) return;
    this.#endings.goawayReceived = true;
    this.#handler.onGoaway(lastStreamId, code);
    if (this.#server) return;
    for (const stream of this.#table.open.values()) {
      if (stream.id <= lastStreamId) continue;
      this.#endings.close(stream);
      this.#handler.onReset(stream, ErrorCode.refusedStream);
    }
  }

  onWindowUpdate(id: number, increment: number) {
    if (!this.#guard.spendUpdate()) return this.#endings.calm();
    if (id === 0) {
      if (!this.#sending.openConnection(increment))
        this.#endings.fail(ErrorCode.flowControlError, 'WINDOW_UPDATE overflows the window of the connection');
      return;
    }
    const stream = this.#table.find(id);
    if (stream === undefined) {
      if (this.#endings.draining < 2 && this.#table.past(id, this.#server) === 'idle')
        this.#endings.fail(ErrorCode.protocolError, 'WINDOW_UPDATE on an idle stream');
    } else if (this.#sending.openStream(stream, increment)) this.#sending.wake(stream);
    else this.#endings.streamError(stream, ErrorCode.flowControlError);
  }

  onIgnored() {
    this.#endings.probe();
  }

  onViolation(code: number, reason: string) {
    this.#endings.fail(code, reason);
  }
}
