// SPDX-License-Identifier: Apache-2.0
// HTTP/2 read along: frames are told apart, header blocks decoded for the sake of their tables, and of all that only
// method, status and the ends of streams are looked at.
import { readUint32 } from '../h2/frame.ts';
import { DEFAULT_TABLE_SIZE, HpackDecoder } from '../h2/hpack/decoder.ts';
import type { HeaderField } from '../h2/hpack/field.ts';
import { MAX_MAX_FRAME, SettingId } from '../h2/protocol.ts';
import { FrameReader, type FrameSink } from '../h2/reader.ts';
import type { GaveUp, HttpListener, VersionWatch } from './outcome.ts';

/** Requests open at once. */
const MAX_OPEN = 256;
/** Octets of a header block, and of a compression table, in each direction. */
const MAX_BLOCK = 65_536;
const MAX_TABLE = 65_536;
const MAX_SETTINGS = 64;
const MAX_CONTINUATIONS = 16;
const SETTING_OCTETS = 6;

interface Open {
  readonly method: string;
  readonly startedAt: number;
  status: number;
}

/** One direction. */
class Side implements FrameSink {
  readonly reader: FrameReader;
  readonly decoder = new HpackDecoder();
  readonly #watch: Http2Watch;
  readonly #requests: boolean;
  /** The stream that the DATA at hand ends; 0 if it ends none. */
  #ending = 0;
  /** `:method` or `:status` of the block at hand. */
  #what = '';

  constructor(watch: Http2Watch, requests: boolean) {
    this.#watch = watch;
    this.#requests = requests;
    this.reader = new FrameReader(this, requests, MAX_MAX_FRAME, MAX_BLOCK, MAX_SETTINGS, MAX_CONTINUATIONS);
  }

  onDataStart(streamId: number, length: number, _padding: number, endStream: boolean): boolean {
    this.#ending = endStream && !this.#requests ? streamId : 0;
    if (this.#ending !== 0 && length === 0) this.#watch.onAnswered(streamId);
    // An answer is over when its last octet has come.
    return this.#ending !== 0;
  }

  onDataBytes(_buffer: Buffer, _start: number, _end: number, last: boolean): void {
    if (last) this.#watch.onAnswered(this.#ending);
  }

  onField({ name, value }: HeaderField): void {
    if (name === (this.#requests ? ':method' : ':status')) this.#what = value;
  }

  onHeaderBlock(streamId: number, buffer: Buffer, start: number, end: number, endStream: boolean): void {
    this.#what = '';
    if (this.decoder.decode(buffer, start, end, this) !== '') this.#watch.giveUp('unreadable');
    else if (this.#requests) this.#watch.onAsked(streamId, this.#what);
    else {
      this.#watch.onStatus(streamId, Number(this.#what));
      if (endStream) this.#watch.onAnswered(streamId);
    }
  }

  onRstStream(streamId: number): void {
    this.#watch.onAnswered(streamId);
  }

  onSettings(buffer: Buffer, start: number, end: number): void {
    for (let at = start; at < end; at += SETTING_OCTETS)
      if (buffer.readUInt16BE(at) === SettingId.headerTableSize)
        this.#watch.onTableSize(this, Math.min(MAX_TABLE, readUint32(buffer, at + 2)));
  }

  onSettingsAck(): void {}

  onPing(): void {}

  onPong(): void {}

  onGoawayFrame(): void {}

  onWindowUpdate(): void {}

  onIgnored(): void {}

  onStreamViolation(): void {}

  onViolation(): void {
    this.#watch.giveUp('unreadable');
  }
}

export class Http2Watch implements VersionWatch {
  readonly #listener: HttpListener;
  readonly #now: () => number;
  readonly #client = new Side(this, true);
  readonly #server = new Side(this, false);
  readonly #open = new Map<number, Open>();
  #over = false;

  constructor(listener: HttpListener, now: () => number) {
    this.#listener = listener;
    this.#now = now;
  }

  request(buffer: Buffer, start: number, end: number): void {
    if (!this.#over) readAll(this.#client.reader, buffer, start, end);
  }

  response(buffer: Buffer, start: number, end: number): void {
    if (!this.#over) readAll(this.#server.reader, buffer, start, end);
  }

  end(): void {
    if (this.#over) return;
    for (const id of [...this.#open.keys()]) this.onAnswered(id);
    this.#over = true;
  }

  giveUp(reason: GaveUp): void {
    if (this.#over) return;
    this.#over = true;
    this.#client.reader.stopped = this.#server.reader.stopped = true;
    this.#open.clear();
    this.#listener.onGaveUp(reason);
  }

  /** A block of the client's: a request, or trailers, which have no method. */
  onAsked(streamId: number, method: string): void {
    if (method === '' || this.#open.has(streamId)) return;
    if (this.#open.size === MAX_OPEN) this.giveUp('too_many');
    else this.#open.set(streamId, { method, startedAt: this.#now(), status: 0 });
  }

  /** A block of the server's: interim, final, or trailers, which have no status. */
  onStatus(streamId: number, status: number): void {
    const open = this.#open.get(streamId);
    if (open !== undefined && status >= 200) open.status = status;
  }

  onAnswered(streamId: number): void {
    const open = this.#open.get(streamId);
    if (open === undefined || this.#over) return;
    this.#open.delete(streamId);
    this.#listener.onExchange(2, open.method, open.status, open.startedAt);
  }

  /** One side takes tables of that size from the other (RFC 9113 section 6.5.2); a smaller one the other announces itself. */
  onTableSize(by: Side, octets: number): void {
    const { decoder } = by === this.#client ? this.#server : this.#client;
    if (octets > DEFAULT_TABLE_SIZE) decoder.setLimit(octets);
  }
}

/** What passes by is gone afterwards: nothing can be left for a later call. */
function readAll(reader: FrameReader, buffer: Buffer, start: number, end: number): void {
  for (let at = start; at < end; ) at = reader.read(buffer, at, end);
}
