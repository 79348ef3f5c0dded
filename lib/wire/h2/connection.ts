// SPDX-License-Identifier: Apache-2.0
// The HTTP/2 connection engine (RFC 9113), client and server: bytes in, synchronous callbacks, bytes out. No sockets,
// no clock, no timers: a shell feeds `receive`, flushes the output and calls `tick`. What arrives goes through
// reader.ts and incoming.ts; this is what the shell calls.
//
// Sending content costs no copy: the shell asks `dataQuota`, puts that many bytes into its own memory behind room for
// nine octets, and has `writeDataHeader` fill those in. Received content is handed on where it lies.
import { AmbitError } from '#lib/kit/error.ts';
import { Endings } from './endings.ts';
import { FloodGuard } from './flood.ts';
import { writeFrameHeader } from './frame.ts';
import type { FrameWriter } from './frame-writer.ts';
import type { H2Handler } from './handler.ts';
import type { HeaderBlock } from './headers.ts';
import { DRIBBLE, Incoming, PING_MARK } from './incoming.ts';
import type { OutputBuffer } from './output.ts';
import { ErrorCode, Flag, FRAME_HEADER, FrameType, MAX_31 } from './protocol.ts';
import { FrameReader } from './reader.ts';
import { ReceiveWindows } from './receive-windows.ts';
import type { SendWindows } from './send-windows.ts';
import { DEFAULT_LIMITS, type H2Limits, type H2Settings, PeerSettings } from './settings.ts';
import { H2Stream } from './stream.ts';
import type { StreamTable } from './stream-table.ts';

// A compressed block may be this much larger than the list limit and still be answered politely.
const BLOCK_SLACK = 16_384;

/** Which end of the connection this is. */
export type Role = 'client' | 'server';

/** One HTTP/2 connection. */
export class H2Connection {
  readonly role: Role;
  readonly settings: H2Settings;
  readonly peer: PeerSettings;

  readonly #server: boolean;
  readonly #endings: Endings;
  readonly #writer: FrameWriter;
  readonly #limits: H2Limits;
  readonly #guard: FloodGuard;
  readonly #reader: FrameReader;
  readonly #table: StreamTable;
  readonly #sending: SendWindows;
  readonly #receiving: ReceiveWindows;
  #unacknowledgedSince = -1;

  constructor(role: Role, settings: H2Settings, handler: H2Handler, out: OutputBuffer) {
    const server = role === 'server';
    this.role = role;
    this.settings = settings;
    this.peer = new PeerSettings(settings.assumedPeerStreams ?? 100);
    this.#server = server;
    this.#limits = { ...DEFAULT_LIMITS, ...settings.limits };
    this.#guard = new FloodGuard(this.#limits);
    this.#endings = new Endings(server, handler, this.#guard, out);
    this.#writer = this.#endings.writer;
    this.#table = this.#endings.table;
    this.#sending = this.#endings.sending;
    this.#receiving = new ReceiveWindows(settings, server, this.#writer);
    const { peer } = this;
    const common = { server, settings, peer, handler, guard: this.#guard, endings: this.#endings };
    this.#reader = new FrameReader(
      new Incoming({ ...common, windows: this.#receiving }),
      server,
      settings.maxFrameSize,
      settings.maxHeaderListSize + BLOCK_SLACK,
      this.#limits.maxSettings,
      this.#limits.maxContinuations,
    );
    this.#endings.reader = this.#reader;
  }

  // === life of the connection ===

  /** No more is read or written: after an error, or `goaway`. */
  get ended(): boolean {
    return this.#endings.ended;
  }

  /** The peer's first SETTINGS have arrived. */
  get settingsReceived(): boolean {
    return this.peer.received;
  }

  /** The peer has sent GOAWAY. */
  get goawayReceived(): boolean {
    return this.#endings.goawayReceived;
  }

  /** Queues preface, SETTINGS and the connection's window; call once, before anything else. */
  start() {
    if (this.#writer.start(this.settings, !this.#server)) this.#receiving.creditConnection();
  }

  /** Feeds bytes of the transport. */
  receive(buffer: Buffer, start: number, end: number) {
    for (let at = start; at < end; ) at = this.receiveSome(buffer, at, end);
  }

  /** The same, but no more than is work enough for one call; returns how far it came. The rest is due with the next call. */
  receiveSome(buffer: Buffer, start: number, end: number): number {
    return this.#endings.ended ? end : this.#reader.read(buffer, start, end);
  }

  /** To be called every second or so, with milliseconds of a monotonic clock. */
  tick(nowMs: number) {
    if (this.#endings.ended) return;
    this.#guard.tick(nowMs);
    if (this.peer.acknowledged) return;
    if (this.#unacknowledgedSince < 0) this.#unacknowledgedSince = nowMs;
    else if (nowMs - this.#unacknowledgedSince > this.#limits.settingsAckMs)
      this.#endings.fail(ErrorCode.settingsTimeout, 'the peer does not acknowledge SETTINGS');
  }

  /** Sends a PING; `opaque` (32 bits) comes back by `onPong`. */
  ping(opaque: number) {
    if (!this.#endings.ended) this.#writer.ping(PING_MARK, opaque);
  }

  /** Ends the connection now: GOAWAY, then nothing. The shell closes the transport once the output is flushed. */
  goaway(code: number) {
    this.#endings.goaway(code);
  }

  /**
   * Lets streams finish and takes no new ones (RFC 9113 section 6.8): a server warns first and names the last stream
   * a round trip later. `onDrained` follows when no stream is left, unless none was open to begin with and the role is
   * client: then `openStreams` is 0 right away.
   */
  gracefulShutdown() {
    this.#endings.drain();
  }

  /** Streams that are open. */
  get openStreams(): number {
    return this.#table.open.size;
  }

  /** How many streams `request` would still open. */
  get availableStreams(): number {
    if (
      this.#server ||
      this.#endings.ended ||
      this.goawayReceived ||
      this.#endings.draining > 0 ||
      this.#table.nextLocalId > MAX_31
    )
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
    if (this.#endings.ended || stream.closed || stream.localEnded) return;
    if (!this.#writer.headers(stream.id, headers, endStream, this.peer.maxFrameSize))
      return this.#endings.onOutputFull();
    if (headers.status >= 200) {
      stream.headersSent = true;
    }
    if (endStream) this.#endings.endLocal(stream);
  }

  /** Ends our side with trailers. */
  trailers(stream: H2Stream, headers: HeaderBlock) {
    if (this.#endings.ended || stream.closed || stream.localEnded) return;
    if (this.#writer.headers(stream.id, headers, true, this.peer.maxFrameSize)) this.#endings.endLocal(stream);
    else this.#endings.onOutputFull();
  }

  /**
   * How many octets the next DATA frame of that stream may hold: the least of its window, the connection's, and the
   * peer's frame size. After 0, `onSendable` tells when to ask again.
   */
  dataQuota(stream: H2Stream): number {
    if (stream.closed || stream.localEnded || this.#endings.ended) return 0;
    return Math.min(this.#sending.available(stream), this.peer.maxFrameSize);
  }

  /**
   * Puts the header of a DATA frame of `length` octets (at most `dataQuota`) into `buffer[offset, offset + 9)`; the
   * content follows it there. Both windows shrink. Throws H2_QUOTA if the caller did not keep to it.
   */
  writeDataHeader(buffer: Buffer, offset: number, stream: H2Stream, length: number, endStream: boolean) {
    if (stream.localEnded || stream.closed) throw new AmbitError('H2_QUOTA', `stream ${stream.id} has ended already`);
    if (length > 0) {
      stream.carried = true;
      if (length > stream.sendWindow || length > this.#sending.window || length > this.peer.maxFrameSize)
        throw new AmbitError('H2_QUOTA', `DATA of ${length} octets on stream ${stream.id} is above its quota`);
      stream.sendWindow -= length;
      this.#sending.window -= length;
      if (length >= DRIBBLE || (stream.sendWindow > 0 && this.#sending.window > 0)) this.#guard.sent(length);
    }
    writeFrameHeader(buffer, offset, length, FrameType.data, endStream ? Flag.endStream : 0, stream.id);
    if (endStream) this.#endings.endLocal(stream);
  }

  /**
   * Copies content into the output, as one frame of at most the quota; returns how much was taken. `endStream` counts
   * only if everything was. For shells that have no memory of their own to write to.
   */
  writeData(stream: H2Stream, source: Buffer, start: number, end: number, endStream: boolean): number {
    const length = Math.min(end - start, end > start ? this.dataQuota(stream) : 0);
    const ends = endStream && length === end - start;
    if (stream.closed || stream.localEnded || this.#endings.ended || (length === 0 && !ends)) return 0;
    if (!this.#writer.hasRoom(FRAME_HEADER + length)) return 0;
    const { buffer } = this.#writer.out;
    this.writeDataHeader(buffer, this.#writer.content(source, start, start + length), stream, length, ends);
    return length;
  }

  /** Ends our side with an empty DATA frame. */
  endStream(stream: H2Stream) {
    if (this.#endings.ended || stream.closed || stream.localEnded) return;
    if (this.#writer.end(stream.id)) this.#endings.endLocal(stream);
  }

  /** Ends the stream at once in both directions; no callback follows. */
  resetStream(stream: H2Stream, code: number) {
    if (stream.closed || this.#endings.ended) return;
    this.#endings.close(stream);
    this.#endings.queueReset(stream.id, code);
  }

  // === streams: receiving ===

  /** `octets` of what `onData` brought have left for good; returns credit to the peer, in batches. */
  consumed(stream: H2Stream, octets: number) {
    stream.undelivered -= octets;
    if (!this.#endings.ended) this.#receiving.creditStream(stream);
  }

  /**
   * Changes the window granted to the peer on this stream. Growing it tells the peer at once; shrinking keeps back the
   * credit of what gets consumed until the window is that small.
   */
  setStreamWindow(stream: H2Stream, octets: number) {
    if (!this.#endings.ended) this.#receiving.resize(stream, octets);
  }
}
