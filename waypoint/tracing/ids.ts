// SPDX-License-Identifier: Apache-2.0
// Ids of traces and spans: random, never all zeros, from random bytes taken in bulk.
const BATCH = 4096;
const SPAN_BYTES = 8;
const TRACE_BYTES = 16;

export class TraceIds {
  readonly #fill: (bytes: Uint8Array) => void;
  readonly #bytes = Buffer.alloc(BATCH);
  #at = BATCH;

  /** `fill` fills with random bytes. */
  constructor(fill: (bytes: Uint8Array) => void) {
    this.#fill = fill;
  }

  traceId(): string {
    return this.#take(TRACE_BYTES);
  }

  spanId(): string {
    return this.#take(SPAN_BYTES);
  }

  #take(count: number): string {
    if (this.#at + count > BATCH) {
      this.#fill(this.#bytes);
      this.#at = 0;
    }
    const from = this.#at;
    this.#at += count;
    this.#bytes[from]! ||= 1;
    return this.#bytes.toString('hex', from, this.#at);
  }
}
