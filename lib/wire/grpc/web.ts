// SPDX-License-Identifier: Apache-2.0
// gRPC-Web (grpc/doc/PROTOCOL-WEB.md): gRPC for clients that cannot read trailers, which therefore come as a last message of the
// content; and, for those that can only read text, all content in base64.

/** What a content type of gRPC-Web says. */
export interface WebContentType {
  /** Content is base64. */
  readonly text: boolean;
  /** How messages are encoded, `+proto` or whatever; '' when nothing is said. */
  readonly suffix: string;
}

const CONTENT_TYPE = /^application\/grpc-web(-text)?(\+[a-z0-9.+-]+)?(?:\s*;.*)?$/i;
/** Of the frame that carries trailers; a message's own flag has the highest bit clear. */
const TRAILERS_FLAG = 0x80;
const FRAME_HEADER = 5;

/** undefined for any other content type. */
export function webContentType(value: string): WebContentType | undefined {
  const match = CONTENT_TYPE.exec(value);
  return match === null ? undefined : { text: match[1] !== undefined, suffix: match[2] ?? '' };
}

/** The last message: trailers, one a line. */
export function trailerFrame(fields: readonly (readonly [name: string, value: string])[]): Buffer {
  const text = fields.map(([name, value]) => `${name}:${value}\r\n`).join('');
  const frame = Buffer.allocUnsafe(FRAME_HEADER + text.length);
  frame[0] = TRAILERS_FLAG;
  frame.writeUInt32BE(text.length, 1);
  frame.write(text, FRAME_HEADER, 'latin1');
  return frame;
}

/** Value of each base64 digit, -1 for what is none. */
const DIGITS = digits();
const PAD = 0x3d;

function digits(): Int8Array {
  const values = new Int8Array(256).fill(-1);
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
  for (let i = 0; i < alphabet.length; i++) values[alphabet.charCodeAt(i)] = i;
  return values;
}

/** Base64 in any pieces. Whoever encodes may pad whenever a piece of content ends, so padding may stand anywhere. */
export class Base64Stream {
  /** Bits of the group of four digits that has begun, and how many digits it has. */
  #bits = 0;
  #have = 0;
  #padding = 0;

  /** The content has ended within a group. */
  get incomplete(): boolean {
    return this.#have > 0;
  }

  /** What these digits stand for; undefined if they are none. */
  decode(bytes: Uint8Array, start: number, end: number): Buffer | undefined {
    const out = Buffer.allocUnsafe(Math.ceil(((end - start + this.#have) * 3) / 4));
    let at = 0;
    for (let i = start; i < end; i++) {
      const octet = bytes[i]!;
      const padded = octet === PAD && this.#have >= 2;
      const value = padded ? 0 : DIGITS[octet]!;
      if (value < 0 || (this.#padding > 0 && !padded)) return undefined;
      if (padded) this.#padding++;
      this.#bits = (this.#bits << 6) | value;
      if (++this.#have < 4) continue;
      const count = 3 - this.#padding;
      for (let n = 0; n < count; n++) out[at++] = (this.#bits >> (16 - 8 * n)) & 0xff;
      this.#bits = this.#have = this.#padding = 0;
    }
    return out.subarray(0, at);
  }
}
