// SPDX-License-Identifier: Apache-2.0
// The engine on a bench: frames made by hand go in, what it says to its handler is written down as lines, what it
// sends is read back by an independent little parser.
import { H2Connection, type Role } from '#lib/wire/h2/connection.ts';
import type { H2Handler } from '#lib/wire/h2/handler.ts';
import type { HeaderBlock } from '#lib/wire/h2/headers.ts';
import { HpackDecoder } from '#lib/wire/h2/hpack/decoder.ts';
import { GrowingOutput, type OutputBuffer } from '#lib/wire/h2/output.ts';
import { errorName, FrameType, PREFACE } from '#lib/wire/h2/protocol.ts';
import { type H2Settings, HBONE_CLIENT, HBONE_SERVER } from '#lib/wire/h2/settings.ts';
import type { H2Stream } from '#lib/wire/h2/stream.ts';

/** One frame, made by hand. */
export function frame(type: number, flags: number, streamId: number, payload: Buffer | string = ''): Buffer {
  const body = typeof payload === 'string' ? Buffer.from(payload.replaceAll(' ', ''), 'hex') : payload;
  const head = Buffer.alloc(9);
  head.writeUIntBE(body.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(streamId, 5);
  return Buffer.concat([head, body]);
}

/** Four octets, most significant first. */
export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** Settings by number. */
export function settingsFrame(entries: readonly (readonly [id: number, value: number])[]): Buffer {
  const body = Buffer.alloc(entries.length * 6);
  entries.forEach(([id, value], i) => {
    body.writeUInt16BE(id, i * 6);
    body.writeUInt32BE(value, i * 6 + 2);
  });
  return frame(FrameType.settings, 0, 0, body);
}

/** A header block of literals without indexing: nothing to keep state about. */
export function block(pairs: readonly (readonly [name: string, value: string])[]): Buffer {
  const text = (value: string): Buffer => {
    const bytes = Buffer.from(value, 'latin1');
    if (bytes.length < 127) return Buffer.concat([Buffer.from([bytes.length]), bytes]);
    const rest: number[] = [127];
    for (let left = bytes.length - 127; ; left >>>= 7) {
      rest.push(left < 128 ? left : (left & 127) | 128);
      if (left < 128) return Buffer.concat([Buffer.from(rest), bytes]);
    }
  };
  return Buffer.concat(pairs.flatMap(([name, value]) => [Buffer.from([0]), text(name), text(value)]));
}

/** HEADERS that end the header block. */
export function headers(
  streamId: number,
  pairs: readonly (readonly [name: string, value: string])[],
  endStream = false,
): Buffer {
  return frame(FrameType.headers, endStream ? 5 : 4, streamId, block(pairs));
}

export const GET: readonly (readonly [string, string])[] = [
  [':method', 'GET'],
  [':scheme', 'https'],
  [':authority', 'shop'],
  [':path', '/'],
];
export const CONNECT: readonly (readonly [string, string])[] = [
  [':method', 'CONNECT'],
  [':authority', '10.1.2.3:80'],
];

/** Opens a tunnel. */
export const connectFrame = (streamId: number): Buffer => headers(streamId, CONNECT);
export const dataFrame = (streamId: number, bytes: Buffer, endStream = false): Buffer =>
  frame(FrameType.data, endStream ? 1 : 0, streamId, bytes);
export const windowFrame = (streamId: number, increment: number): Buffer =>
  frame(FrameType.windowUpdate, 0, streamId, uint32(increment));
export const resetFrame = (streamId: number, code: number): Buffer =>
  frame(FrameType.rstStream, 0, streamId, uint32(code));
export const settingsAck = (): Buffer => frame(FrameType.settings, 1, 0);

/** A frame the engine sent. */
export interface SentFrame {
  readonly type: number;
  readonly flags: number;
  readonly streamId: number;
  readonly payload: Buffer;
}

/** Cuts the engine's output into frames. */
export function parseFrames(bytes: Buffer): SentFrame[] {
  const frames: SentFrame[] = [];
  let at = bytes.subarray(0, PREFACE.length).equals(PREFACE) ? PREFACE.length : 0;
  while (at < bytes.length) {
    const length = bytes.readUIntBE(at, 3);
    if (at + 9 + length > bytes.length) throw new Error(`output ends within a frame at ${at}`);
    const payload = bytes.subarray(at + 9, at + 9 + length);
    frames.push({ type: bytes[at + 3]!, flags: bytes[at + 4]!, streamId: bytes.readUInt32BE(at + 5), payload });
    at += 9 + length;
  }
  return frames;
}

const TYPE_NAMES = Object.keys(FrameType);

/** Writes down what a handler is told; the content of a stream in one piece, however it came. */
export class Recorder implements H2Handler {
  readonly lines: string[] = [];
  readonly streams = new Map<number, H2Stream>();
  /** Called on every event, to answer in the midst of it. */
  react: (event: string, stream: H2Stream | undefined) => void = () => {};
  #open = '';

  /** Takes the lines so far. */
  take(): string[] {
    this.#open = '';
    return this.lines.splice(0);
  }

  #add(line: string, event: string, stream?: H2Stream): void {
    this.lines.push(line);
    this.#open = '';
    this.react(event, stream);
  }

  onHeaders(stream: H2Stream, block: HeaderBlock, endStream: boolean): void {
    this.streams.set(stream.id, stream);
    const parts = [block.method, block.status > 0 ? String(block.status) : '', block.authority, block.path];
    const fields = block.fields.map(({ name, value }) => `${name}=${value}`);
    const text = [...parts, ...fields].filter((part) => part !== '').join(' ');
    this.#add(`headers ${stream.id} ${text}${endStream ? ' end' : ''}`, 'headers', stream);
  }
  onData(stream: H2Stream, buffer: Buffer, start: number, end: number, endStream: boolean): void {
    const bytes = buffer.toString('hex', start, end);
    const key = `data ${stream.id} `;
    if (this.#open === key) this.lines[this.lines.length - 1] += bytes;
    else this.lines.push(key + bytes);
    this.#open = endStream ? '' : key;
    if (endStream) this.lines[this.lines.length - 1] += ' end';
    this.react('data', stream);
  }
  onReset(stream: H2Stream, code: number): void {
    this.#add(`reset ${stream.id} ${errorName(code)}`, 'reset', stream);
  }
  onGoaway(lastStreamId: number, code: number): void {
    this.#add(`goaway ${lastStreamId} ${errorName(code)}`, 'goaway');
  }
  onSettings(): void {
    this.#add('settings', 'settings');
  }
  onPong(opaque: number): void {
    this.#add(`pong ${opaque}`, 'pong');
  }
  onSendable(stream: H2Stream): void {
    this.#add(`sendable ${stream.id}`, 'sendable', stream);
  }
  onRefused(streamId: number, code: number, reason: string): void {
    this.#add(`refused ${streamId} ${errorName(code)}: ${reason}`, 'refused');
  }
  onDrained(): void {
    this.#add('drained', 'drained');
  }
  onConnectionError(code: number, reason: string): void {
    this.#add(`error ${errorName(code)}: ${reason}`, 'error');
  }
}

/** An engine with its recorder. */
export class H2Peer {
  readonly recorder = new Recorder();
  readonly output: GrowingOutput;
  readonly connection: H2Connection;
  readonly #decoder = new HpackDecoder();

  constructor(role: Role, settings?: Partial<H2Settings>, output?: OutputBuffer & GrowingOutput) {
    this.output = output ?? new GrowingOutput();
    const defaults = role === 'server' ? HBONE_SERVER : HBONE_CLIENT;
    this.connection = new H2Connection(role, { ...defaults, ...settings }, this.recorder, this.output);
    this.connection.start();
  }

  /** An engine that has exchanged SETTINGS with a peer of default settings; nothing of that is left in the record. */
  static ready(role: Role, settings?: Partial<H2Settings>, peerSettings: Buffer = settingsFrame([])): H2Peer {
    const peer = new H2Peer(role, settings);
    if (role === 'server') peer.feed(PREFACE);
    peer.feed(peerSettings, settingsAck());
    peer.sent();
    peer.recorder.take();
    return peer;
  }

  feed(...parts: Buffer[]): this {
    for (const part of parts) this.connection.receive(part, 0, part.length);
    return this;
  }

  /** Takes the frames sent since the last call. */
  frames(): SentFrame[] {
    return parseFrames(Buffer.from(this.output.take()));
  }

  /** The same, as lines. */
  sent(): string[] {
    return this.frames().map((sent) => this.#describe(sent));
  }

  /** The lines recorded since the last call. */
  events(): string[] {
    return this.recorder.take();
  }

  stream(id: number): H2Stream {
    const stream = this.recorder.streams.get(id);
    if (stream === undefined) throw new Error(`no stream ${id} was seen`);
    return stream;
  }

  #describe({ type, flags, streamId, payload }: SentFrame): string {
    const end = (flags & 1) !== 0 ? ' end' : '';
    switch (type) {
      case FrameType.data:
        return `data ${streamId} ${payload.length}${end}`;
      case FrameType.headers:
        return `headers ${streamId} ${this.#fields(payload)}${end}`;
      case FrameType.rstStream:
        return `rst ${streamId} ${errorName(payload.readUInt32BE())}`;
      case FrameType.goaway:
        return `goaway ${payload.readUInt32BE()} ${errorName(payload.readUInt32BE(4))}`;
      case FrameType.windowUpdate:
        return `window ${streamId} ${payload.readUInt32BE()}`;
      case FrameType.ping:
        return `${(flags & 1) !== 0 ? 'pong' : 'ping'} ${payload.toString('hex')}`;
      case FrameType.settings:
        return (flags & 1) !== 0 ? 'settings ack' : 'settings';
      default:
        return `${TYPE_NAMES[type]} ${streamId} ${payload.length}`;
    }
  }

  #fields(payload: Buffer): string {
    const fields: string[] = [];
    const sink = { onField: ({ name, value }: { name: string; value: string }) => fields.push(`${name}=${value}`) };
    const error = this.#decoder.decode(payload, 0, payload.length, sink);
    return error === '' ? fields.join(' ') : error;
  }
}
