// SPDX-License-Identifier: Apache-2.0
// The server side of WebSocket (RFC 6455): the opening handshake and a frame codec without sockets. Extensions are not
// negotiated; messages are handed on whole.
import { createHash } from 'node:crypto';

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
/** A client that sends more than this in one message is cut off. */
const MAX_MESSAGE_BYTES = 16 << 20;

export type WebSocketEvent =
  | { readonly kind: 'message'; readonly data: Buffer; readonly binary: boolean }
  | { readonly kind: 'ping'; readonly data: Buffer }
  | { readonly kind: 'close' }
  | { readonly kind: 'error'; readonly message: string };

const OPCODE = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

/** The value of Sec-WebSocket-Accept (RFC 6455 section 4.2.2). */
export function acceptKey(key: string): string {
  return createHash('sha1')
    .update(key + GUID)
    .digest('base64');
}

/** The answer that completes the handshake. */
export function handshakeReply(key: string, protocol: string | undefined): string {
  return [
    'HTTP/1.1 101 Switching Protocols',
    'Upgrade: websocket',
    'Connection: Upgrade',
    `Sec-WebSocket-Accept: ${acceptKey(key)}`,
    ...(protocol === undefined ? [] : [`Sec-WebSocket-Protocol: ${protocol}`]),
    '\r\n',
  ].join('\r\n');
}

/** One unfragmented, unmasked frame, as a server sends it (section 5.2). */
export function encodeFrame(kind: 'text' | 'binary' | 'close' | 'pong', data: Uint8Array): Buffer {
  const size = data.length;
  const head = Buffer.alloc(size < 126 ? 2 : size < 65_536 ? 4 : 10);
  head[0] = 0x80 | OPCODE[kind];
  if (size < 126) head[1] = size;
  else if (size < 65_536) {
    head[1] = 126;
    head.writeUInt16BE(size, 2);
  } else {
    head[1] = 127;
    head.writeBigUInt64BE(BigInt(size), 2);
  }
  return Buffer.concat([head, data]);
}

/** Turns a client's bytes into events. After an error it must not be fed again. */
export class WebSocketDecoder {
  #buffer: Buffer = Buffer.alloc(0);
  #parts: Buffer[] = [];
  #partBytes = 0;
  #binary = false;

  write(chunk: Buffer): WebSocketEvent[] {
    this.#buffer = this.#buffer.length === 0 ? chunk : Buffer.concat([this.#buffer, chunk]);
    const events: WebSocketEvent[] = [];
    for (let event = this.#next(); event !== undefined; event = this.#next()) {
      if (event !== 'part') events.push(event);
      if (event !== 'part' && event.kind === 'error') break;
    }
    return events;
  }

  #next(): WebSocketEvent | 'part' | undefined {
    const buffer = this.#buffer;
    if (buffer.length < 2) return undefined;
    const short = buffer[1]! & 0x7f;
    const wide = short === 126 ? 2 : short === 127 ? 8 : 0;
    if (buffer.length < 2 + wide) return undefined;
    const size = wide === 0 ? short : wide === 2 ? buffer.readUInt16BE(2) : Number(buffer.readBigUInt64BE(2));
    // RFC 6455 section 5.1: a server must refuse frames that are not masked.
    if ((buffer[1]! & 0x80) === 0) return { kind: 'error', message: 'a frame is not masked' };
    if (size + this.#partBytes > MAX_MESSAGE_BYTES) return { kind: 'error', message: 'a message is too large' };
    const start = 2 + wide + 4;
    if (buffer.length < start + size) return undefined;
    const mask = buffer.subarray(2 + wide, start);
    const data = Buffer.from(buffer.subarray(start, start + size));
    for (let i = 0; i < size; i++) data[i]! ^= mask[i & 3]!;
    this.#buffer = buffer.subarray(start + size);
    return this.#take(buffer[0]! & 0x0f, (buffer[0]! & 0x80) !== 0, data);
  }

  #take(opcode: number, final: boolean, data: Buffer): WebSocketEvent | 'part' {
    switch (opcode) {
      case OPCODE.close:
        return { kind: 'close' };
      case OPCODE.ping:
        return { kind: 'ping', data };
      case OPCODE.pong:
        return 'part';
      case OPCODE.text:
      case OPCODE.binary:
        this.#binary = opcode === OPCODE.binary;
        this.#parts = [];
        this.#partBytes = 0;
        break;
      case OPCODE.continuation:
        break;
      default:
        return { kind: 'error', message: `opcode ${opcode} is reserved` };
    }
    this.#parts.push(data);
    this.#partBytes += data.length;
    if (!final) return 'part';
    const message = this.#parts.length === 1 ? data : Buffer.concat(this.#parts);
    this.#parts = [];
    this.#partBytes = 0;
    return { kind: 'message', data: message, binary: this.#binary };
  }
}
