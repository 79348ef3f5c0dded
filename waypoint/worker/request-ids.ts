// SPDX-License-Identifier: Apache-2.0
// Version 4 UUIDs (RFC 9562 section 5.4) for requests without an id, from random bytes taken in bulk.
const HEX: readonly string[] = Array.from({ length: 256 }, (_, octet) => octet.toString(16).padStart(2, '0'));
const BATCH = 256;
const BYTES = 16;

export class RequestIds {
  readonly #fill: (bytes: Uint8Array) => void;
  readonly #bytes = new Uint8Array(BATCH * BYTES);
  #at = BATCH * BYTES;

  /** `fill` fills with random bytes. */
  constructor(fill: (bytes: Uint8Array) => void) {
    this.#fill = fill;
  }

  next(): string {
    if (this.#at === BATCH * BYTES) {
      this.#fill(this.#bytes);
      this.#at = 0;
    }
    const b = this.#bytes;
    const i = this.#at;
    this.#at += BYTES;
    const h = (k: number): string => HEX[b[i + k]!]!;
    const version = HEX[(b[i + 6]! & 0x0f) | 0x40]!;
    const variant = HEX[(b[i + 8]! & 0x3f) | 0x80]!;
    return `${h(0)}${h(1)}${h(2)}${h(3)}-${h(4)}${h(5)}-${version}${h(7)}-${variant}${h(9)}-${h(10)}${h(11)}${h(12)}${h(13)}${h(14)}${h(15)}`;
  }
}
