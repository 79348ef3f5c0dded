// SPDX-License-Identifier: Apache-2.0
// Version 4 UUIDs (RFC 9562 section 5.4) for requests without an id, as header lines: random bytes are taken in bulk, and the
// lines of a batch written into one buffer, which lives as long as any of its requests.
import { FieldLine } from '#lib/wire/http/field-line.ts';
import { FieldKind } from '#lib/wire/http1/field-kind.ts';

const NAME = 'x-request-id';
const BATCH = 128;
const BYTES = 16;
const LINE = Buffer.from(`${NAME}: xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx\r\n`);
/** Where the digits of each byte go in a line. */
const PLACES = Array.from(
  { length: BYTES },
  (_, i) => NAME.length + 2 + 2 * i + [4, 6, 8, 10].filter((n) => n <= i).length,
);
const DIGITS = Buffer.from('0123456789abcdef');

export class RequestIds {
  readonly #fill: (bytes: Uint8Array) => void;
  readonly #bytes = new Uint8Array(BATCH * BYTES);
  #lines: Buffer = LINE;
  #left = 0;

  /** `fill` fills with random bytes. */
  constructor(fill: (bytes: Uint8Array) => void) {
    this.#fill = fill;
  }

  next(): FieldLine {
    if (this.#left === 0) this.#write();
    const start = --this.#left * LINE.length;
    return new FieldLine(NAME, FieldKind.requestId, this.#lines, start, start + LINE.length);
  }

  #write(): void {
    const bytes = this.#bytes;
    this.#fill(bytes);
    const lines = Buffer.allocUnsafeSlow(BATCH * LINE.length);
    for (let id = 0; id < BATCH; id++) {
      const from = id * BYTES;
      const line = id * LINE.length;
      bytes[from + 6] = (bytes[from + 6]! & 0x0f) | 0x40;
      bytes[from + 8] = (bytes[from + 8]! & 0x3f) | 0x80;
      LINE.copy(lines, line);
      for (let i = 0; i < BYTES; i++) {
        const octet = bytes[from + i]!;
        const at = line + PLACES[i]!;
        lines[at] = DIGITS[octet >> 4]!;
        lines[at + 1] = DIGITS[octet & 15]!;
      }
    }
    this.#lines = lines;
    this.#left = BATCH;
  }
}
