// SPDX-License-Identifier: Apache-2.0
// Fresh trace and span ids, cut from random bytes that are drawn a few thousand at a time: one draw a connection would cost
// more than the rest of opening it.
import { newTraceparent } from '#lib/wire/hbone.ts';

const BYTES_EACH = 24;
const IDS = 256;

export class TraceIds {
  readonly #bytes = new Uint8Array(BYTES_EACH * IDS);
  readonly #fill: (bytes: Uint8Array) => void;
  #next = IDS;

  /** `fill` draws random bytes. */
  constructor(fill: (bytes: Uint8Array) => void) {
    this.#fill = fill;
  }

  /** A `traceparent` value. */
  next(): string {
    if (this.#next === IDS) {
      this.#fill(this.#bytes);
      this.#next = 0;
    }
    const at = this.#next++ * BYTES_EACH;
    return newTraceparent(this.#bytes.subarray(at, at + BYTES_EACH));
  }
}

/** The trace id within a `traceparent`. */
export function traceIdOf(traceparent: string): string {
  return traceparent.slice(3, 35);
}
