// SPDX-License-Identifier: Apache-2.0
// Everything the engine itself appends to a connection's output, with the question of room asked in one place.
import {
  GOAWAY_SIZE,
  PING_SIZE,
  RST_STREAM_SIZE,
  WINDOW_UPDATE_SIZE,
  writeFrameHeader,
  writeGoaway,
  writePing,
  writePong,
  writeRstStream,
  writeWindowUpdate,
} from './frame.ts';
import type { HeaderBlock } from './headers.ts';
import { HpackEncoder } from './hpack/encoder.ts';
import type { OutputBuffer } from './output.ts';
import { Flag, FRAME_HEADER, FrameType, PREFACE } from './protocol.ts';
import { type H2Settings, SETTINGS_BOUND, writeSettings } from './settings.ts';

/** Is told when an answer that must not be lost finds no room. */
export interface OutputOwner {
  onOutputFull(): void;
}

/** Appends frames; each method returns whether there was room, and has told the owner if not. */
export class FrameWriter {
  readonly encoder = new HpackEncoder();
  readonly out: OutputBuffer;
  readonly #owner: OutputOwner;

  constructor(out: OutputBuffer, owner: OutputOwner) {
    this.out = out;
    this.#owner = owner;
  }

  /** Whether `octets` fit; the output may grow or be swapped for it. */
  hasRoom(octets: number): boolean {
    return this.out.limit - this.out.offset >= octets || this.out.reserve(octets);
  }

  #room(octets: number): boolean {
    if (this.hasRoom(octets)) return true;
    this.#owner.onOutputFull();
    return false;
  }

  #wrote(offset: number): true {
    this.out.offset = offset;
    this.out.markDirty();
    return true;
  }

  /** The client's preface, and SETTINGS. */
  start(settings: H2Settings, client: boolean): boolean {
    if (!this.#room(PREFACE.length + FRAME_HEADER + SETTINGS_BOUND)) return false;
    const { buffer } = this.out;
    let at = this.out.offset;
    if (client) at += PREFACE.copy(buffer, at);
    const end = writeSettings(buffer, at + FRAME_HEADER, settings, client);
    writeFrameHeader(buffer, at, end - at - FRAME_HEADER, FrameType.settings, 0, 0);
    return this.#wrote(end);
  }

  settingsAck(): boolean {
    if (!this.#room(FRAME_HEADER)) return false;
    return this.#wrote(writeFrameHeader(this.out.buffer, this.out.offset, 0, FrameType.settings, Flag.ack, 0));
  }

  ping(high: number, low: number): boolean {
    return this.#room(PING_SIZE) && this.#wrote(writePing(this.out.buffer, this.out.offset, high, low));
  }

  pong(source: Buffer, start: number): boolean {
    return this.#room(PING_SIZE) && this.#wrote(writePong(this.out.buffer, this.out.offset, source, start));
  }

  windowUpdate(id: number, increment: number): boolean {
    if (!this.#room(WINDOW_UPDATE_SIZE)) return false;
    return this.#wrote(writeWindowUpdate(this.out.buffer, this.out.offset, id, increment));
  }

  reset(id: number, code: number): boolean {
    return this.#room(RST_STREAM_SIZE) && this.#wrote(writeRstStream(this.out.buffer, this.out.offset, id, code));
  }

  /** If there is no room for a GOAWAY, the connection ends without. */
  goaway(lastStreamId: number, code: number): boolean {
    if (!this.hasRoom(GOAWAY_SIZE)) return false;
    return this.#wrote(writeGoaway(this.out.buffer, this.out.offset, lastStreamId, code));
  }

  /** An empty DATA frame that ends the stream. */
  end(id: number): boolean {
    if (!this.#room(FRAME_HEADER)) return false;
    return this.#wrote(writeFrameHeader(this.out.buffer, this.out.offset, 0, FrameType.data, Flag.endStream, id));
  }

  /** Copies content behind room for a frame header, whose offset it returns; the caller has asked for room. */
  content(source: Buffer, start: number, end: number): number {
    const { buffer, offset } = this.out;
    source.copy(buffer, offset + FRAME_HEADER, start, end);
    this.#wrote(offset + FRAME_HEADER + end - start);
    return offset;
  }

  /**
   * HEADERS and what CONTINUATION it takes at that frame size. False if there is no room, and then nothing has
   * happened: the owner is not told, the tables have not changed.
   */
  headers(id: number, headers: HeaderBlock, endStream: boolean, maxFrame: number): boolean {
    const { encoder } = this;
    const pseudo = headers.method.length + headers.scheme.length + headers.authority.length + headers.path.length;
    let bound = HpackEncoder.BEGIN_BOUND + pseudo + headers.protocol.length + 150;
    const { fields } = headers;
    for (let i = 0; i < fields.length; i++) bound += HpackEncoder.bound(fields[i]!.name, fields[i]!.value);
    if (!this.hasRoom(bound + (Math.ceil(bound / maxFrame) + 1) * FRAME_HEADER)) return false;
    const { buffer, offset } = this.out;
    encoder.begin(buffer, offset + FRAME_HEADER);
    if (headers.status > 0) encoder.field(':status', String(headers.status), false);
    if (headers.method !== '') encoder.field(':method', headers.method, false);
    if (headers.scheme !== '') encoder.field(':scheme', headers.scheme, false);
    if (headers.authority !== '') encoder.field(':authority', headers.authority, false);
    if (headers.path !== '') encoder.field(':path', headers.path, false);
    if (headers.protocol !== '') encoder.field(':protocol', headers.protocol, false);
    for (let i = 0; i < fields.length; i++) encoder.append(fields[i]!);
    return this.#wrote(frameBlock(buffer, offset, encoder.finish(), id, endStream, maxFrame));
  }
}

/** Puts frame headers around a block that ends at `end` and lies behind room for the first; returns the new end. */
function frameBlock(buffer: Buffer, offset: number, end: number, id: number, endStream: boolean, max: number): number {
  let from = offset + FRAME_HEADER;
  let stop = end;
  const flags = (endStream ? Flag.endStream : 0) | (stop - from <= max ? Flag.endHeaders : 0);
  writeFrameHeader(buffer, offset, Math.min(max, stop - from), FrameType.headers, flags, id);
  while (stop - from > max) {
    from += max;
    buffer.copyWithin(from + FRAME_HEADER, from, stop);
    stop += FRAME_HEADER;
    const rest = stop - from - FRAME_HEADER;
    const last = rest <= max ? Flag.endHeaders : 0;
    writeFrameHeader(buffer, from, Math.min(max, rest), FrameType.continuation, last, id);
    from += FRAME_HEADER;
  }
  return stop;
}
