// SPDX-License-Identifier: Apache-2.0
// Memory for heads that outlive the bytes they came in: as many pieces as there are such heads at once, used again and again.

/** Pieces kept for the next heads; beyond it they are left to the collector. */
const MOST_FREE = 256;

export class HeadPool {
  /** Octets of a piece; larger heads get memory of their own. */
  readonly size: number;
  readonly #free: Buffer[] = [];

  constructor(size: number) {
    this.size = size;
  }

  take(): Buffer {
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(this.size);
  }

  give(piece: Buffer): void {
    if (piece.length === this.size && this.#free.length < MOST_FREE) this.#free.push(piece);
  }
}
