// SPDX-License-Identifier: Apache-2.0
// Counts the messages in one direction of a gRPC stream: each is a flag, four octets of length, and so many octets (gRPC over HTTP/2,
// Length-Prefixed-Message). Octets come in any pieces.

const HEADER = 5;

export class MessageCounter {
  /** Messages whose header has come. */
  count = 0;
  /** Octets of the header that have come. */
  #header = 0;
  #length = 0;
  /** Octets of the message still to come. */
  #rest = 0;

  feed(bytes: Uint8Array, start: number, end: number): void {
    let at = start;
    while (at < end) {
      if (this.#rest > 0) {
        const skipped = Math.min(this.#rest, end - at);
        this.#rest -= skipped;
        at += skipped;
        continue;
      }
      const octet = bytes[at++]!;
      if (this.#header === 0) this.#length = 0;
      else this.#length = this.#length * 256 + octet;
      if (++this.#header < HEADER) continue;
      this.#header = 0;
      this.#rest = this.#length;
      this.count++;
    }
  }
}
