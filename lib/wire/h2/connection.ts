// SPDX-License-Identifier: Apache-2.0
// The HTTP/2 connection engine (RFC 9113), client and server: bytes in, synchronous callbacks, bytes out. No sockets,
// no clock, no timers: a shell feeds `receive`, flushes the output and calls `tick`.
//
// Sending content costs no copy: the shell asks `dataQuota`, puts that many bytes into its own memory behind room for
// nine octets, and has `writeDataHeader` fill those in. Received content is handed on where it lies.
import { AmbitError } from '#lib/kit/error.ts';
import { FloodGuard } from './flood.ts';
import { writeFrameHeader } from './frame.ts';
import { FrameWriter, type OutputOwner } from './frame-writer.ts';
import type { H2Handler } from './handler.ts';
import { HeaderBlock } from './headers.ts';
import { HpackDecoder } from './hpack/decoder.ts';
import type { OutputBuffer } from './output.ts';
import { ErrorCode, Flag, FRAME_HEADER, FrameType, MAX_31 } from './protocol.ts';
import { FrameReader, type FrameSink } from './reader.ts';
import { ReceiveWindows } from './receive-windows.ts';
import { SendWindows } from './send-windows.ts';
import { DEFAULT_LIMITS, type H2Limits, type H2Settings, PeerSettings } from './settings.ts';
import { H2Stream } from './stream.ts';
import { StreamTable } from './stream-table.ts';
import { HeaderAssembler } from './validate.ts';

const EMPTY = Buffer.alloc(0);
// First half of our PINGs' octets: the shell's, and the one between the two GOAWAYs of a graceful shutdown.
const PING_MARK = 0x616d6274;
const DRAIN_MARK = 0x6472616e;
// A compressed block may be this much larger than the list limit and still be answered politely.
const BLOCK_SLACK = 16_384;
// Content below this size does not count as useful when the window is what made it small.
const DRIBBLE = 256;

/** Which end of the connection this is. */
export type Role = 'client' | 'server';

/** One HTTP/2 connection. */
export class H2Connection implements FrameSink, OutputOwner {
  readonly role: Role;
  readonly settings: H2Settings;
  readonly peer: PeerSettings;
  /** The peer's first SETTINGS have arrived. */
  settingsReceived = false;
  /** No more is read or written: after an error, or `goaway`. */
  ended = false;
  /** The peer has sent GOAWAY. */
  goawayReceived = false;

  readonly #server: boolean;
  readonly #handler: H2Handler;
  readonly #writer: FrameWriter;
  readonly #limits: H2Limits;
  readonly #guard: FloodGuard;
  readonly #reader: FrameReader;
  readonly #decoder: HpackDecoder;
  readonly #assembler: HeaderAssembler;
  readonly #table = new StreamTable();
  readonly #sending: SendWindows;
  readonly #receiving: ReceiveWindows;

  #acknowledged = false;
  #unacknowledgedSince = -1;
  /** 0 no, 1 announced, 2 no further stream is served. */
  #draining = 0;
  #dataStream: H2Stream | undefined;
  #dataEnds = false;

  constructor(role: Role, settings: H2Settings, handler: H2Handler, out: OutputBuffer) {
    this.role = role;
    this.settings = settings;
    this.#server = role === 'server';
    this.#handler = handler;
    this.#writer = new FrameWriter(out, this);
    this.#sending = new SendWindows(handler);
    this.#receiving = new ReceiveWindows(settings, this.#server, this.#writer);
    this.#limits = { ...DEFAULT_LIMITS, ...settings.limits };
    this.#guard = new FloodGuard(this.#limits);
    this.peer = new PeerSettings(settings.assumedPeerStreams ?? 100);
    this.#decoder = new HpackDecoder(Math.max(settings.headerTableSize, 4096));
    this.#assembler = new HeaderAssembler(settings.maxHeaderListSize);
    this.#reader = new FrameReader(
      this,
      this.#server,
      settings.maxFrameSize,
      settings.maxHeaderListSize + BLOCK_SLACK,
      this.#limits.maxSettings,
      this.#limits.maxContinuations,
    );
  }

  // === life of the connection ===

  /** Queues preface, SETTINGS and the connection's window; call once, before anything else. */
  start() {
    if (this.#writer.start(this.settings, !this.#server)) this.#receiving.creditConnection();
  }

  /** Feeds bytes of the transport. */
  receive(buffer: Buffer, start: number, end: number) {
    if (!this.ended) this.#reader.read(buffer, start, end);
  }

  /** To be called every second or so, with milliseconds of a monotonic clock. */
  tick(nowMs: number) {
    if (this.ended) return;
    this.#guard.tick(nowMs);
    if (this.#acknowledged) return;
    if (this.#unacknowledgedSince < 0) this.#unacknowledgedSince = nowMs;
    else if (nowMs - this.#unacknowledgedSince > this.#limits.settingsAckMs)
      this.#fail(ErrorCode.settingsTimeout, 'the peer does not acknowledge SETTINGS');
  }

  /** Sends a PING; `opaque` (32 bits) comes back by `onPong`. */
  ping(opaque: number) {
    if (!this.ended) this.#writer.ping(PING_MARK, opaque);
  }

  /** Ends the connection now: GOAWAY, then nothing. The shell closes the transport once the output is flushed. */
  goaway(code: number) {
    if (this.ended) return;
    this.#end();
    this.#writer.goaway(this.#table.lastPeerId, code);
  }

  /**
   * Lets streams finish and takes no new ones (RFC 9113 section 6.8): a server warns first and names the last stream
   * a round trip later. `onDrained` follows when no stream is left, unless none was open to begin with and the role is
   * client: then `openStreams` is 0 right away.
   */
  gracefulShutdown() {
    if (this.ended || this.#draining > 0) return;
    this.#draining = this.#server ? 1 : 2;
    this.#writer.goaway(this.#server ? MAX_31 : 0, ErrorCode.noError);
    if (this.#server) this.#writer.ping(DRAIN_MARK, 0);
  }

  /** Streams that are open. */
  get openStreams(): number {
    return this.#table.open.size;
  }

  /** How many streams `request` would still open. */
  get availableStreams(): number {
    if (this.#server || this.ended || this.goawayReceived || this.#draining > 0 || this.#table.nextLocalId > MAX_31)
      return 0;
    return Math.max(0, this.peer.maxConcurrentStreams - this.#table.open.size);
  }

  /** Visits every open stream; the visitor may reset it. */
  forEachStream(visit: (stream: H2Stream) => void) {
    for (const stream of this.#table.open.values()) visit(stream);
  }

  // === streams: sending ===

  /** Opens a stream (client). Null if none can be opened now: peer's limit, GOAWAY, identifiers or output exhausted. */
  request(headers: HeaderBlock, endStream: boolean): H2Stream | null {
    if (this.availableStreams === 0) return null;
    const stream = new H2Stream(this.#table.nextLocalId, this.peer.initialWindowSize, this.#receiving.initial);
    if (!this.#writer.headers(stream.id, headers, endStream, this.peer.maxFrameSize)) return null;
    this.#table.nextLocalId += 2;
    this.#table.add(stream);
    stream.headersSent = true;
    stream.localEnded = endStream;
    stream.bodyless = headers.method === 'HEAD' || headers.isTunnel;
    return stream;
  }

  /** Answers a stream (server); a 1xx may come before the answer proper. */
  respond(stream: H2Stream, headers: HeaderBlock, endStream: boolean) {
    if (this.ended || stream.closed || stream.localEnded) return;
    if (!this.#writer.headers(stream.id, headers, endStream, this.peer.maxFrameSize)) return this.onOutputFull();
    if (headers.status >= 200) {
      if (!stream.headersSent) this.#guard.answered();
      stream.headersSent = true;
    }
    if (endStream) this.#endLocal(stream);
  }

  /** Ends our side with trailers. */
  trailers(stream: H2Stream, headers: HeaderBlock) {
    if (this.ended || stream.closed || stream.localEnded) return;
    if (this.#writer.headers(stream.id, headers, true, this.peer.maxFrameSize)) this.#endLocal(stream);
    else this.onOutputFull();
  }

  /**
   * How many octets the next DATA frame of that stream may hold: the least of its window, the connection's, and the
   * peer's frame size. After 0, `onSendable` tells when to ask again.
   */
  dataQuota(stream: H2Stream): number {
    if (stream.closed || stream.localEnded || this.ended) return 0;
    return Math.min(this.#sending.available(stream), this.peer.maxFrameSize);
  }

  /**
   * Puts the header of a DATA frame of `length` octets (at most `dataQuota`) into `buffer[offset, offset + 9)`; the
   * content follows it there. Both windows shrink. Throws H2_QUOTA if the caller did not keep to it.
   */
  writeDataHeader(buffer: Buffer, offset: number, stream: H2Stream, length: number, endStream: boolean) {
    if (stream.localEnded || stream.closed) throw new AmbitError('H2_QUOTA', `stream ${stream.id} has ended already`);
    if (length > 0) {
      if (length > stream.sendWindow || length > this.#sending.window || length > this.peer.maxFrameSize)
        throw new AmbitError('H2_QUOTA', `DATA of ${length} octets on stream ${stream.id} is above its quota`);
      stream.sendWindow -= length;
      this.#sending.window -= length;
      if (length >= DRIBBLE || (stream.sendWindow > 0 && this.#sending.window > 0)) this.#guard.sent(length);
    }
    writeFrameHeader(buffer, offset, length, FrameType.data, endStream ? Flag.endStream : 0, stream.id);
    if (endStream) this.#endLocal(stream);
  }

  /**
   * Copies content into the output, as one frame of at most the quota; returns how much was taken. `endStream` counts
   * only if everything was. For shells that have no memory of their own to write to.
   */
  writeData(stream: H2Stream, source: Buffer, start: number, end: number, endStream: boolean): number {
    const length = Math.min(end - start, end > start ? this.dataQuota(stream) : 0);
    const ends = endStream && length === end - start;
    if (stream.closed || stream.localEnded || this.ended || (length === 0 && !ends)) return 0;
    if (!this.#writer.hasRoom(FRAME_HEADER + length)) return 0;
    const { buffer } = this.#writer.out;
    this.writeDataHeader(buffer, this.#writer.content(source, start, start + length), stream, length, ends);
    return length;
  }

  /** Ends our side with an empty DATA frame. */
  endStream(stream: H2Stream) {
    if (this.ended || stream.closed || stream.localEnded) return;
    if (this.#writer.end(stream.id)) this.#endLocal(stream);
  }

  /** Ends the stream at once in both directions; no callback follows. */
  resetStream(stream: H2Stream, code: number) {
    if (stream.closed || this.ended) return;
    this.#close(stream);
    this.#queueReset(stream.id, code);
  }

  // === streams: receiving ===

  /** `octets` of what `onData` brought have left for good; returns credit to the peer, in batches. */
  consumed(stream: H2Stream, octets: number) {
    stream.undelivered -= octets;
    if (!this.ended) this.#receiving.creditStream(stream);
  }

  /**
   * Changes the window granted to the peer on this stream. Growing it tells the peer at once; shrinking keeps back the
   * credit of what gets consumed until the window is that small.
   */
  setStreamWindow(stream: H2Stream, octets: number) {
    if (!this.ended) this.#receiving.resize(stream, octets);
  }

  onDataStart(id: number, length: number, padding: number, endStream: boolean): boolean {
    const total = length + padding;
    if (total > this.#receiving.window) {
      this.#fail(ErrorCode.flowControlError, 'DATA beyond the window of the connection');
      return false;
    }
    const stream = this.#table.find(id);
    if (stream === undefined) this.#unexpected(id, 'DATA');
    else if (stream.remoteEnded) this.#streamError(stream, ErrorCode.streamClosed);
    else if (!stream.headersReceived) this.#streamError(stream, ErrorCode.protocolError);
    else if (total > stream.recvWindow) this.#streamError(stream, ErrorCode.flowControlError);
    else if (stream.contentLeft >= 0 && (endStream ? length !== stream.contentLeft : length > stream.contentLeft))
      this.#streamError(stream, ErrorCode.protocolError);
    else {
      if (padding > 0) this.#receiving.padding(stream, padding);
      if (stream.contentLeft >= 0) stream.contentLeft -= length;
      if (length >= DRIBBLE) this.#guard.received();
      if (length > 0) {
        this.#dataStream = stream;
        this.#dataEnds = endStream;
        return true;
      }
      if (endStream) this.#deliver(stream, EMPTY, 0, 0, true);
      else this.#control();
      return false;
    }
    this.#receiving.received(total);
    return false;
  }

  onDataBytes(buffer: Buffer, start: number, end: number, last: boolean) {
    const stream = this.#dataStream!;
    const length = end - start;
    if (!stream.closed) {
      stream.recvWindow -= length;
      stream.undelivered += length;
      this.#deliver(stream, buffer, start, end, last && this.#dataEnds);
    }
    this.#receiving.received(length);
  }

  #deliver(stream: H2Stream, buffer: Buffer, start: number, end: number, endStream: boolean) {
    if (endStream) stream.remoteEnded = true;
    this.#handler.onData(stream, buffer, start, end, endStream);
    if (endStream) this.#closeIfEnded(stream);
  }

  onHeaderBlock(id: number, buffer: Buffer, start: number, end: number, ends: boolean, selfDependent: boolean) {
    const assembler = this.#assembler;
    assembler.begin();
    const broken = this.#decoder.decode(buffer, start, end, assembler);
    if (broken !== '') return this.#fail(ErrorCode.compressionError, broken);
    const stream = this.#table.find(id);
    if (stream === undefined) {
      if (this.#server) this.#onRequest(id, ends, selfDependent);
      else this.#unexpected(id, 'HEADERS');
    } else if (stream.remoteEnded) this.#streamError(stream, ErrorCode.streamClosed);
    else if (selfDependent || assembler.tooLarge) this.#streamError(stream, ErrorCode.protocolError);
    else if (stream.headersReceived) this.#onTrailers(stream, ends);
    else this.#onResponse(stream, ends);
  }

  #onRequest(id: number, ends: boolean, selfDependent: boolean) {
    if ((id & 1) === 0) return this.#fail(ErrorCode.protocolError, 'a client opened a stream of even number');
    if (this.#draining === 2) return;
    if (!this.#table.advance(id)) return this.#unexpected(id, 'HEADERS');
    const assembler = this.#assembler;
    if (this.#table.open.size >= (this.settings.maxConcurrentStreams ?? MAX_31))
      return this.#refuse(id, ErrorCode.refusedStream, 'too many concurrent streams', this.#acknowledged);
    if (selfDependent) return this.#refuse(id, ErrorCode.protocolError, 'the stream depends on itself', true);
    if (assembler.tooLarge) {
      this.#table.rememberReset(id);
      this.#writer.headers(id, HeaderBlock.response(431), true, this.peer.maxFrameSize);
      return this.#refuse(id, ErrorCode.noError, 'the header list is too large', true);
    }
    const malformed = assembler.finish('request', this.settings.enableConnectProtocol === true);
    const { contentLength, block } = assembler;
    if (malformed !== '') return this.#refuse(id, ErrorCode.protocolError, malformed, true);
    if (ends && contentLength > 0)
      return this.#refuse(id, ErrorCode.protocolError, 'content-length without content', true);
    const stream = new H2Stream(id, this.peer.initialWindowSize, this.#receiving.initial);
    stream.headersReceived = true;
    stream.remoteEnded = ends;
    stream.bodyless = block.isTunnel;
    if (!stream.bodyless) stream.contentLeft = contentLength;
    this.#table.add(stream);
    this.#handler.onHeaders(stream, block, ends);
  }

  #onResponse(stream: H2Stream, ends: boolean) {
    const { contentLength, block } = this.#assembler;
    const { status } = block;
    const malformed = this.#assembler.finish('response', false) !== '' || (status < 200 && ends);
    const empty = stream.bodyless || status === 204 || status === 304;
    if (malformed || (ends && contentLength > 0 && !empty)) return this.#streamError(stream, ErrorCode.protocolError);
    if (status < 200) this.#control();
    else {
      this.#guard.answered();
      stream.headersReceived = true;
      if (!empty) stream.contentLeft = contentLength;
      stream.remoteEnded = ends;
    }
    if (this.ended) return;
    this.#handler.onHeaders(stream, block, ends);
    if (ends) this.#closeIfEnded(stream);
  }

  #onTrailers(stream: H2Stream, ends: boolean) {
    const { block } = this.#assembler;
    const malformed = this.#assembler.finish('trailers', false) !== '';
    // A tunnel carries nothing but DATA (section 8.5); content must be as long as announced.
    if (malformed || !ends || stream.contentLeft > 0 || (stream.bodyless && this.#server))
      return this.#streamError(stream, ErrorCode.protocolError);
    stream.remoteEnded = true;
    this.#handler.onHeaders(stream, block, true);
    this.#closeIfEnded(stream);
  }

  onRstStream(id: number, code: number) {
    const stream = this.#table.find(id);
    if (stream === undefined) {
      if (this.#draining < 2 && this.#table.past(id, this.#server) === 'idle')
        this.#fail(ErrorCode.protocolError, 'RST_STREAM on an idle stream');
      else this.#control();
      return;
    }
    const early = this.#server && !stream.headersSent;
    this.#close(stream);
    this.#handler.onReset(stream, code);
    if (early) this.#wasted(); // an answered one has cost its opener as much as us
  }

  onStreamViolation(id: number, code: number) {
    const stream = this.#table.find(id);
    if (stream !== undefined) this.#streamError(stream, code);
    else if (this.#table.past(id, this.#server) === 'idle') this.#fail(code, 'a bad frame on an idle stream');
    else {
      this.#queueReset(id, code);
      this.#wasted();
    }
  }

  // === frames of the connection ===

  onSettings(buffer: Buffer, start: number, end: number) {
    this.#control();
    if (this.ended) return;
    const before = this.peer.initialWindowSize;
    if (!this.settingsReceived) this.peer.maxConcurrentStreams = MAX_31;
    const code = this.peer.apply(buffer, start, end, !this.#server);
    if (code !== ErrorCode.noError) return this.#fail(code, this.peer.reason);
    this.settingsReceived = true;
    this.#writer.encoder.setPeerLimit(this.peer.headerTableSize);
    if (!this.#writer.settingsAck()) return;
    if (this.peer.initialWindowSize !== before) this.#shiftWindows(this.peer.initialWindowSize - before);
    if (!this.ended) this.#handler.onSettings();
  }

  /** The peer changed the window of all streams (section 6.9.2); it may become negative. */
  #shiftWindows(delta: number) {
    for (const stream of this.#table.open.values())
      if (!this.#sending.openStream(stream, delta))
        return this.#fail(ErrorCode.flowControlError, 'SETTINGS_INITIAL_WINDOW_SIZE overflows a window');
    if (delta > 0) for (const stream of this.#table.open.values()) this.#sending.wake(stream);
  }

  onSettingsAck() {
    if (this.#acknowledged) return this.#control();
    this.#acknowledged = true;
    this.#decoder.setLimit(this.settings.headerTableSize);
    if (this.#server) this.#receiving.acknowledge(this.#table.open.values());
  }

  onPing(buffer: Buffer, start: number) {
    this.#control();
    if (!this.ended) this.#writer.pong(buffer, start);
  }

  onPong(high: number, low: number) {
    if (high === DRAIN_MARK && this.#draining === 1) {
      this.#draining = 2;
      this.#writer.goaway(this.#table.lastPeerId, ErrorCode.noError);
      if (this.#table.open.size === 0) this.#handler.onDrained();
    } else if (high === PING_MARK) this.#handler.onPong(low);
    else this.#control();
  }

  onGoawayFrame(lastStreamId: number, code: number) {
    this.#control();
    if (this.ended) return;
    this.goawayReceived = true;
    this.#handler.onGoaway(lastStreamId, code);
    if (this.#server) return;
    for (const stream of this.#table.open.values()) {
      if (stream.id <= lastStreamId) continue;
      this.#close(stream);
      this.#handler.onReset(stream, ErrorCode.refusedStream);
    }
  }

  onWindowUpdate(id: number, increment: number) {
    if (!this.#guard.spendUpdate()) return this.#calm();
    if (id === 0) {
      if (!this.#sending.openConnection(increment))
        this.#fail(ErrorCode.flowControlError, 'WINDOW_UPDATE overflows the window of the connection');
      return;
    }
    const stream = this.#table.find(id);
    if (stream === undefined) {
      if (this.#draining < 2 && this.#table.past(id, this.#server) === 'idle')
        this.#fail(ErrorCode.protocolError, 'WINDOW_UPDATE on an idle stream');
    } else if (this.#sending.openStream(stream, increment)) this.#sending.wake(stream);
    else this.#streamError(stream, ErrorCode.flowControlError);
  }

  onIgnored() {
    this.#control();
  }

  onViolation(code: number, reason: string) {
    this.#fail(code, reason);
  }

  // === endings ===

  #control() {
    if (!this.#guard.spendControl()) this.#calm();
  }

  #calm() {
    this.#fail(ErrorCode.enhanceYourCalm, 'too many frames that carry nothing for an application');
  }

  #wasted() {
    if (!this.#guard.spendReset()) this.#fail(ErrorCode.enhanceYourCalm, 'too many streams opened in vain');
  }

  /** A frame for a stream that is not open. */
  #unexpected(id: number, what: string) {
    if (this.#draining === 2) return this.#control();
    switch (this.#table.past(id, this.#server)) {
      case 'reset':
        return this.#control();
      case 'ended':
        return this.#fail(ErrorCode.streamClosed, `${what} on a stream that has ended`);
      case 'skipped':
      case 'idle':
        return this.#fail(ErrorCode.protocolError, `${what} on an idle stream`);
    }
  }

  /** Refuses a request before a stream comes of it. */
  #refuse(id: number, code: number, reason: string, counts: boolean) {
    this.#queueReset(id, code);
    this.#handler.onRefused(id, code, reason);
    if (counts) this.#wasted();
  }

  /** The peer broke the protocol on one stream. */
  #streamError(stream: H2Stream, code: number) {
    this.#close(stream);
    this.#queueReset(stream.id, code);
    this.#handler.onReset(stream, code);
    this.#wasted();
  }

  #endLocal(stream: H2Stream) {
    stream.localEnded = true;
    this.#sending.forget(stream);
    this.#closeIfEnded(stream);
  }

  #closeIfEnded(stream: H2Stream) {
    if (stream.localEnded && stream.remoteEnded && !stream.closed) this.#close(stream);
  }

  #close(stream: H2Stream) {
    stream.closed = true;
    this.#sending.forget(stream);
    this.#table.remove(stream);
    if (this.#draining === 2 && this.#table.open.size === 0 && !this.ended) this.#handler.onDrained();
  }

  #end() {
    this.ended = true;
    this.#reader.stopped = true;
  }

  #fail(code: number, reason: string) {
    if (this.ended) return;
    this.#end();
    this.#writer.goaway(this.#table.lastPeerId, code);
    this.#handler.onConnectionError(code, reason);
  }

  #queueReset(id: number, code: number) {
    this.#table.rememberReset(id);
    if (!this.ended) this.#writer.reset(id, code);
  }

  onOutputFull() {
    this.#fail(ErrorCode.enhanceYourCalm, 'the peer does not read its answers');
  }
}
