// SPDX-License-Identifier: Apache-2.0
// SPDY/3.1 frames, as far as Kubernetes' streaming still speaks it (draft-mbelshe-httpbis-spdy-00): streams with header
// blocks, data, pings. No sockets; header blocks stay compressed here, see spdy-headers.ts. Kubernetes' own peers keep
// no flow-control windows, so WINDOW_UPDATE is read and ignored.

export type SpdyFrame =
  | { readonly kind: 'data'; readonly stream: number; readonly fin: boolean; readonly data: Buffer }
  | { readonly kind: 'syn-stream'; readonly stream: number; readonly fin: boolean; readonly headers: Buffer }
  | { readonly kind: 'rst-stream'; readonly stream: number }
  | { readonly kind: 'ping'; readonly id: number }
  | { readonly kind: 'goaway' }
  | { readonly kind: 'headers'; readonly stream: number; readonly fin: boolean; readonly headers: Buffer }
  | { readonly kind: 'ignored' };

const TYPE = { synStream: 1, synReply: 2, rstStream: 3, ping: 6, goaway: 7, headers: 8 } as const;
const FIN = 0x01;
const HEAD = 8;
/** The version bits of a control frame: 0x8000 | 3. */
const CONTROL = 0x8003;

/** Cuts a byte stream into frames. */
export class SpdyDecoder {
  #buffer: Buffer = Buffer.alloc(0);

  write(chunk: Buffer): SpdyFrame[] {
    this.#buffer = this.#buffer.length === 0 ? chunk : Buffer.concat([this.#buffer, chunk]);
    const frames: SpdyFrame[] = [];
    // The length field has 24 bits, so no frame is larger than 16 MiB.
    while (this.#buffer.length >= HEAD) {
      const size = HEAD + this.#buffer.readUIntBE(5, 3);
      if (this.#buffer.length < size) break;
      frames.push(parseFrame(this.#buffer.subarray(0, size)));
      this.#buffer = this.#buffer.subarray(size);
    }
    return frames;
  }
}

function parseFrame(frame: Buffer): SpdyFrame {
  const fin = (frame[4]! & FIN) !== 0;
  const body = frame.subarray(HEAD);
  if ((frame[0]! & 0x80) === 0) return { kind: 'data', stream: frame.readUInt32BE(0), fin, data: body };
  const stream = body.length >= 4 ? body.readUInt32BE(0) & 0x7fffffff : 0;
  switch (frame.readUInt16BE(2)) {
    case TYPE.synStream:
      // Stream, associated stream, priority and slot: ten bytes before the headers.
      return { kind: 'syn-stream', stream, fin, headers: body.subarray(10) };
    case TYPE.rstStream:
      return { kind: 'rst-stream', stream };
    case TYPE.ping:
      return { kind: 'ping', id: body.readUInt32BE(0) };
    case TYPE.goaway:
      return { kind: 'goaway' };
    case TYPE.headers:
      return { kind: 'headers', stream, fin, headers: body.subarray(4) };
    default:
      return { kind: 'ignored' };
  }
}

export function dataFrame(stream: number, data: Uint8Array, fin: boolean): Buffer {
  const head = Buffer.alloc(HEAD);
  head.writeUInt32BE(stream, 0);
  head[4] = fin ? FIN : 0;
  head.writeUIntBE(data.length, 5, 3);
  return Buffer.concat([head, data]);
}

export function synReplyFrame(stream: number, headers: Uint8Array): Buffer {
  const id = Buffer.alloc(4);
  id.writeUInt32BE(stream);
  return controlFrame(TYPE.synReply, 0, Buffer.concat([id, headers]));
}

export function pingFrame(id: number): Buffer {
  const body = Buffer.alloc(4);
  body.writeUInt32BE(id);
  return controlFrame(TYPE.ping, 0, body);
}

export function rstFrame(stream: number, status: number): Buffer {
  const body = Buffer.alloc(8);
  body.writeUInt32BE(stream, 0);
  body.writeUInt32BE(status, 4);
  return controlFrame(TYPE.rstStream, 0, body);
}

function controlFrame(type: number, flags: number, body: Buffer): Buffer {
  const head = Buffer.alloc(HEAD);
  head.writeUInt16BE(CONTROL, 0);
  head.writeUInt16BE(type, 2);
  head[4] = flags;
  head.writeUIntBE(body.length, 5, 3);
  return Buffer.concat([head, body]);
}
