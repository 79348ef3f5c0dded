// SPDX-License-Identifier: Apache-2.0
// Writing HTTP/2 frames (RFC 9113 section 6): each function puts one frame at an offset and returns the offset behind
// it. The caller has made room.
import { Flag, FRAME_HEADER, FrameType } from './protocol.ts';

/** Octets that the fixed-size frames take. */
export const RST_STREAM_SIZE = FRAME_HEADER + 4;
export const PING_SIZE = FRAME_HEADER + 8;
export const GOAWAY_SIZE = FRAME_HEADER + 8;
export const WINDOW_UPDATE_SIZE = FRAME_HEADER + 4;
export const SETTING_SIZE = 6;

/** Writes a frame header; `length` is that of the payload. */
export function writeFrameHeader(
  buffer: Buffer,
  offset: number,
  length: number,
  type: number,
  flags: number,
  streamId: number,
): number {
  buffer[offset] = length >>> 16;
  buffer[offset + 1] = length >>> 8;
  buffer[offset + 2] = length;
  buffer[offset + 3] = type;
  buffer[offset + 4] = flags;
  return writeUint32(buffer, offset + 5, streamId);
}

/** Writes four octets, most significant first. */
export function writeUint32(buffer: Buffer, offset: number, value: number): number {
  buffer[offset] = value >>> 24;
  buffer[offset + 1] = value >>> 16;
  buffer[offset + 2] = value >>> 8;
  buffer[offset + 3] = value;
  return offset + 4;
}

/** Reads four octets, most significant first. */
export function readUint32(buffer: Buffer, offset: number): number {
  return (
    ((buffer[offset]! << 24) | (buffer[offset + 1]! << 16) | (buffer[offset + 2]! << 8) | buffer[offset + 3]!) >>> 0
  );
}

/** Reads 31 bits, the reserved one left out. */
export function readUint31(buffer: Buffer, offset: number): number {
  return (
    ((buffer[offset]! & 0x7f) << 24) | (buffer[offset + 1]! << 16) | (buffer[offset + 2]! << 8) | buffer[offset + 3]!
  );
}

export function writeRstStream(buffer: Buffer, offset: number, streamId: number, code: number): number {
  return writeUint32(buffer, writeFrameHeader(buffer, offset, 4, FrameType.rstStream, 0, streamId), code);
}

export function writeWindowUpdate(buffer: Buffer, offset: number, streamId: number, increment: number): number {
  return writeUint32(buffer, writeFrameHeader(buffer, offset, 4, FrameType.windowUpdate, 0, streamId), increment);
}

export function writeGoaway(buffer: Buffer, offset: number, lastStreamId: number, code: number): number {
  const at = writeUint32(buffer, writeFrameHeader(buffer, offset, 8, FrameType.goaway, 0, 0), lastStreamId);
  return writeUint32(buffer, at, code);
}

/** A PING of our own; its eight octets are two numbers. */
export function writePing(buffer: Buffer, offset: number, high: number, low: number): number {
  const at = writeUint32(buffer, writeFrameHeader(buffer, offset, 8, FrameType.ping, 0, 0), high);
  return writeUint32(buffer, at, low);
}

/** The answer to a PING whose eight octets lie in `source`. */
export function writePong(buffer: Buffer, offset: number, source: Buffer, start: number): number {
  const at = writeFrameHeader(buffer, offset, 8, FrameType.ping, Flag.ack, 0);
  for (let i = 0; i < 8; i++) buffer[at + i] = source[start + i]!;
  return at + 8;
}

/** One entry of a SETTINGS payload. */
export function writeSetting(buffer: Buffer, offset: number, id: number, value: number): number {
  buffer[offset] = id >>> 8;
  buffer[offset + 1] = id;
  return writeUint32(buffer, offset + 2, value);
}
