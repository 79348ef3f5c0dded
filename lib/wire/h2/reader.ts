// SPDX-License-Identifier: Apache-2.0
// From any split of the byte stream to frames (RFC 9113 sections 4 and 6). DATA is passed on as it arrives, in place;
// the other frames are small and are handed over whole, in place when they lie in one piece. Nothing is held between
// calls but the rest of a frame that was cut, and a header block until its end.
//
//   preface ─▶ head ─▶ gather ─▶ head          HEADERS, SETTINGS, …: payload needed in one piece
//                 ├──▶ pad ─┐
//                 └────────▶ data ─▶ skip ─▶ head
import { readUint31, readUint32, SETTING_SIZE } from './frame.ts';
import { ErrorCode, Flag, FRAME_HEADER, FrameType, PREFACE } from './protocol.ts';

/** Receives frames that are well-formed by themselves; whether they fit the state of streams is for the sink. */
export interface FrameSink {
  /**
   * A DATA frame begins: `length` octets of content, `padding` more that count for flow control. Returns whether the
   * content is wanted; `onDataBytes` follows until all has come, not at all for a length of 0.
   */
  onDataStart(streamId: number, length: number, padding: number, endStream: boolean): boolean;
  onDataBytes(buffer: Buffer, start: number, end: number, last: boolean): void;
  /** A complete header block. */
  onHeaderBlock(
    streamId: number,
    buffer: Buffer,
    start: number,
    end: number,
    endStream: boolean,
    selfDependent: boolean,
  ): void;
  onRstStream(streamId: number, code: number): void;
  onSettings(buffer: Buffer, start: number, end: number): void;
  onSettingsAck(): void;
  onPing(buffer: Buffer, start: number): void;
  onPong(high: number, low: number): void;
  onGoawayFrame(lastStreamId: number, code: number): void;
  onWindowUpdate(streamId: number, increment: number): void;
  /** PRIORITY, or a type we do not know. */
  onIgnored(): void;
  /** A violation that ends one stream, or the connection. */
  onStreamViolation(streamId: number, code: number): void;
  onViolation(code: number, reason: string): void;
}

/**
 * Work for one call of `read`, in frames: HEADERS open streams, which cost tens of microseconds each; DATA of a size that is worth
 * its frame costs what copying it costs, and is not counted.
 */
const WORK_A_READ = 32;
const HEADERS_WORK = 8;
const SMALL_DATA = 1024;

const State = { preface: 0, head: 1, pad: 2, data: 3, gather: 4, skip: 5 } as const;

/** Parses one direction of a connection. */
export class FrameReader {
  /** After a violation nothing more is read. */
  stopped = false;
  readonly #sink: FrameSink;
  readonly #maxFrame: number;
  readonly #maxBlock: number;
  readonly #maxSettings: number;
  readonly #maxContinuations: number;
  #state: number;
  /** SETTINGS must come first. */
  #first = true;
  /** What is left of this call's work. */
  #work = 0;

  // The frame at hand.
  #length = 0;
  #type = 0;
  #flags = 0;
  #streamId = 0;
  /** Octets of the state at hand still to come: content, payload to gather, octets to skip. */
  #left = 0;
  /** Octets to skip after that: padding, debug data. */
  #tail = 0;

  // A frame header, or a payload to gather, that was cut.
  readonly #head = Buffer.alloc(FRAME_HEADER);
  #held: Buffer = Buffer.alloc(0);
  #have = 0;

  // A header block that is spread over frames: stream 0 means there is none.
  #blockStream = 0;
  #blockEnds = false;
  #blockSelf = false;
  #block: Buffer = Buffer.alloc(0);
  #blockSize = 0;
  #continuations = 0;

  constructor(
    sink: FrameSink,
    server: boolean,
    maxFrame: number,
    maxBlock: number,
    maxSettings: number,
    maxContinuations: number,
  ) {
    this.#sink = sink;
    this.#state = server ? State.preface : State.head;
    this.#maxFrame = maxFrame;
    this.#maxBlock = maxBlock;
    this.#maxSettings = maxSettings;
    this.#maxContinuations = maxContinuations;
  }

  /** Whether a frame is cut at the moment: an end of the transport now is not a clean one. */
  get midFrame(): boolean {
    return this.#state > State.head || this.#have > 0 || this.#blockStream !== 0;
  }

  /**
   * Parses `buffer[start, end)`, and returns how far it came: less than `end` once that was work enough for one call. The rest
   * is what the next call begins with. After a violation there is nothing more to read.
   */
  read(buffer: Buffer, start: number, end: number): number {
    let at = start;
    this.#work = WORK_A_READ;
    while (at < end && !this.stopped && this.#work > 0) {
      switch (this.#state) {
        case State.head:
          at = this.#readHead(buffer, at, end);
          break;
        case State.data: {
          const stop = Math.min(end, at + this.#left);
          this.#left -= stop - at;
          if (this.#left === 0) this.#leave(this.#tail);
          this.#sink.onDataBytes(buffer, at, stop, this.#state !== State.data);
          at = stop;
          break;
        }
        case State.skip: {
          const stop = Math.min(end, at + this.#left);
          this.#left -= stop - at;
          at = stop;
          if (this.#left === 0) this.#state = State.head;
          break;
        }
        case State.pad:
          this.#data(this.#length - 1, buffer[at++]!);
          break;
        case State.gather:
          at = this.#gather(buffer, at, end);
          break;
        default:
          at = this.#readPreface(buffer, at, end);
      }
    }
    return this.stopped ? end : at;
  }

  #readPreface(buffer: Buffer, start: number, end: number): number {
    let at = start;
    while (at < end && this.#have < PREFACE.length) {
      if (buffer[at++] === PREFACE[this.#have]) this.#have++;
      else {
        this.#violation(ErrorCode.protocolError, 'the client preface is missing');
        return end;
      }
    }
    if (this.#have === PREFACE.length) {
      this.#have = 0;
      this.#state = State.head;
    }
    return at;
  }

  #readHead(buffer: Buffer, start: number, end: number): number {
    if (this.#have === 0 && end - start >= FRAME_HEADER) {
      this.#begin(buffer, start);
      return start + FRAME_HEADER;
    }
    const stop = Math.min(end, start + FRAME_HEADER - this.#have);
    for (let at = start; at < stop; at++) this.#head[this.#have++] = buffer[at]!;
    if (this.#have === FRAME_HEADER) {
      this.#have = 0;
      this.#begin(this.#head, 0);
    }
    return stop;
  }

  /** Leaves the frame, but for `tail` octets to skip. */
  #leave(tail: number) {
    this.#left = tail;
    this.#state = tail > 0 ? State.skip : State.head;
  }

  #violation(code: number, reason: string) {
    this.stopped = true;
    this.#sink.onViolation(code, reason);
  }

  #begin(head: Buffer, at: number) {
    const length = (head[at]! << 16) | (head[at + 1]! << 8) | head[at + 2]!;
    const type = head[at + 3]!;
    this.#length = length;
    this.#type = type;
    this.#flags = head[at + 4]!;
    this.#streamId = readUint31(head, at + 5);
    if (type !== FrameType.data) this.#work -= type === FrameType.headers ? HEADERS_WORK : 1;
    else if (length < SMALL_DATA) this.#work--;
    if (length > this.#maxFrame)
      return this.#violation(
        ErrorCode.frameSizeError,
        `frame of ${length} octets is above the limit ${this.#maxFrame}`,
      );
    if (this.#blockStream !== 0 && (type !== FrameType.continuation || this.#streamId !== this.#blockStream))
      return this.#violation(ErrorCode.protocolError, 'a header block is interrupted by another frame');
    if (this.#first) {
      if (type !== FrameType.settings || (this.#flags & Flag.ack) !== 0)
        return this.#violation(ErrorCode.protocolError, 'the first frame is not SETTINGS');
      this.#first = false;
    }
    if (type !== FrameType.data) return this.#beginOther();
    if (this.#streamId === 0) return this.#violation(ErrorCode.protocolError, 'DATA on stream 0');
    if ((this.#flags & Flag.padded) === 0) return this.#data(length, -1);
    if (length === 0) return this.#violation(ErrorCode.frameSizeError, 'padded DATA without a pad length');
    this.#state = State.pad;
  }

  /** `rest` octets follow, of which `pad` (or none if below 0) are padding. */
  #data(rest: number, pad: number) {
    const padding = Math.max(0, pad);
    if (padding > rest) return this.#violation(ErrorCode.protocolError, 'DATA has more padding than payload');
    const content = rest - padding;
    this.#left = content;
    this.#tail = padding;
    this.#state = State.data;
    const endStream = (this.#flags & Flag.endStream) !== 0;
    if (content === 0) this.#leave(padding);
    const wanted = this.#sink.onDataStart(this.#streamId, content, pad < 0 ? 0 : padding + 1, endStream);
    if (!wanted && content > 0) this.#leave(rest);
  }

  #beginOther() {
    const length = this.#length;
    const onStream = this.#streamId !== 0;
    switch (this.#type) {
      case FrameType.headers:
        if (!onStream) return this.#violation(ErrorCode.protocolError, 'HEADERS on stream 0');
        this.#blockEnds = (this.#flags & Flag.endStream) !== 0;
        this.#blockSelf = false;
        this.#blockSize = this.#continuations = 0;
        return this.#beginBlock(length);
      case FrameType.continuation:
        if (this.#blockStream === 0) return this.#violation(ErrorCode.protocolError, 'CONTINUATION without HEADERS');
        if (++this.#continuations > this.#maxContinuations)
          return this.#violation(ErrorCode.enhanceYourCalm, 'a header block has too many CONTINUATION frames');
        return this.#beginBlock(length);
      case FrameType.rstStream:
        return this.#fixed(4, onStream, length === 4);
      case FrameType.windowUpdate:
        return this.#fixed(4, true, length === 4);
      case FrameType.ping:
        return this.#fixed(8, !onStream, length === 8);
      case FrameType.goaway:
        return this.#fixed(8, !onStream, length >= 8);
      case FrameType.priority:
        return this.#beginPriority();
      case FrameType.settings:
        return this.#beginSettings();
      case FrameType.pushPromise:
        return this.#violation(ErrorCode.protocolError, 'PUSH_PROMISE although push is off');
      default:
        this.#leave(length);
        this.#sink.onIgnored();
    }
  }

  /** A frame whose first `size` octets say it all. */
  #fixed(size: number, rightStream: boolean, rightLength: boolean) {
    if (!rightStream) return this.#violation(ErrorCode.protocolError, `frame type ${this.#type} on a wrong stream`);
    if (!rightLength) return this.#violation(ErrorCode.frameSizeError, `frame type ${this.#type} of a wrong length`);
    this.#need(size, this.#length - size);
  }

  #beginPriority() {
    if (this.#streamId === 0) return this.#violation(ErrorCode.protocolError, 'PRIORITY on stream 0');
    if (this.#length === 5) return this.#need(5, 0);
    this.#leave(this.#length);
    this.#sink.onStreamViolation(this.#streamId, ErrorCode.frameSizeError);
  }

  #beginSettings() {
    const ack = (this.#flags & Flag.ack) !== 0;
    if (this.#streamId !== 0) return this.#violation(ErrorCode.protocolError, 'SETTINGS on a stream');
    if (this.#length % SETTING_SIZE !== 0 || (ack && this.#length > 0))
      return this.#violation(ErrorCode.frameSizeError, 'SETTINGS of a wrong length');
    if (this.#length > this.#maxSettings * SETTING_SIZE)
      return this.#violation(ErrorCode.enhanceYourCalm, 'SETTINGS with too many entries');
    this.#need(this.#length, 0);
  }

  #beginBlock(length: number) {
    if (this.#blockSize + length > this.#maxBlock)
      return this.#violation(ErrorCode.enhanceYourCalm, `a header block is larger than ${this.#maxBlock} octets`);
    this.#blockStream = this.#streamId;
    this.#need(length, 0);
  }

  /** The next `size` octets are wanted in one piece. */
  #need(size: number, tail: number) {
    this.#left = size;
    this.#tail = tail;
    this.#state = State.gather;
    if (size === 0) this.#finish(this.#head, 0, 0);
  }

  #gather(buffer: Buffer, start: number, end: number): number {
    const size = this.#left;
    if (this.#have === 0 && end - start >= size) {
      this.#finish(buffer, start, start + size);
      return start + size;
    }
    const stop = Math.min(end, start + size - this.#have);
    this.#held = grow(this.#held, this.#have, stop - start, size);
    buffer.copy(this.#held, this.#have, start, stop);
    this.#have += stop - start;
    if (this.#have === size) {
      const held = this.#held;
      this.#held = this.#head; // lets go of the memory
      this.#have = 0;
      this.#finish(held, 0, size);
    }
    return stop;
  }

  /** The payload, as far as it matters, lies in `buffer[start, end)`. */
  #finish(buffer: Buffer, start: number, end: number) {
    this.#leave(this.#tail);
    const sink = this.#sink;
    switch (this.#type) {
      case FrameType.headers:
        return this.#headers(buffer, start, end);
      case FrameType.continuation:
        return this.#fragment(buffer, start, end);
      case FrameType.rstStream:
        return sink.onRstStream(this.#streamId, readUint32(buffer, start));
      case FrameType.settings:
        if ((this.#flags & Flag.ack) !== 0) return sink.onSettingsAck();
        return sink.onSettings(buffer, start, end);
      case FrameType.ping:
        if ((this.#flags & Flag.ack) === 0) return sink.onPing(buffer, start);
        return sink.onPong(readUint32(buffer, start), readUint32(buffer, start + 4));
      case FrameType.goaway:
        return sink.onGoawayFrame(readUint31(buffer, start), readUint32(buffer, start + 4));
      case FrameType.windowUpdate:
        return this.#windowUpdate(readUint31(buffer, start));
      default: // PRIORITY
        if (readUint31(buffer, start) === this.#streamId)
          return sink.onStreamViolation(this.#streamId, ErrorCode.protocolError);
        return sink.onIgnored();
    }
  }

  #windowUpdate(increment: number) {
    if (increment > 0) this.#sink.onWindowUpdate(this.#streamId, increment);
    else if (this.#streamId === 0) this.#violation(ErrorCode.protocolError, 'WINDOW_UPDATE by 0');
    else this.#sink.onStreamViolation(this.#streamId, ErrorCode.protocolError);
  }

  #headers(buffer: Buffer, start: number, end: number) {
    let from = start;
    let to = end;
    const padded = (this.#flags & Flag.padded) !== 0;
    const priority = (this.#flags & Flag.priority) !== 0;
    if (end - start < (padded ? 1 : 0) + (priority ? 5 : 0))
      return this.#violation(ErrorCode.frameSizeError, 'HEADERS is too short for its flags');
    if (padded) to -= buffer[from++]!;
    if (priority) {
      this.#blockSelf = readUint31(buffer, from) === this.#streamId;
      from += 5;
    }
    if (to < from) return this.#violation(ErrorCode.protocolError, 'HEADERS has more padding than payload');
    this.#fragment(buffer, from, to);
  }

  #fragment(buffer: Buffer, start: number, end: number) {
    const ends = (this.#flags & Flag.endHeaders) !== 0;
    if (ends && this.#blockSize === 0) return this.#endBlock(buffer, start, end);
    this.#block = grow(this.#block, this.#blockSize, end - start, this.#maxBlock);
    buffer.copy(this.#block, this.#blockSize, start, end);
    this.#blockSize += end - start;
    if (!ends) return;
    const block = this.#block;
    this.#block = this.#head;
    this.#endBlock(block, 0, this.#blockSize);
  }

  #endBlock(buffer: Buffer, start: number, end: number) {
    this.#blockStream = 0;
    this.#sink.onHeaderBlock(this.#streamId, buffer, start, end, this.#blockEnds, this.#blockSelf);
  }
}

/** A buffer with `used` octets of `buffer` and room for `more`, never larger than `limit` needs. */
function grow(buffer: Buffer, used: number, more: number, limit: number): Buffer {
  if (used > 0 && used + more <= buffer.length) return buffer;
  const next = Buffer.allocUnsafeSlow(Math.min(limit, Math.max(256, used + more, used * 2)));
  buffer.copy(next, 0, 0, used);
  return next;
}
